package rpc

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"pxkv/node/kv"
)

// long is a method whose answers are as long as they are asked to be.
var long = Method[*doubler, uint64, []byte]{
	Kind: 23, Repeatable: true,
	Encode: func(q uint64, room int) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(NewRequest(0), q), uint64(room))
	},
	EncodeAnswer: func(a []byte) []byte { return append(NewAnswer(len(a)), a...) },
	DecodeAnswer: func(_ uint64, d kv.Decoder) ([]byte, bool) { return d.Rest(), true },
}

// asked is a request for a long answer that another node has.
type asked struct {
	to      kv.NodeID
	size    int
	room    int
	arrives func([]byte, error)
}

// answer sends as much as was asked for, or says that it is longer than there is room for.
func (a *asked) answer() {
	if a.room > 0 && a.size > a.room {
		a.arrives(EncodeError(kv.ErrOverloaded()), nil)
		return
	}
	a.arrives(append(NewAnswer(a.size), make([]byte, a.size)...), nil)
}

// others is the nodes that are asked, which answer what is short at once.
type others struct {
	t      *testing.T
	asks   *doubler
	budget *kv.Budget
	under  []*asked // way, that are not short
	longer int      // requests that were told of a longer value
}

const longest = 1 << 20 // of newDoubler

func newOthers(t *testing.T, budget int64) *others {
	o := &others{t: t, budget: kv.NewBudget(budget)}
	o.asks = newDoubler(t, nil)
	o.asks.client.o.Peers = o
	return o
}

// Go implements Peers.
func (o *others) Go(to kv.NodeID, _ uint8, _ time.Time, payload []byte, done func([]byte, error)) {
	d := kv.NewDecoder(payload)
	d.Byte()
	a := &asked{to: to, size: int(d.Uvarint()), room: int(d.Uvarint()), arrives: done}
	switch {
	case a.room > 0 && a.size > a.room:
		o.longer++
		a.answer()
	case a.size <= LeastRoom:
		a.answer()
	default:
		o.under = append(o.under, a)
	}
}

// read asks for a value as a client does, who keeps it until the account is closed, and gives how it ended.
func (o *others) read(ctx context.Context, to kv.NodeID, size int) (<-chan *kv.Error, *kv.Account) {
	ended, account := make(chan *kv.Error, 1), &kv.Account{}
	account.Open(o.budget, kv.OfClients)
	go func() {
		b, e := long.AskNode(kv.WithAccount(ctx, account), o.asks.client, to, uint64(size))
		if e == nil && len(b) != size {
			o.t.Errorf("%d bytes were read of %d", len(b), size)
		}
		ended <- e
	}()
	synctest.Wait()
	return ended, account
}

// endOf gives how a request has ended.
func endOf(t *testing.T, ended <-chan *kv.Error) *kv.Error {
	t.Helper()
	select {
	case e := <-ended:
		return e
	default:
		t.Fatal("it has not ended")
		return nil
	}
}

// answerFirst answers the oldest request.
func (o *others) answerFirst() {
	first := o.under[0]
	o.under = o.under[1:]
	first.answer()
	synctest.Wait()
}

// Many who ask for long values have no more of them under way than there is room for, and than one node is asked for at
// a time; what is short is answered beside them, and who waits is served in order.
func TestLongAnswersHavePlaces(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		room, places int
	}{"much room": {100 * longest, mostPlaces}, "room for two": {3 * longest, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOthers(t, int64(c.room))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				const clients = 20
				var ended []<-chan *kv.Error
				var accounts []*kv.Account
				for range clients {
					e, a := o.read(ctx, 2, longest-1000)
					ended, accounts = append(ended, e), append(accounts, a)
				}
				if len(o.under) != c.places || o.longer != clients-c.places {
					t.Fatalf("%d answers are under way, %d were told that theirs are longer", len(o.under), o.longer)
				}
				if e, _ := o.read(ctx, 2, 100); endOf(t, e) != nil {
					t.Error("what is short was not answered")
				}
				for i, e := range ended {
					o.answerFirst()
					if got := endOf(t, e); got != nil {
						t.Fatalf("client %d: %v", i, got)
					}
					accounts[i].Close() // the client has taken it
					if want := min(c.places, clients-1-i); len(o.under) > want {
						t.Fatalf("%d answers are under way, there are %d places", len(o.under), want)
					}
				}
				if l := o.asks.client.lanes.of(2); l.open.Load() != 0 || l.waiting.Load() != 0 {
					t.Errorf("%d places are taken, and %d wait", l.open.Load(), l.waiting.Load())
				}
			})
		})
	}
}

