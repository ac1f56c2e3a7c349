//go:build !planted

package sim

import (
	"testing"
	"testing/cryptotest"
	"time"

	"pxkv/node/kv"
)

// grown is a cluster of so many nodes in peace, with more groups than are filled at once.
func grown(t *testing.T, nodes int) *World {
	t.Helper()
	return grownAs(t, nodes, func(*Options) {})
}

// grownAs is such a cluster with other options.
func grownAs(t *testing.T, nodes int, change func(*Options)) *World {
	t.Helper()
	o := Options{Seed: 1, Partitions: 12, Replicas: 3, Clients: 3, Keys: 100, KeyLife: time.Hour, Writes: 0.9,
		Plain: true, LogBytes: 1 << 20, CacheSize: 64, TurnDelay: 5 * time.Millisecond, Settle: 40 * time.Second}
	change(&o)
	cryptotest.SetGlobalRandom(t, o.Seed)
	w := newWorld(o)
	w.cluster, w.healed, w.over = 0xc1, true, true
	w.addNode().start(true)
	for range w.o.Clients {
		w.addClient()
	}
	w.run(2 * time.Second)
	w.join(t, nodes-1)
	if nodes > 1 {
		w.settle()
	}
	if w.failure != nil {
		t.Fatal(w.failure)
	}
	return w
}

// join adds nodes, and returns when the cluster has taken them.
func (w *World) join(t *testing.T, count int) []*node {
	t.Helper()
	var added []*node
	for range count {
		n := w.addNode()
		n.start(false)
		added = append(added, n)
	}
	for _, n := range added {
		for !n.joined && w.failure == nil {
			w.run(w.now + 50*time.Millisecond)
		}
	}
	return added
}

// die takes a node away for ever.
func (n *node) die() {
	n.crash()
	n.lost = true
}

// A node alone, two join, one of them dies before it has got anything: all partitions are on two
// disks soon, and on three when it returns.
func TestADeadJoinerLeavesNoPartitionOnOneDisk(t *testing.T) {
	w := grown(t, 1)
	two := w.join(t, 2)
	dead := two[1]
	if len(dead.host.Partitions()) > len(two[0].host.Partitions()) { // it came first, and votes already
		dead = two[0]
	}
	dead.die()
	w.settle()
	if w.failure != nil {
		t.Fatal(w.failure)
	}
	for p := range kv.PartitionID(w.o.Partitions) {
		for _, n := range w.living() {
			if v, _ := n.host.View(p); v.Leads && len(v.Conf.GetVoters()) != 2 {
				t.Errorf("partition %v has voters %v", p, v.Conf.GetVoters())
			}
		}
	}
	t.Logf("two copies of everything %v after the death", w.stats.Settled)
	dead.lost = false
	dead.restart(0)
	if w.settle(); w.failure != nil {
		t.Fatal(w.failure)
	}
}

// Three nodes; a fourth joins and dies half-way; a fifth joins a minute later and gets all that
// it is wanted for.
func TestADeadMemberKeepsNoLaterOneOut(t *testing.T) {
	w := grown(t, 3)
	w.join(t, 1)[0].die()
	w.run(w.now + time.Minute)
	w.join(t, 1)
	w.settle()
	if w.failure != nil {
		t.Fatal(w.failure)
	}
	t.Logf("complete %v after it joined", w.stats.Settled)
}
