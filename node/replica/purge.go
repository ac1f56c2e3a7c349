package replica

import (
	"pxkv/node/kv"
	"pxkv/persist"
)

// A key whose deadline is at or before the group's time is gone for reads, lists and conditions.
// Purging frees its room: the leader proposes an entry that carries a cut-off and a number, and
// every replica takes so many records from the start of its expiry index, up to the cut-off. They
// hold the same index, so they delete the same keys.

const (
	purgeKeys    = 256 // records of the index taken by one entry, so that a turn is not held up
	purgesAtOnce = 4   // under way on this node
	// maxPurgeKeys is what an entry may ask for at most; leaders of all versions stay below it.
	maxPurgeKeys = 1 << 16
	// purgeCost is what deleting a key counts for, in bytes of entries applied in a turn.
	purgeCost = 4 << 10
)

// earliest says where a partition's expiry index begins, at the earliest: a leader need not look
// into it all the time, and a purge need not walk over what former ones left in the store. It is no
// part of the replicated state.
type earliest struct {
	known bool
	first persist.Due // no record comes before it; with deadline 0 the index is empty
}

func (e *earliest) lower(deadlineMS int64) {
	if e.first.DeadlineMS == 0 || deadlineMS <= e.first.DeadlineMS {
		e.first = persist.Due{DeadlineMS: deadlineMS}
	}
}

// Due reports whether the expiry index has a record at or before a time.
func (m *KV) Due(db *persist.DB, p kv.PartitionID, timeMS int64) (bool, error) {
	if !m.deadline.known {
		_, next, err := db.Due(p, persist.Due{}, 0, 0)
		if err != nil {
			return false, err
		}
		m.deadline = earliest{true, next}
	}
	return kv.Expired(m.deadline.first.DeadlineMS, timeMS), nil
}

// Purge executes a purge and returns how many keys it deleted. a has no effects in p yet.
func (m *KV) Purge(a *persist.Apply, p kv.PartitionID, ap *persist.Applied, payload *Payload) (int, error) {
	var from persist.Due
	if m.deadline.known {
		from = m.deadline.first
	}
	due, next, err := a.Due(p, from, min(payload.PurgeMS, ap.TimeMS), payload.Count)
	if err != nil {
		return 0, err
	}
	s := step{m: m, a: a, p: p, ap: ap}
	deleted := 0
	for i := range due {
		if due[i].Current {
			s.drop(due[i].Key)
			deleted++
		}
		a.Forget(p, due[i])
	}
	m.deadline = earliest{true, next}
	return deleted, nil
}

// purge proposes to clear up what is due, in few groups at a time and in turn, so that writes find
// no long queue of purges before them.
func (h *Host) purge() {
	for range h.ordered {
		if h.purging >= purgesAtOnce {
			return
		}
		h.purgeAt = (h.purgeAt + 1) % len(h.ordered)
		h.ordered[h.purgeAt].purge()
	}
}

func (g *group) purge() {
	if g.kv == nil || g.purging || !g.ready() {
		return
	}
	now := g.time()
	due, err := g.kv.Due(g.h.cfg.DB, g.p, now)
	if err != nil {
		g.h.fail(err)
		return
	}
	if !due {
		return
	}
	g.purging = true
	g.h.purging++
	g.h.Propose(Op{Partition: g.p, PurgeMS: now, Reply: func(r Reply) {
		g.purging = false
		g.h.purging--
		if r.Err == nil {
			g.h.purge() // there may be more; else after some ticks
		}
	}})
}

// applyPurge executes a purge on the state with all that was applied before it.
func (g *group) applyPurge(ap *persist.Applied, payload *Payload) ([]Reply, error) {
	h := g.h
	h.apply.SetApplied(g.store, g.applied)
	g.touch()
	if h.commitApply(); h.err != nil {
		return nil, h.err
	}
	h.apply = h.cfg.DB.NewApply()
	n, err := g.kv.Purge(h.apply, g.p, ap, payload)
	h.applying += purgeCost * payload.Count
	if g.leads() {
		h.stats.Expired.Add(int64(n))
	}
	h.stats.Purges.Add(1)
	return []Reply{{}}, err
}
