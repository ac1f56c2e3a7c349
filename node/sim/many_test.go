//go:build !planted

package sim

import (
	"testing"
	"time"
)

// TestManyMembers forms a cluster of many nodes and partitions, loses two members for ever, which are given up one
// after the other, and takes two others in. SIM_NODES and SIM_PARTITIONS make it larger: fifty nodes and 1,024
// partitions take half a minute of a processor.
func TestManyMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a quarter of a minute")
	}
	nodes, partitions := int(env("SIM_NODES", 20)), int(env("SIM_PARTITIONS", 256))
	began := time.Now()
	w := grownAs(t, nodes, func(o *Options) {
		o.Partitions, o.Clients, o.Settle = partitions, 2, 5*time.Minute
		o.Departures = Departures{ReplaceAfter: 2 * time.Second}
	})
	told := func(what string) {
		t.Helper()
		if w.failure != nil {
			t.Fatalf("%s: %.3000v", what, w.failure)
		}
		t.Logf("%s: settled in %v, at %v, after %v of the clock", what, w.stats.Settled, w.now, time.Since(began))
	}
	told("all have joined")
	for i, n := range []*node{w.nodes[0], w.nodes[nodes/2]} {
		n.die()
		for limit := w.now + w.o.Settle; w.stats.Removed <= i && w.now < limit && w.failure == nil; {
			w.run(w.now + 200*time.Millisecond)
		}
		w.settle()
		told(n.name + " is dead")
	}
	w.join(t, 2)
	w.settle()
	told("two have joined")
	if s := w.living()[0].machine.State(); len(s.Members) != nodes || w.stats.Removed != 2 {
		t.Errorf("%d members, %d were removed", len(s.Members), w.stats.Removed)
	}
}
