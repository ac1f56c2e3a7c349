package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
	"pxkv/node/meta"
)

var (
	errNotSent = errors.New("request not sent")
	errLost    = errors.New("no answer")
)

// tally is a counter that can be read.
type tally struct {
	prometheus.Counter
	n int
}

func (t *tally) Inc() { t.n++ }

func countOf(c prometheus.Counter) int { return c.(*tally).n }

// doubler is a node that doubles numbers, and refuses odd ones.
type doubler struct {
	client  *Client
	server  *Server[*doubler]
	doubled int
}

func (d *doubler) double(_ context.Context, q uint64) (uint64, *kv.Error) {
	if q%2 == 1 {
		return 0, kv.Errorf(kv.NotLeader, "not odd ones")
	}
	d.doubled++
	return 2 * q, nil
}

func method(kind uint8, repeatable bool) Method[*doubler, uint64, uint64] {
	return Method[*doubler, uint64, uint64]{
		Kind: kind, Repeatable: repeatable, OneKey: true,
		Encode: func(q uint64, _ int) []byte { return binary.AppendUvarint(NewRequest(0), q) },
		Decode: func(_ *doubler, _ kv.NodeID, d kv.Decoder) (uint64, error) {
			q := d.Uvarint()
			if d.End() != nil {
				return 0, ErrMalformed
			}
			return q, nil
		},
		Here:         (*doubler).double,
		EncodeAnswer: func(a uint64) []byte { return binary.AppendUvarint(NewAnswer(0), a) },
		DecodeAnswer: func(_ uint64, d kv.Decoder) (uint64, bool) {
			a := d.Uvarint()
			return a, d.End() == nil
		},
	}
}

var (
	look   = method(20, true)
	change = method(21, false)
	// atOnce is answered on the goroutine that asks.
	atOnce = func() Method[*doubler, uint64, uint64] {
		m := method(22, true)
		m.Answer = func(d *doubler, q uint64, r Reply[uint64]) { r.Within(3).Send(d.double(context.Background(), q)) }
		return m
	}()
	doublings = KindsOf[*doubler](&look, &change, &atOnce)
)

// peersFunc implements Peers.
type peersFunc func(kind uint8, deadline time.Time, payload []byte, done func([]byte, error))

func (f peersFunc) Go(_ kv.NodeID, kind uint8, deadline time.Time, payload []byte, done func([]byte, error)) {
	f(kind, deadline, payload, done)
}

// newDoubler returns a node that asks by such peers. It knows no cluster.
func newDoubler(t *testing.T, peers peersFunc) *doubler {
	counter := func() prometheus.Counter { return new(tally) }
	d := &doubler{client: NewClient(Options{
		Self: 1, Name: "d", Machine: new(meta.Machine), Peers: peers, ValueBytes: 1 << 20,
		NotSent:     func(err error) bool { return errors.Is(err, errNotSent) },
		Unreachable: func(error) bool { return false },
		Counters: Counters{
			Local: counter(), Forwarded: counter(), Retries: counter(), Relayed: counter(), Malformed: counter(),
		},
	})}
	d.server = NewServer(d, d.client, doublings)
	t.Cleanup(d.server.Stop)
	return d
}

// linked returns a node that asks another one.
func linked(t *testing.T) (a, b *doubler) {
	b = newDoubler(t, nil)
	return newDoubler(t, func(kind uint8, deadline time.Time, payload []byte, done func([]byte, error)) {
		b.server.Handle(Incoming{From: 1, Kind: kind, Deadline: deadline, Payload: payload, Reply: done})
	}), b
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestAMethodIsAskedAndAnswered(t *testing.T) {
	t.Parallel()
	a, b := linked(t)
	type doubling = Method[*doubler, uint64, uint64]
	for name, m := range map[string]*doubling{"look": &look, "change": &change, "at once": &atOnce} {
		if got, e := m.AskNode(soon(t), a.client, 2, 4); e != nil || got != 8 {
			t.Errorf("%s: twice 4 is %d, %v", name, got, e)
		}
		if _, e := m.AskNode(soon(t), a.client, 2, 5); e == nil || e.Kind != kv.NotLeader {
			t.Errorf("%s: an odd number: %v", name, e)
		}
	}
	if got := countOf(a.client.o.Counters.Forwarded); got != 6 {
		t.Errorf("%d requests were counted", got)
	}
	if _, e := atOnce.AskNode(soon(t), a.client, 2, 1<<40); e == nil || e.Kind != kv.Overloaded {
		t.Errorf("an answer for which there is no room: %v", e)
	}
	b.server.Stop()
	if _, e := look.AskNode(soon(t), a.client, 2, 4); e == nil || e.Kind != kv.Unavailable {
		t.Errorf("a node that has stopped answers %v", e)
	}
	if b.doubled != 4 {
		t.Errorf("%d numbers were doubled", b.doubled)
	}
}

// What certainly was not done is unavailable; what may have been done, and was not only looked at, is unknown.
func TestHowAnAttemptEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer       []byte
		err          error
		look, change kv.ErrorKind
	}{
		"not sent":            {nil, errNotSent, kv.Unavailable, kv.Unavailable},
		"lost":                {nil, errLost, kv.Unavailable, kv.Unknown},
		"nothing":             {nil, nil, kv.Internal, kv.Unknown},
		"half an answer":      {NewAnswer(0), nil, kv.Internal, kv.Unknown},
		"more than an answer": {append(NewAnswer(0), 1, 1), nil, kv.Internal, kv.Unknown},
		"a fault over there":  {EncodeError(kv.Errorf(kv.Internal, "oops")), nil, kv.Internal, kv.Unknown},
		"refused over there":  {EncodeError(kv.Errorf(kv.Full, "full")), nil, kv.Full, kv.Full},
		"unknown over there":  {EncodeError(kv.ErrUnknown()), nil, kv.Unknown, kv.Unknown},
		"elsewhere": {EncodeError(&kv.Error{Kind: kv.NotLeader, Leader: 3}), nil, kv.NotLeader,
			kv.NotLeader},
		"no room in this node": {nil, kv.ErrOverloaded(), kv.Overloaded, kv.Unknown},
	} {
		d := newDoubler(t, func(_ uint8, _ time.Time, _ []byte, done func([]byte, error)) { done(c.answer, c.err) })
		if _, e := look.AskNode(soon(t), d.client, 2, 4); kv.KindOf(e) != c.look {
			t.Errorf("%s: a look ends with %v, want %v", name, e, c.look)
		}
		if _, e := change.AskNode(soon(t), d.client, 2, 4); kv.KindOf(e) != c.change {
			t.Errorf("%s: a change ends with %v, want %v", name, e, c.change)
		}
	}
}