// When those who were served keep all the room, whoever waits is refused as soon as nothing is under way any more:
// nobody waits for room.
func TestWhoWaitsForAPlaceDoesNotWaitForRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOthers(t, 3*longest) // of which clients may hold two values
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		var ended []<-chan *kv.Error
		for range 10 {
			e, _ := o.read(ctx, 2, longest-1000)
			ended = append(ended, e)
		}
		for len(o.under) > 0 {
			o.answerFirst()
		}
		for i, e := range ended {
			if got := endOf(t, e); i < 2 && got != nil || i >= 2 && kv.KindOf(got) != kv.Overloaded {
				t.Errorf("client %d: %v", i, got)
			}
		}
		if time.Since(begin) > 0 {
			t.Errorf("it took %v", time.Since(begin))
		}
	})
}

// A node that does not answer keeps nobody from others, and its places are free again when its time is over; who goes
// leaves the queue.
func TestPlacesOfASilentNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOthers(t, 100*longest)
		var silent []*asked
		for range mostPlaces {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, _ = o.read(ctx, 2, longest)
		}
		silent, o.under = o.under, nil
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		gone, _ := o.read(short, 2, longest)
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		last, _ := o.read(ctx, 2, longest)
		if e, _ := o.read(ctx, 3, longest); len(o.under) != 1 {
			t.Error("another node is not asked")
		} else if o.answerFirst(); endOf(t, e) != nil {
			t.Error("another node's answer is not taken")
		}
		time.Sleep(time.Second) // who asked has gone, and the transport has not said that the answers cannot come
		if len(o.under) > 0 {
			t.Error("one is asked for although as many are under way as can be")
		}
		if e := endOf(t, gone); e == nil || e.Kind != kv.Unavailable {
			t.Errorf("who went was told %v", e)
		}
		for _, a := range silent { // as Peers does at the deadline
			a.arrives(nil, errLost)
		}
		synctest.Wait()
		if len(o.under) != 1 {
			t.Fatalf("%d answers are under way", len(o.under))
		}
		if o.answerFirst(); endOf(t, last) != nil {
			t.Error("who waited is not served")
		}
		if l := o.asks.client.lanes.of(2); l.open.Load() != 0 || l.waiting.Load() != 0 {
			t.Errorf("%d places are taken, and %d wait", l.open.Load(), l.waiting.Load())
		}
	})
}

// There is a bound for who waits, and members that are gone leave nothing.
func TestWaitingForPlacesIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOthers(t, 100*longest)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range mostPlaces + mostWaiting {
			o.read(ctx, 2, longest)
		}
		if e, _ := o.read(ctx, 2, longest); kv.KindOf(endOf(t, e)) != kv.Overloaded {
			t.Error("one more waits")
		}
		ls := &o.asks.client.lanes
		ls.of(3)
		if ls.keep([]kv.NodeID{3}); len(*ls.to.Load()) != 1 {
			t.Errorf("%d nodes are known", len(*ls.to.Load()))
		}
		cancel()
		synctest.Wait()
	})
}

func BenchmarkPlace(b *testing.B) {
	c := NewClient(Options{ValueBytes: 8 << 20})
	budget := kv.NewBudget(1 << 30)
	b.RunParallel(func(pb *testing.PB) {
		var a kv.Account
		a.Open(budget, kv.OfClients)
		for pb.Next() {
			p := c.Place(2, &a)
			p.end()
		}
	})
}
