package rpc

import (
	"context"
	"errors"
	"time"

	"pxkv/node/kv"
)

// Method is one thing that nodes ask of each other: of the leader of a partition, mostly. N is who answers, Q what is
// asked and A the answer.
type Method[N, Q, A any] struct {
	Kind uint8
	// Repeatable: it changes nothing, so that without an answer it can be asked again. Its answer is counted on the
	// account of the request, and is "unavailable" where that of another is "unknown".
	Repeatable bool
	// OneKey: attempts are counted by whether the leader was here.
	OneKey bool
	// Direct: a node speaks for itself in it, and is asked for nothing that a third node would pass on.
	Direct bool
	// Bare: what is asked does not begin with Version.
	Bare bool

	// Encode makes the request. room is how many bytes of a value there is room for in the answer, 0: any number.
	Encode func(q Q, room int) []byte
	// Decode reads what another node asks, and checks it. A kv.Error is answered, any other one refuses it as
	// malformed.
	Decode func(n N, from kv.NodeID, d kv.Decoder) (Q, error)
	// Here does what is asked, on this node. It may wait, until ctx ends.
	Here func(n N, ctx context.Context, q Q) (A, *kv.Error)
	// EncodeAnswer makes the whole answer: see NewAnswer.
	EncodeAnswer func(a A) []byte
	// DecodeAnswer reads its content; ok is false where it is malformed.
	DecodeAnswer func(q Q, d kv.Decoder) (a A, ok bool)
	// Answer does what another node asks, without waiting. nil: Here does it, on a goroutine of its own.
	Answer func(n N, q Q, r Reply[A])
}

// Ask asks the leader of a partition, here or wherever it is: see Client.Try.
func (m *Method[N, Q, A]) Ask(ctx context.Context, c *Client, n N, p kv.PartitionID, q Q) (a A, err error) {
	err = c.Try(ctx, p, func(ctx context.Context, to kv.NodeID) *kv.Error {
		var e *kv.Error
		if to != c.o.Self {
			a, e = m.AskNode(ctx, c, to, q)
			return e
		}
		if m.OneKey {
			c.o.Counters.Local.Inc()
		}
		a, e = m.Here(n, ctx, q)
		return e
	})
	return a, err
}

// AskNode asks another node, once: twice where the answer turns out to need a Place.
func (m *Method[N, Q, A]) AskNode(ctx context.Context, c *Client, to kv.NodeID, q Q) (A, *kv.Error) {
	if m.OneKey {
		c.o.Counters.Forwarded.Inc()
	}
	if !m.Repeatable {
		a, _, e := m.ask(ctx, c, to, q, Tally{})
		return a, e
	}
	tally := Tally{Account: kv.AccountOf(ctx)}
	tally.Place = c.Place(to, tally.Account)
	a, told, e := m.ask(ctx, c, to, q, tally)
	if !told || e.Kind != kv.Overloaded || !tally.Place.Longer {
		return a, e
	}
	if tally.Place, e = c.AwaitPlace(ctx, to, tally.Account); e == nil {
		a, _, e = m.ask(ctx, c, to, q, tally)
	}
	return a, e
}

// ask asks another node once, for an answer that has room in its Place. told says that the error came from the other
// node.
func (m *Method[N, Q, A]) ask(
	ctx context.Context, c *Client, to kv.NodeID, q Q, tally Tally,
) (a A, told bool, _ *kv.Error) {
	b, err := c.Call(ctx, Request{
		To: to, Kind: m.Kind, Payload: m.Encode(q, tally.Place.Room), Direct: m.Direct, Tally: tally,
	})
	switch {
	case err == nil:
	case m.Repeatable:
		return a, false, c.Unanswered(ctx, to, err)
	case c.NotSent(err):
		return a, false, kv.Errorf(kv.Unavailable, "node %s cannot be reached: %v", c.o.Names.Of(to), err)
	default:
		return a, false, kv.ErrUnknown()
	}
	d, e := DecodeAnswer(b)
	if e == nil {
		a, ok := m.DecodeAnswer(q, d)
		if ok {
			return a, false, nil
		}
		e = kv.Errorf(kv.Internal, "malformed answer from node %s", c.o.Names.Of(to))
	}
	tally.Account.Give(len(b))
	if !m.Repeatable && e.Kind == kv.Internal {
		e = kv.ErrUnknown() // the answer to what was perhaps done, which nobody can read
	}
	return a, true, e
}

// Reply is where the answer to another node goes, once.
type Reply[A any] struct {
	Deadline time.Time // of the request
	to       func([]byte, error)
	encode   func(A) []byte
	most     int
}

// Within returns a Reply that says that there is no room, instead of sending more than so many bytes.
func (r Reply[A]) Within(bytes int) Reply[A] {
	r.most = bytes
	return r
}

// Send answers, by any goroutine.
func (r Reply[A]) Send(a A, e *kv.Error) {
	if e != nil {
		r.Fail(e)
		return
	}
	b := r.encode(a)
	if r.most > 0 && len(b) > r.most {
		b = EncodeError(kv.ErrOverloaded())
	}
	r.to(b, nil)
}

// Fail answers with an error.
func (r Reply[A]) Fail(e *kv.Error) { r.to(EncodeError(e), nil) }

// serve answers another node.
func (m *Method[N, Q, A]) serve(s *Server[N], in Incoming) {
	d := kv.NewDecoder(in.Payload)
	if !m.Bare && d.Byte() != Version {
		s.refuse(in, ErrMalformed)
		return
	}
	r := Reply[A]{Deadline: in.Deadline, to: in.Reply, encode: m.EncodeAnswer}
	q, err := m.Decode(s.node, in.From, d)
	if e, ok := errors.AsType[*kv.Error](err); ok {
		r.Fail(e)
		return
	}
	switch {
	case err != nil:
		s.refuse(in, err)
	case m.Answer != nil:
		m.Answer(s.node, q, r)
	default:
		s.Go(r.Deadline, func(ctx context.Context) { r.Send(m.Here(s.node, ctx, q)) }, r.Fail)
	}
}

func (m *Method[N, Q, A]) kind() uint8      { return m.Kind }
func (m *Method[N, Q, A]) repeatable() bool { return m.Repeatable }
func (m *Method[N, Q, A]) direct() bool     { return m.Direct }