func TestWhatNoSoundNodeAsksIsRefused(t *testing.T) {
	t.Parallel()
	d := newDoubler(t, nil)
	refused := 0
	for name, in := range map[string]Incoming{
		"no content":       {Kind: look.Kind},
		"another version":  {Kind: look.Kind, Payload: []byte{Version + 1, 4}},
		"half a request":   {Kind: look.Kind, Payload: NewRequest(0)},
		"an unknown kind":  {Kind: 19, Payload: append(NewRequest(0), 4)},
		"a kind too large": {Kind: 255, Payload: append(NewRequest(0), 4)},
		"a detour of one":  {Kind: KindVia, Payload: encodeVia(2, KindVia, nil)},
	} {
		in.Reply = func(_ []byte, err error) {
			if refused++; err == nil {
				t.Errorf("%s: taken", name)
			}
		}
		d.server.Handle(in)
	}
	if got := countOf(d.client.o.Counters.Malformed); got != refused || refused != 6 {
		t.Errorf("%d of %d were counted", got, refused)
	}
}

func TestTwoMethodsOfOneKind(t *testing.T) {
	t.Parallel()
	if !doublings.Repeatable(look.Kind) || doublings.Repeatable(change.Kind) || doublings.Repeatable(200) {
		t.Error("what is repeatable is not what was declared")
	}
	again, leading := method(look.Kind, true), method(KindLeading, true)
	for _, m := range []Handler[*doubler]{&again, &leading} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("two methods of kind %d are taken", m.kind())
				}
			}()
			KindsOf(&look, m)
		}()
	}
}

// Who gives up is told nothing any more, and what comes later is counted on nobody's account.
func TestAnAnswerThatComesTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var late func([]byte, error)
		d := newDoubler(t, func(_ uint8, _ time.Time, _ []byte, done func([]byte, error)) { late = done })
		var account kv.Account
		account.Open(kv.NewBudget(1<<20), kv.OfClients)
		ctx, cancel := context.WithTimeout(kv.WithAccount(t.Context(), &account), time.Second)
		defer cancel()
		if _, e := change.AskNode(ctx, d.client, 2, 4); e == nil || e.Kind != kv.Unknown {
			t.Errorf("a change without an answer: %v", e)
		}
		if _, e := look.AskNode(ctx, d.client, 2, 4); e == nil || e.Kind != kv.Unavailable {
			t.Errorf("a look without an answer: %v", e)
		}
		late(append(NewAnswer(0), 8), nil)
		if held := account.Held(); held != 0 {
			t.Errorf("%d bytes are counted", held)
		}
	})
}

func TestFuturesAreUsedAgain(t *testing.T) {
	t.Parallel()
	var p Futures[int]
	for i := range 3 {
		f := p.Get()
		go f.Put(i)
		if v, ok := p.Wait(soon(t), f); !ok || v != i {
			t.Errorf("got %d, %v, want %d", v, ok, i)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	f := p.Get()
	if _, ok := p.Wait(over, f); ok {
		t.Error("something came of nothing")
	}
	f.Put(7) // too late: nobody else gets it
	for range 10 {
		if g := p.Get(); g == f {
			t.Fatal("one that was given up is used again")
		}
	}
	done := p.Get()
	done.Put(9)
	if v, ok := p.Wait(over, done); !ok || v != 9 {
		t.Errorf("what has come already is %d, %v", v, ok)
	}
}

func TestATallyIsExact(t *testing.T) {
	t.Parallel()
	budget := kv.NewBudget(64 << 10)
	for name, c := range map[string]struct {
		before, answer int
		keep, ok, over bool
	}{
		"it fits":           {0, 1000, false, true, false},
		"with room of old":  {600, 1000, false, true, false},
		"more room of old":  {2000, 1000, false, true, false},
		"no room":           {0, 1 << 20, false, false, false},
		"no room, but kept": {0, 1 << 20, true, true, true},
	} {
		var account kv.Account
		account.Open(budget, kv.OfClients)
		account.Force(c.before)
		got := Tally{Account: &account, Counted: c.before, Keep: c.keep}
		b, err := got.take(make([]byte, c.answer), nil)
		want := c.before
		if c.ok {
			want = max(c.before, c.answer)
		}
		if (err == nil) != c.ok || c.ok && len(b) != c.answer || got.Over != c.over ||
			account.Held() != want || got.Counted != want {
			t.Errorf("%s: %d bytes, %v, %+v, held are %d", name, len(b), err, got, account.Held())
		}
		account.Close()
	}
}
