package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
)

const (
	addr1 = "10.0.0.1:7946"
	addr2 = "10.0.0.2:7946"
	addr3 = "10.0.0.3:7946"
	addr4 = "10.0.0.4:7946"
)

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T, net *memNet)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Time stands still when a bubble's test has ended, and memberlist's goroutines need
		// some to end. This runs after the nodes were stopped.
		t.Cleanup(func() { time.Sleep(time.Minute) })
		f(t, newMemNet())
	})
}

// startThree runs nodes 1, 2, 3 of cluster 7 that know each other.
func startThree(t *testing.T, net *memNet) (a, b, c *testNode) {
	t.Helper()
	meta := func(name string) Meta { return Meta{Cluster: 7, Name: name} }
	join := []string{addr1, addr2, addr3}
	a = startMem(t, net, addr1, Options{ID: 1, Meta: meta("a"), Join: join})
	b = startMem(t, net, addr2, Options{ID: 2, Meta: meta("b"), Join: join})
	c = startMem(t, net, addr3, Options{ID: 3, Meta: meta("c"), Join: join})
	within(t, 3*time.Second, "all three see each other", func() bool { return a.sees(2, 3) && b.sees(1, 3) && c.sees(1, 2) })
	return a, b, c
}

func TestNodesFindEachOther(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a := startMem(t, net, addr1, Options{ID: 1, Meta: Meta{Name: "a", Expect: 3, Incarnation: 11}})
		if !a.sees() {
			t.Error("a node alone has peers")
		}
		// c knows only b, and b only a.
		b := startMem(t, net, addr2, Options{ID: 2, Join: []string{addr1}})
		c := startMem(t, net, addr3, Options{ID: 3, Join: []string{addr2}})
		within(t, 3*time.Second, "all three see each other", func() bool { return a.sees(2, 3) && b.sees(1, 3) && c.sees(1, 2) })

		want := Peer{ID: 1, Meta: Meta{Name: "a", Expect: 3, Incarnation: 11, Addresses: kv.Addresses{Gossip: addr1}}}
		if got, ok := c.Lookup(1); !ok || got != want {
			t.Errorf("c knows %+v of a, want %+v", got, want)
		}
		if got, ok := a.Lookup(1); !ok || got != want {
			t.Errorf("a knows %+v of itself, want %+v", got, want)
		}
		if _, ok := c.Lookup(99); ok || c.Alive(99) || !c.Alive(3) {
			t.Error("a node that never was is known or alive, or the own is not")
		}
		within(t, time.Second, "OnChange is called", func() bool { return a.changes.Load() > 0 && c.changes.Load() > 0 })
	})
}

func TestAChangeOfMetaIsHeard(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a, b, c := startThree(t, net)
		time.Sleep(time.Second)
		before := b.changes.Load()
		if err := a.SetMeta(Meta{Cluster: 7, Name: "a", Epoch: 42, Addresses: kv.Addresses{HTTP: "h:1"}}); err != nil {
			t.Fatal(err)
		}
		heard := func(n *testNode) bool {
			p, ok := n.Lookup(1)
			return ok && p.Meta.Epoch == 42 && p.Meta.Addresses == kv.Addresses{HTTP: "h:1", Gossip: addr1}
		}
		took := within(t, 2*time.Second, "the others hear the new epoch", func() bool { return heard(b) && heard(c) })
		t.Logf("a new epoch is heard after %v", took)
		within(t, time.Second, "OnChange is called", func() bool { return b.changes.Load() > before })

		// What cannot be said changes nothing.
		if err := a.SetMeta(Meta{Cluster: 7, Name: strings.Repeat("a", 129)}); err == nil {
			t.Error("a name that is too long is taken")
		}
		if p, _ := a.Lookup(1); p.Meta.Epoch != 42 {
			t.Errorf("after an error a says %+v", p.Meta)
		}
	})
}

