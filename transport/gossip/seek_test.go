package gossip

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAWholeClusterComesBack(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a, b, c := startThree(t, net)
		b.stop()
		c.stop()
		within(t, time.Second, "a is alone", func() bool { return a.sees() })
		time.Sleep(10 * time.Minute)
		b = startMem(t, net, addr2, Options{ID: 2, Meta: Meta{Cluster: 7, Name: "b", Incarnation: 2}})
		within(t, 3*time.Second, "a looks for the others for ever", func() bool { return a.sees(2) && b.sees(1) })
		if p, _ := a.Lookup(2); p.Meta.Incarnation != 2 {
			t.Errorf("a knows %+v of the restarted b", p.Meta)
		}
	})
}

// Memberlist forgets the dead after half a minute. Only the members' addresses bring two
// halves together again.
func TestAPartitionHeals(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a := startMem(t, net, addr1, Options{ID: 1})
		b := startMem(t, net, addr2, Options{ID: 2, Join: []string{addr1}})
		c := startMem(t, net, addr3, Options{ID: 3})
		d := startMem(t, net, addr4, Options{ID: 4, Join: []string{addr3}})
		for _, n := range []*testNode{a, b, c, d} {
			n.SetMembers([]string{addr1, addr2, addr3, addr4})
		}
		whole := func() bool { return a.sees(2, 3, 4) && b.sees(1, 3, 4) && c.sees(1, 2, 4) && d.sees(1, 2, 3) }
		within(t, 3*time.Second, "SetMembers brings all together", whole)

		net.separate(func(x, y netip.AddrPort) bool {
			return x.Addr().As4()[3] <= 2 != (y.Addr().As4()[3] <= 2)
		})
		within(t, 10*time.Second, "two halves", func() bool { return a.sees(2) && b.sees(1) && c.sees(4) && d.sees(3) })
		time.Sleep(10 * time.Minute)
		net.separate(nil)
		t.Logf("whole after %v", within(t, 15*time.Second, "the halves find each other", whole))
	})
}

// A container that died at once comes back at another address, while the others still
// believe in the old one.
func TestANodeMovesToAnotherAddress(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a, b, c := startThree(t, net)
		net.isolate(addr3)
		moved := startMem(t, net, addr4, Options{
			ID: 3, Meta: Meta{Cluster: 7, Name: "c", Incarnation: 2}, Join: []string{addr1, addr2},
		})
		knows := func(n *testNode) bool {
			p, ok := n.Lookup(3)
			return ok && n.Alive(3) && p.Meta.Addresses.Gossip == addr4 && p.Meta.Incarnation == 2
		}
		t.Logf("believed after %v", within(t, 10*time.Second, "the others believe the new address",
			func() bool { return knows(a) && knows(b) && moved.sees(1, 2) }))
		never(t, time.Minute, "it flaps", func() bool { return !knows(a) || !knows(b) })
		c.stop()
	})
}

// A second process with the same id is no peer of anyone while the first is alive.
func TestACopiedDataDirectoryIsNoticed(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a, _, _ := startThree(t, net)
		copied := startMem(t, net, addr4, Options{
			ID: 3, Meta: Meta{Cluster: 7, Name: "c", Incarnation: 2}, Join: []string{addr1},
		})
		never(t, 5*time.Minute, "the copy took the place of the original", func() bool {
			p, _ := a.Lookup(3)
			return !a.Alive(3) || p.Meta.Incarnation == 2
		})
		if copied.log.count("copy of its data directory") == 0 {
			t.Error("the copy did not log that there is another")
		}
	})
}

