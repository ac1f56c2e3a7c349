package peer

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testCluster = kv.ClusterID(0xc1)

// testHandler is a Handler made of optional functions. Without one, requests are echoed and
// snapshots are read to their end.
type testHandler struct {
	frame      func(from Remote, frame []byte)
	unread     func(frame []byte) error
	request    func(from Remote, kind uint8, deadline time.Time, payload []byte, reply func([]byte, error))
	snapshot   func(ctx context.Context, from Remote, header []byte, body io.Reader) error
	disconnect func(kv.NodeID)
	silent     func(kv.NodeID)
	batchEnd   func()
}

func (h *testHandler) HandleFrame(from Remote, frame []byte) error {
	if h.frame != nil {
		h.frame(from, frame)
	}
	if h.unread != nil {
		return h.unread(frame)
	}
	return nil
}

func (h *testHandler) HandleRequest(from Remote, kind uint8, deadline time.Time, payload []byte,
	reply func([]byte, error)) {
	if h.request != nil {
		h.request(from, kind, deadline, payload, reply)
		return
	}
	reply(payload, nil)
}

func (h *testHandler) HandleSnapshot(ctx context.Context, from Remote, header []byte, body io.Reader) error {
	if h.snapshot != nil {
		return h.snapshot(ctx, from, header, body)
	}
	_, err := io.Copy(io.Discard, body)
	return err
}

func (h *testHandler) HandleDisconnect(node kv.NodeID, silent bool) {
	if silent && h.silent != nil {
		h.silent(node)
	}
	if h.disconnect != nil {
		h.disconnect(node)
	}
}

func (h *testHandler) BatchEnd() {
	if h.batchEnd != nil {
		h.batchEnd()
	}
}

// book is where nodes find each other's addresses.
type book struct {
	mu    sync.Mutex
	addrs map[kv.NodeID]string
}

func (b *book) set(id kv.NodeID, addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.addrs == nil {
		b.addrs = make(map[kv.NodeID]string)
	}
	b.addrs[id] = addr
}

func (b *book) resolve(id kv.NodeID) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	addr, ok := b.addrs[id]
	return addr, ok
}

// node is a transport that runs, and can be stopped before the test ends.
type node struct {
	*Transport
	id   kv.NodeID
	stop func()
}

// start runs a transport for node id and notes its address in b.
func start(t testing.TB, b *book, id kv.NodeID, h Handler, change ...func(*Options)) *node {
	t.Helper()
	opt := Options{
		Listen:   "127.0.0.1:0",
		Identity: Identity{Node: id, ClusterName: "test", Incarnation: 1},
		Handler:  h,
		Cluster:  func() kv.ClusterID { return testCluster },
		Resolve:  b.resolve,
	}
	for _, f := range change {
		f(&opt)
	}
	tr, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Listen(); err != nil {
		t.Fatal(err)
	}
	b.set(id, tr.Addr())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run of node %v: %v", id, err)
		}
	})
	t.Cleanup(stop)
	wiretest.Eventually(t, "the transport runs", func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return tr.state == running
	})
	return &node{tr, id, stop}
}

func incarnation(n uint64) func(*Options) { return func(o *Options) { o.Identity.Incarnation = n } }

// within returns a context for calls that should succeed.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// result is how a request ended.
type result struct {
	payload []byte
	err     error
}

// ask is Go with a channel that receives the one result; a second result fails the test.
func ask(t testing.TB, tr *Transport, to kv.NodeID, deadline time.Time, payload []byte) <-chan result {
	ch := make(chan result, 1)
	var once sync.Mutex
	tr.Go(to, 1, deadline, payload, func(p []byte, err error) {
		if !once.TryLock() {
			t.Error("done was called twice")
			return
		}
		ch <- result{p, err}
	})
	return ch
}

// call is Go, and waits for the answer. The deadline is ctx's, or 10 s from now.
func (t *Transport) call(ctx context.Context, to kv.NodeID, kind uint8, payload []byte) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	answered := make(chan result, 1)
	t.Go(to, kind, deadline, payload, func(p []byte, err error) { answered <- result{p, err} })
	r := <-answered
	return r.payload, r.err
}

// get waits for a result.
func get(t testing.TB, ch <-chan result) result {
	t.Helper()
	select {
	case r := <-ch:
		return r
	case <-time.After(15 * time.Second):
		t.Fatal("done was not called")
		return result{}
	}
}

func wantErr(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error is %v, want %v", got, want)
	}
}

// links returns how many links tr has with a peer.
func links(tr *Transport, id kv.NodeID) int {
	p := (*tr.peers.Load())[id]
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// breakLinks closes the sockets of all links with a peer, as a dying network would.
func breakLinks(tr *Transport, id kv.NodeID) {
	p := (*tr.peers.Load())[id]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		l.conn.Close()
	}
}