func TestADeadNodeIsMissed(t *testing.T) {
	for _, members := range []int{2, 3, 5, 12} {
		t.Run(fmt.Sprint(members, " nodes"), func(t *testing.T) {
			bubble(t, func(t *testing.T, net *memNet) {
				var nodes []*testNode
				for i := range members {
					at := fmt.Sprintf("10.0.0.%d:7946", i+1)
					nodes = append(nodes, startMem(t, net, at, Options{ID: kv.NodeID(i + 1), Join: []string{addr1}}))
				}
				everyone := func() bool {
					for _, n := range nodes {
						if len(n.Peers()) != members-1 {
							return false
						}
					}
					return true
				}
				within(t, 15*time.Second, "all see each other", everyone)
				time.Sleep(20 * time.Second)

				dead := kv.NodeID(members)
				net.isolate(fmt.Sprintf("10.0.0.%d:7946", members))
				var first, last time.Duration
				start := time.Now()
				within(t, 6*time.Second, "all others miss the dead node", func() bool {
					missing := 0
					for _, n := range nodes[:members-1] {
						if !n.Alive(dead) {
							missing++
						}
					}
					if missing > 0 && first == 0 {
						first = time.Since(start)
					}
					return missing == members-1
				})
				last = time.Since(start)
				t.Logf("%d nodes: first after %v, all after %v", members, first, last)

				if p, ok := nodes[0].Lookup(dead); !ok || p.ID != dead {
					t.Error("what the dead node said last is forgotten")
				}
				never(t, time.Minute, "somebody else was missed", func() bool { return len(nodes[0].Peers()) != members-2 })
			})
		})
	}
}

func TestAStoppedNodeLeavesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a, b, c := startThree(t, net)
		c.stop()
		if len(c.Peers()) != 0 {
			t.Error("a stopped node still has peers")
		}
		within(t, time.Second, "the others know that it left", func() bool { return a.sees(2) && b.sees(1) })
		if err := c.Run(context.Background()); err == nil {
			t.Error("a Gossip can be run twice")
		}
		if n := c.log.count("level=WARN") + a.log.count("level=WARN"); n != 0 {
			t.Errorf("%d warnings for a stop", n)
		}
	})
}

func TestLostPacketsAreNoDeath(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a, b, c := startThree(t, net)
		net.setLoss(0.1)
		time.Sleep(2 * time.Minute)
		if !a.sees(2, 3) || !b.sees(1, 3) || !c.sees(1, 2) {
			t.Error("a tenth of all packets lost, and a node is missed")
		}
	})
}

func TestStrangersAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		reg := prometheus.NewRegistry()
		a := startMem(t, net, addr1, Options{ID: 1, Meta: Meta{Cluster: 0xaaa, Name: "a"}, Metrics: reg})
		b := startMem(t, net, addr2, Options{ID: 2, Meta: Meta{Cluster: 0xbbb, Name: "b"}, Join: []string{addr1}})
		never(t, time.Minute, "nodes of two clusters met", func() bool { return len(a.Peers())+len(b.Peers()) > 0 })
		for _, n := range []*testNode{a, b} {
			// Once a minute, though b knocks once a second.
			if got := n.log.count("another cluster", "0000000000000aaa", "0000000000000bbb"); got < 1 || got > 2 {
				t.Errorf("node %d has %d lines that name both clusters, want 1 or 2", n.id, got)
			}
		}
		if n := counted(t, reg, "pxkv_gossip_refused_total", refusedCluster); n < 10 {
			t.Errorf("%v refusals counted", n)
		}
	})
}