// A cluster whose name server is down, or does not answer, finds its members again: they are where
// they were.
func TestNamesThatStopResolvingKeepNobodyApart(t *testing.T) {
	for name, failing := range map[string]func(context.Context) error{
		"down":     func(context.Context) error { return errors.New("the name server is down") },
		"no reply": func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, net *memNet) {
				var down atomic.Bool
				resolve := func(ctx context.Context, host string) ([]netip.Addr, error) {
					if down.Load() {
						return nil, failing(ctx)
					}
					return []netip.Addr{
						netip.MustParseAddr(map[string]string{"a.test": "10.0.0.1", "b.test": "10.0.0.2"}[host]),
					}, nil
				}
				const a1, b2 = "a.test:7946", "b.test:7946"
				a := startMem(t, net, addr1, Options{ID: 1, AdvertiseHost: "a.test", Resolve: resolve})
				b := startMem(t, net, addr2, Options{
					ID: 2, AdvertiseHost: "b.test", Join: []string{a1}, Resolve: resolve,
				})
				for _, n := range []*testNode{a, b} {
					n.SetMembers([]string{a1, b2})
				}
				within(t, 3*time.Second, "they see each other", func() bool { return a.sees(2) && b.sees(1) })

				down.Store(true)
				net.separate(func(x, y netip.AddrPort) bool { return x != y })
				within(t, 10*time.Second, "they are apart", func() bool { return a.sees() && b.sees() })
				time.Sleep(10 * time.Minute)
				net.separate(nil)
				t.Logf("together after %v", within(t, 15*time.Second, "they find each other", func() bool {
					return a.sees(2) && b.sees(1)
				}))

				b.stop() // and comes back as another process, which knows nobody: a finds it
				within(t, 3*time.Second, "b is gone", func() bool { return a.sees() })
				time.Sleep(10 * time.Minute)
				startMem(t, net, addr2, Options{
					ID: 2, Meta: Meta{Name: "b", Incarnation: 2}, Join: []string{a1}, Resolve: resolve,
				})
				within(t, 15*time.Second, "a finds it where it was", func() bool { return a.sees(2) })
			})
		})
	}
}

func TestNamesAreResolvedAnew(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		var at atomic.Pointer[netip.Addr]
		resolve := func(_ context.Context, host string) ([]netip.Addr, error) {
			if ip := at.Load(); ip != nil && host == "peer.example" {
				return []netip.Addr{netip.MustParseAddr("10.0.0.9"), *ip}, nil // nobody is at .9
			}
			return nil, errors.New("no such host")
		}
		move := func(ip string) { a := netip.MustParseAddr(ip); at.Store(&a) }

		a := startMem(t, net, addr1, Options{
			ID: 1, Join: []string{"peer.example", "other.example:1"}, Resolve: resolve,
		})
		never(t, 5*time.Second, "somebody is there", func() bool { return len(a.Peers()) > 0 })
		if a.log.count("no other node can be reached yet", "no such host") != 1 {
			t.Error("a does not say why it is alone, once")
		}
		b := startMem(t, net, addr2, Options{ID: 2})
		move("10.0.0.2")
		within(t, 3*time.Second, "the name resolves, and b is found", func() bool { return a.sees(2) })

		b.stop()
		within(t, 3*time.Second, "b is gone", func() bool { return a.sees() })
		startMem(t, net, addr3, Options{ID: 3})
		move("10.0.0.3")
		within(t, 3*time.Second, "the name means another node now", func() bool { return a.sees(3) })
	})
}

func TestAdvertisedNameMayResolveLate(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		ready := time.Now().Add(5 * time.Second)
		resolve := func(context.Context, string) ([]netip.Addr, error) {
			if time.Now().Before(ready) {
				return nil, errors.New("no such host")
			}
			return []netip.Addr{netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("10.0.0.1")}, nil
		}
		a := startMem(t, net, addr1, Options{ID: 1, AdvertiseHost: "a.example", Resolve: resolve})
		b := startMem(t, net, addr2, Options{ID: 2, Join: []string{addr1}})
		within(t, 3*time.Second, "they meet", func() bool { return a.sees(2) && b.sees(1) })
		if p, _ := b.Lookup(1); p.Meta.Addresses.Gossip != "a.example:7946" {
			t.Errorf("a says it is at %q", p.Meta.Addresses.Gossip)
		}
		if n := a.log.count("level=WARN", "own host name does not resolve yet", "host=a.example"); n != 1 {
			t.Errorf("it said %d times what it waited for, want 1", n)
		}
	})
}

func TestAdvertisedNameMustResolve(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		g, err := New(Options{
			ID: 1, ClusterName: "pxkv", Meta: Meta{Name: "a"}, Transport: net.listen(addr1), AdvertiseHost: "a.example",
			Resolve: func(context.Context, string) ([]netip.Addr, error) { return nil, errors.New("no such host") },
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		err = g.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "--advertise") ||
			!strings.Contains(err.Error(), "no such host") {
			t.Errorf("Run: %v", err)
		}
		if waited := time.Since(start); waited < 29*time.Second || waited > 31*time.Second {
			t.Errorf("it gave up after %v, want 30 s", waited)
		}
	})
}
