package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// names is a name server that a test controls. All names mean the same address.
type names struct {
	at    atomic.Pointer[netip.Addr] // nil: no name resolves
	hangs atomic.Bool                // it does not answer
	asked atomic.Int64
}

func (n *names) means(ip string) { a := netip.MustParseAddr(ip); n.at.Store(&a) }

func (n *names) lookup(ctx context.Context, _ string) ([]netip.Addr, error) {
	n.asked.Add(1)
	if n.hangs.Load() {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	if ip := n.at.Load(); ip != nil {
		return []netip.Addr{*ip}, nil
	}
	return nil, errors.New("the name server is down")
}

// named makes a transport find the nodes of a book by names.
func named(b *book, n *names) func(*Options) {
	return func(o *Options) {
		o.Lookup = n.lookup
		o.Resolve = func(id kv.NodeID) (string, bool) {
			addr, ok := b.resolve(id)
			if !ok {
				return "", false
			}
			_, port, _ := net.SplitHostPort(addr)
			return net.JoinHostPort("node.test", port), true
		}
	}
}

// A name server that is down, or does not answer, ends nothing between nodes that have met.
func TestNamesThatStopResolvingEndNothing(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*names){
		"down":     func(n *names) { n.at.Store(nil) },
		"no reply": func(n *names) { n.hangs.Store(true) },
		"a lie":    func(n *names) { n.means("127.0.0.77") }, // where nobody listens
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b book
			var n names
			n.means("127.0.0.1")
			n1 := start(t, &b, 1, &testHandler{}, named(&b, &n))
			start(t, &b, 2, &testHandler{})
			if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
				t.Fatal(err)
			}
			fail(&n)
			for range 3 {
				breakLinks(n1.Transport, 2)
				wiretest.Eventually(t, "the link is noticed to be gone", func() bool {
					return links(n1.Transport, 2) == 0
				})
				before := n.asked.Load()
				wiretest.Eventually(t, "the peer is reached again", func() bool {
					_, err := n1.call(within(t, 30*time.Second), 2, 1, nil)
					return err == nil
				})
				if n.asked.Load() == before {
					t.Error("the name was not looked up anew")
				}
			}
		})
	}
}

// A fresh process tries where a peer is heard by other means.
func TestAPeerWhoseNameNeverResolvedIsDialedWhereItIsSeen(t *testing.T) {
	t.Parallel()
	var b book
	var n names
	n1 := start(t, &b, 1, &testHandler{}, named(&b, &n), func(o *Options) {
		o.Seen = func(id kv.NodeID) (netip.Addr, bool) { return netip.MustParseAddr("127.0.0.1"), id == 2 }
	})
	start(t, &b, 2, &testHandler{})
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Error(err)
	}
	_, err := n1.call(within(t, 30*time.Second), 3, 1, nil)
	wantErr(t, err, ErrNotSent)
}

// What a name means now goes before what it meant: a peer may have moved, and another node may
// have its former address.
func TestANameThatMeansAnotherAddressIsFollowed(t *testing.T) {
	t.Parallel()
	var b book
	var n names
	n.means("127.0.0.1")
	n1 := start(t, &b, 1, &testHandler{}, named(&b, &n))
	first := start(t, &b, 2, &testHandler{})
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Fatal(err)
	}
	first.stop()
	_, port, _ := net.SplitHostPort(first.Addr())
	start(t, &b, 3, &testHandler{}, func(o *Options) { o.Listen = net.JoinHostPort("127.0.0.1", port) })
	start(t, &b, 2, &testHandler{}, incarnation(2), func(o *Options) { o.Listen = net.JoinHostPort("127.0.0.2", port) })
	wiretest.Eventually(t, "the peer is not found where another is", func() bool {
		_, err := n1.call(within(t, 30*time.Second), 2, 1, nil)
		return err != nil
	})
	n.means("127.0.0.2")
	wiretest.Eventually(t, "the peer is reached where it is now", func() bool {
		_, err := n1.call(within(t, 30*time.Second), 2, 1, nil)
		return err == nil
	})
}

// Who waits for the name of one peer keeps nobody from another.
func TestALookupHoldsUpNoOtherPeer(t *testing.T) {
	t.Parallel()
	var b book
	hanging := make(chan struct{}, 16)
	n1 := start(t, &b, 1, &testHandler{}, func(o *Options) {
		o.DialTimeout = time.Minute
		o.Resolve = func(id kv.NodeID) (string, bool) {
			if id > 2 {
				return "slow.test:1", true
			}
			return b.resolve(id)
		}
		o.Lookup = func(ctx context.Context, _ string) ([]netip.Addr, error) {
			hanging <- struct{}{}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
	})
	start(t, &b, 2, &testHandler{})
	for id := kv.NodeID(3); id < 10; id++ {
		n1.Send(id, nil)
		<-hanging
	}
	if _, err := n1.call(within(t, 30*time.Second), 2, 1, nil); err != nil {
		t.Error(err)
	}
}