// A fresh node that was given addresses of two clusters meets both, and introduces them to
// nobody. When it has become a member of one, it and the other are strangers.
func TestAFreshNodeMeetsAnyone(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a := startMem(t, net, addr1, Options{ID: 1, Meta: Meta{Cluster: 0xaaa, Name: "a"}})
		b := startMem(t, net, addr2, Options{ID: 2, Meta: Meta{Cluster: 0xbbb, Name: "b"}})
		f := startMem(t, net, addr3, Options{ID: 3, Meta: Meta{Name: "f"}, Join: []string{addr1, addr2}})
		within(t, 15*time.Second, "the fresh node meets both", func() bool { return f.sees(1, 2) && a.sees(3) && b.sees(3) })
		never(t, time.Minute, "the clusters met", func() bool { return !a.sees(3) || !b.sees(3) })

		if err := f.SetMeta(Meta{Cluster: 0xaaa, Name: "f"}); err != nil {
			t.Fatal(err)
		}
		within(t, 3*time.Second, "it has only its own cluster", func() bool { return f.sees(1) && a.sees(3) && b.sees() })
		if _, ok := b.Lookup(3); ok {
			t.Error("b still knows what the fresh node said")
		}
		never(t, time.Minute, "it met the other cluster again", func() bool { return !f.sees(1) || !a.sees(3) || !b.sees() })
	})
}

func TestClustersOfDifferentNamesNeverMix(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a := startMem(t, net, addr1, Options{ID: 1, ClusterName: "blue", Join: []string{addr2}})
		b := startMem(t, net, addr2, Options{ID: 2, ClusterName: "green", Join: []string{addr1}})
		never(t, time.Minute, "they met", func() bool { return len(a.Peers())+len(b.Peers()) > 0 })
		if n := a.log.count("unacceptable label"); n < 1 || n > 2 {
			t.Errorf("%d lines about it in a minute, want 1 or 2", n)
		}
	})
}

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
		moved := startMem(t, net, addr4, Options{ID: 3, Meta: Meta{Cluster: 7, Name: "c", Incarnation: 2}, Join: []string{addr1, addr2}})
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
		copied := startMem(t, net, addr4, Options{ID: 3, Meta: Meta{Cluster: 7, Name: "c", Incarnation: 2}, Join: []string{addr1}})
		never(t, 5*time.Minute, "the copy took the place of the original", func() bool {
			p, _ := a.Lookup(3)
			return !a.Alive(3) || p.Meta.Incarnation == 2
		})
		if copied.log.count("copy of its data directory") == 0 {
			t.Error("the copy did not log that there is another")
		}
	})
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

		a := startMem(t, net, addr1, Options{ID: 1, Join: []string{"peer.example", "other.example:1"}, Resolve: resolve})
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
		if err == nil || !strings.Contains(err.Error(), "--advertise") || !strings.Contains(err.Error(), "no such host") {
			t.Errorf("Run: %v", err)
		}
		if waited := time.Since(start); waited < 29*time.Second || waited > 31*time.Second {
			t.Errorf("it gave up after %v, want 30 s", waited)
		}
	})
}

// A node whose words make no sense is no peer, and hurts nobody.
func TestBadMetaIsIgnored(t *testing.T) {
	good, err := encodeMeta(Meta{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, name string
		meta       []byte
	}{
		{"no meta", kv.NodeID(9).String(), nil},
		{"meta of a later version", kv.NodeID(9).String(), append([]byte{2}, good[1:]...)},
		{"meta cut short", kv.NodeID(9).String(), good[:len(good)-1]},
		{"a name that is no id", "db-1", good},
		{"an id not written as ids are", "9", good},
		{"the id of no node", kv.NodeID(0).String(), good},
	} {
		t.Run(c.what, func(t *testing.T) {
			bubble(t, func(t *testing.T, net *memNet) {
				a, b, _ := startThree(t, net)
				conf := memberlist.DefaultLANConfig()
				conf.Name, conf.Label, conf.Transport = c.name, "pxkv", net.listen(addr4)
				conf.Delegate = rawMeta(c.meta)
				conf.LogOutput = &testLog{}
				odd, err := memberlist.Create(conf)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = odd.Shutdown() }()
				if _, err := odd.Join([]string{addr1}); err != nil {
					t.Fatal(err)
				}
				never(t, time.Minute, "it is a peer, or the others are not", func() bool { return !a.sees(2, 3) || !b.sees(1, 3) })
				if n := a.log.count("is ignored", c.name); n < 1 || n > 2 {
					t.Errorf("%d lines about it in a minute, want 1 or 2", n)
				}
			})
		})
	}
}

