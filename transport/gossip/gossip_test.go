package gossip

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
	within(t, 3*time.Second, "all three see each other", func() bool {
		return a.sees(2, 3) && b.sees(1, 3) && c.sees(1, 2)
	})
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
		within(t, 3*time.Second, "all three see each other", func() bool {
			return a.sees(2, 3) && b.sees(1, 3) && c.sees(1, 2)
		})

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
		within(t, time.Second, "OnChange is called", func() bool {
			return a.changes.Load() > 0 && c.changes.Load() > 0
		})
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
				never(t, time.Minute, "somebody else was missed", func() bool {
					return len(nodes[0].Peers()) != members-2
				})
			})
		})
	}
}

func TestAStoppedNodeLeavesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, net *memNet) {
		a, b, c := startThree(t, net)
		warnings := func() int {
			return a.log.count("level=WARN") + b.log.count("level=WARN") + c.log.count("level=WARN")
		}
		before := warnings() // the first that started may have complained of being alone
		c.stop()
		if len(c.Peers()) != 0 {
			t.Error("a stopped node still has peers")
		}
		within(t, time.Second, "the others know that it left", func() bool { return a.sees(2) && b.sees(1) })
		if err := c.Run(context.Background()); err == nil {
			t.Error("a Gossip can be run twice")
		}
		if n := warnings() - before; n != 0 {
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
