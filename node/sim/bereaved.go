package sim

import (
	"slices"
	"time"
)

// spared reports whether the others can do without a node for good.
func (w *World) spared(n *node) bool {
	n.lost = true
	spared := w.canDoWithout()
	n.lost = false
	return spared
}

// knowsAll waits until the cluster has taken every start of every member. Before that one whose directory was
// moved would wait for all others at its next start, also for who is gone for good by then.
func (w *World) knowsAll() bool {
	for limit := w.now + w.o.Settle; slices.ContainsFunc(w.nodes, func(n *node) bool { return !n.introduced }); {
		if w.run(w.now + time.Second); w.now > limit {
			w.fail("after %v the cluster does not know of every start", w.o.Settle)
		}
		if w.failure != nil {
			return false
		}
	}
	return true
}

// bereave takes a member away for good when all is as it should be, and lets the others start again:
// what a group has become must be on every disk, also where nothing was written since. Then, perhaps, a
// fresh node takes its place: nobody needs its vote any more, so nothing may keep that one out.
func (w *World) bereave() {
	if w.failure != nil || w.o.InMemory != 0 || len(w.living()) < len(w.nodes) || w.o.Replicas < 3 || w.chance(0.5) {
		return
	}
	w.run(w.now + time.Second) // in which the last change comes to every disk
	if !w.knowsAll() {
		return
	}
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	if !w.spared(n) {
		return
	}
	if w.o.GiveUps > 0 && w.chance(0.5) {
		w.wound(n)
	}
	n.crash()
	n.lost = true
	w.stats.Bereaved++
	w.run(w.now + w.between(0, lostAfter))
	if w.chance(0.5) {
		w.powerLoss()
	} else {
		for _, o := range w.living() {
			if o.up {
				o.crash()
			}
			o.restart(0)
			w.run(w.now + w.between(0, 3*time.Second))
		}
	}
	w.settle()
	if w.failure != nil || w.succession != nil || w.chance(0.5) {
		return
	}
	heir := w.addNode()
	heir.name, heir.home = n.name, n.home
	w.placed--
	w.succession = &succession{n, heir}
	heir.start(false)
	w.settle()
}