// rawMeta is a memberlist.Delegate that says just these bytes.
type rawMeta []byte

func (m rawMeta) NodeMeta(int) []byte           { return m }
func (rawMeta) NotifyMsg([]byte)                {}
func (rawMeta) GetBroadcasts(int, int) [][]byte { return nil }
func (rawMeta) LocalState(bool) []byte          { return nil }
func (rawMeta) MergeRemoteState([]byte, bool)   {}

func TestASlowOnChangeHoldsUpNothing(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		release := make(chan struct{})
		var calls atomic.Int64
		a := startMem(t, net, addr1, Options{ID: 1, OnChange: func() { calls.Add(1); <-release }})
		startMem(t, net, addr2, Options{ID: 2, Join: []string{addr1}})
		b := startMem(t, net, addr3, Options{ID: 3, Join: []string{addr1}})
		within(t, 3*time.Second, "peers are seen all the same", func() bool { return a.sees(2, 3) })
		for epoch := range kv.Epoch(50) {
			if err := b.SetMeta(Meta{Name: "c", Epoch: epoch}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
		}
		within(t, 3*time.Second, "so is what they say", func() bool { p, _ := a.Lookup(3); return p.Meta.Epoch == 49 })
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls at a time", n)
		}
		close(release)
		within(t, time.Second, "one more call tells of all that came since", func() bool { return calls.Load() == 2 })
		never(t, 5*time.Second, "calls are not coalesced", func() bool { return calls.Load() > 2 })
	})
}

func TestNewReportsEveryFault(t *testing.T) {
	t.Parallel()
	_, err := New(Options{
		Bind: "7946", Join: []string{"ok.example", "a:b:c", ":7946", "x:99999"}, AdvertiseHost: strings.Repeat("h", 300),
		AloneInterval: -1, Meta: Meta{Expect: -1, Addresses: kv.Addresses{HTTP: strings.Repeat("h", 300)}},
	})
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	for _, want := range []string{
		"node id is 0", "cluster name", "listen on", `"a:b:c"`, `":7946"`, `"x:99999"`, "advertise", "negative", "node name", "http address", "expected number",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not tell about %s: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "ok.example") {
		t.Errorf("a good address is reported: %v", err)
	}

	reg := prometheus.NewRegistry()
	o := Options{ID: 1, ClusterName: "pxkv", Bind: "127.0.0.1:0", Meta: Meta{Name: "a"}, Metrics: reg}
	if _, err := New(o); err != nil {
		t.Fatal(err)
	}
	if _, err := New(o); err == nil {
		t.Error("metrics can be registered twice")
	}
}

func TestJoinAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given, host string
		port        uint16
	}{
		{"a.example", "a.example", 1},
		{"a.example:2", "a.example", 2},
		{"10.0.0.1", "10.0.0.1", 1},
		{"::1", "::1", 1},
		{"[::1]", "::1", 1},
		{"[::1]:2", "::1", 2},
	} {
		if host, port, err := splitJoin(c.given, "1"); host != c.host || port != c.port || err != nil {
			t.Errorf("splitJoin(%q) = %q, %d, %v, want %q, %d", c.given, host, port, err, c.host, c.port)
		}
	}
	for _, bad := range []string{"", ":", ":1", "a:", "a:b", "a:0", "a:65536", "a b", "a/b:1", "::1::"} {
		if host, port, err := splitJoin(bad, "1"); err == nil {
			t.Errorf("splitJoin(%q) = %q, %d", bad, host, port)
		}
	}
}

var _ net.Conn = (*stream)(nil)
