package replica

import (
	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/state"
)

// A key whose deadline is at or before the group's time is gone for reads, lists and conditions.
// Purging frees its room: the leader proposes an entry that carries a cut-off and a number, and
// every replica takes so many records from the start of its expiry index, up to the cut-off. They
// hold the same index, so they delete the same keys.

// purgeCost is what deleting a key counts for, in bytes of entries applied in a turn.
const purgeCost = 4 << 10

// purges are those that this node has under way.
type purges struct {
	underWay int
	at       int // index of the group that was last looked at for one
}

// purging is what a group has to do with them.
type purging struct {
	underWay bool // one is on its way, one of those that Host.purges counts
	proposed int  // by this replica, ever
}

// purge proposes to clear up what is due, in few groups at a time and in turn, so that writes find
// no long queue of purges before them.
func (h *Host) purge() {
	for range h.groups.ordered {
		if h.purges.underWay >= h.cfg.Limits.Purges {
			return
		}
		h.purges.at = (h.purges.at + 1) % len(h.groups.ordered)
		h.groups.ordered[h.purges.at].purge()
	}
}

func (g *group) purge() {
	if g.p == kv.Meta || g.purging.underWay || !g.ready() { // nothing of the meta group expires
		return
	}
	now := g.time()
	due, err := g.machine.Due(g.h.cfg.DB.Store, g.p, now)
	if err != nil {
		g.h.fail(err)
		return
	}
	if !due {
		return
	}
	g.purging.underWay = true
	g.purging.proposed++
	g.h.purges.underWay++
	this := g.purging.proposed
	g.h.Propose(Op{Partition: g.p, PurgeMS: now, Reply: func(r entry.Reply) {
		if g.purging.proposed != this || !g.endPurge() {
			return
		}
		if r.Err == nil {
			g.h.purge() // there may be more; else after some ticks
		}
	}})
}

// endPurge gives the place of the purge under way back: at its answer, or when its leadership ends,
// for the answer may come much later then. It reports whether there was one.
func (g *group) endPurge() bool {
	if !g.purging.underWay {
		return false
	}
	g.purging.underWay = false
	g.h.purges.underWay--
	return true
}

// applyPurge executes a purge on the state with all that was applied before it.
func (g *group) applyPurge(ap *state.Applied, payload *entry.Payload) error {
	h := g.h
	h.applying.batch.SetApplied(g.store, g.applied)
	g.touch()
	if h.commitApply(); h.err != nil {
		return h.err
	}
	h.applying.batch = h.cfg.DB.NewApply()
	n, err := g.machine.Purge(h.applying.batch, g.p, ap, payload)
	h.applying.spent += purgeCost * payload.Count
	if g.leads() {
		h.stats.Expired.Add(int64(n))
	}
	h.stats.Purges.Add(1)
	return err
}
