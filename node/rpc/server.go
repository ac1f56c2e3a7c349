package rpc

import (
	"context"
	"fmt"
	"sync"
	"time"

	"pxkv/node/kv"
)

// Handler is a Method, whatever it asks.
type Handler[N any] interface {
	serve(*Server[N], Incoming)
	kind() uint8
	repeatable() bool
	direct() bool
}

// Kinds is all that nodes ask of each other, by the kinds of their requests.
type Kinds[N any] struct{ table []Handler[N] }

// KindsOf returns the table of Methods. It panics where two have the same kind.
func KindsOf[N any](methods ...Handler[N]) Kinds[N] {
	var k Kinds[N]
	for _, m := range methods {
		kind := m.kind()
		if k.of(kind) != nil || kind == KindLeading || kind == KindVia {
			panic(fmt.Sprintf("rpc: two methods of kind %d", kind))
		}
		k.table = append(k.table, make([]Handler[N], max(0, int(kind)+1-len(k.table)))...)
		k.table[kind] = m
	}
	return k
}

func (k Kinds[N]) of(kind uint8) Handler[N] {
	if int(kind) >= len(k.table) {
		return nil
	}
	return k.table[kind]
}

// Repeatable reports whether requests of a kind change nothing: without an answer they can be made again.
func (k Kinds[N]) Repeatable(kind uint8) bool {
	h := k.of(kind)
	return kind == KindLeading || h != nil && h.repeatable()
}

func (k Kinds[N]) direct(kind uint8) bool {
	h := k.of(kind)
	return h != nil && h.direct()
}

// Incoming is a request of another node.
type Incoming struct {
	From     kv.NodeID
	Kind     uint8
	Deadline time.Time
	Payload  []byte
	Reply    func([]byte, error) // is called exactly once, maybe later
}

// Server answers what other nodes ask of this one.
type Server[N any] struct {
	node   N
	client *Client
	kinds  Kinds[N]
	life   context.Context // of answers on goroutines of their own
	end    context.CancelFunc
	Gate   // for those
}

// NewServer returns a Server, which answers for a node. client asks for the same one.
func NewServer[N any](node N, client *Client, kinds Kinds[N]) *Server[N] {
	s := &Server[N]{node: node, client: client, kinds: kinds}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Handle answers another node. Who asks the wrong node is told who leads; only what names a third node itself is
// passed on.
func (s *Server[N]) Handle(in Incoming) {
	if s.client.Stopping() {
		in.Reply(EncodeError(s.client.ErrStopping()), nil)
		return
	}
	switch in.Kind {
	case KindLeading:
		in.Reply(s.client.leading(), nil)
		return
	case KindVia:
		if err := s.client.relay(in, s.kinds.direct); err != nil {
			s.refuse(in, err)
		}
		return
	}
	if h := s.kinds.of(in.Kind); h != nil {
		h.serve(s, in)
		return
	}
	s.refuse(in, fmt.Errorf("request of unknown kind %d: is this node of an older version?", in.Kind))
}

// refuse answers what no sound node sends.
func (s *Server[N]) refuse(in Incoming, err error) {
	s.client.o.Counters.Malformed.Inc()
	in.Reply(nil, err)
}

// Go runs f, which answers, on a goroutine of its own. Its context ends at the request's deadline, or when the node
// stops. A node that has stopped calls stopped instead.
func (s *Server[N]) Go(deadline time.Time, f func(context.Context), stopped func(*kv.Error)) {
	if !s.Enter() {
		stopped(s.client.ErrStopping())
		return
	}
	go func() {
		defer s.Leave()
		ctx, cancel := s.Until(deadline)
		defer cancel()
		f(ctx)
	}()
}

// Until returns the context of an answer: it ends at the request's deadline, or when the node stops.
func (s *Server[N]) Until(deadline time.Time) (context.Context, context.CancelFunc) {
	return context.WithDeadline(s.life, deadline)
}

// Stop makes the node refuse what others ask, and try nothing again that it asks itself; it waits for the answers
// under way on goroutines of their own.
func (s *Server[N]) Stop() {
	s.client.Stop()
	s.end()
	s.Close()
}

// Gate counts who is inside, so that a stopping node can wait for the last of them before it closes the store.
type Gate struct {
	mu     sync.RWMutex
	closed bool
	inside sync.WaitGroup
}

// Enter reports whether the gate is open; Leave must follow then.
func (g *Gate) Enter() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if !g.closed {
		g.inside.Add(1)
	}
	return !g.closed
}

// Leave is called once by who has entered.
func (g *Gate) Leave() { g.inside.Done() }

// Close lets nobody in any more and waits until all have left.
func (g *Gate) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}
