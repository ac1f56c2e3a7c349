//go:build !planted

package sim

import (
	"testing"
	"testing/cryptotest"
	"time"

	"pxkv/node/kv"
)

// TestGrowthTakesFewTicks lets one node become three, with nothing else to do. From the placement that gives the others
// their replicas on, all voters are in place and have caught up, and leaders are where they should be, within a few
// ticks: steps follow each other, and do not wait for ticks.
func TestGrowthTakesFewTicks(t *testing.T) {
	const partitions, most = 64, 12
	cryptotest.SetGlobalRandom(t, 1)
	o := Falls(1, false)
	o.Moves = Moves{}
	o.Nodes, o.Partitions, o.Replicas, o.Clients = 3, partitions, 3, 0
	w := newWorld(o)
	w.begin()
	w.healed = true
	placed := func() bool {
		for _, n := range w.nodes {
			if s := n.machine.State(); s == nil || len(s.Placement) < partitions || len(s.Placement[0]) < 3 {
				return false
			}
		}
		return true
	}
	await := func(what string, is func() bool) time.Duration {
		for end := w.now + time.Minute; !is(); w.run(w.now + tick/4) {
			if w.now > end || w.failure != nil {
				t.Fatalf("%s is not so after a minute: %s, %v", what, w.check.settled(), w.failure)
			}
		}
		return w.now
	}
	begun := await("everything is placed", placed)
	done := await("everything is in place", func() bool { return w.check.settled() == "" && w.ledAsWanted() })
	ticks := (done - begun) / tick
	t.Logf("%d partitions are in place %d ticks after they were placed, with %d snapshots", partitions, ticks,
		w.stats.Snapshots)
	if ticks > most {
		t.Errorf("%d partitions are in place %d ticks after they were placed, want %d at most", partitions, ticks, most)
	}
}

// ledAsWanted reports whether each partition is led by the first in its row.
func (w *World) ledAsWanted() bool {
	for p, row := range w.nodes[0].machine.State().Placement {
		if v, ok := w.node(row[0].Node).host.View(kv.PartitionID(p)); !ok || !v.Leads {
			return false
		}
	}
	return true
}
