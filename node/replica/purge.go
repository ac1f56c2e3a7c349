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
	purgeKeys = 256 // records of the index taken by one entry, so that a turn is not held up
	// purgeCost is what deleting a key counts for, in bytes of entries applied in a turn.
	purgeCost = 4 << 10
)

// earliest is a lower bound for the deadlines in a partition's expiry index, so that a leader need
// not look into it all the time. It is no part of the replicated state.
type earliest struct {
	known bool
	ms    int64 // 0: the index is empty
}

func (e *earliest) lower(deadlineMS int64) {
	if e.ms == 0 || deadlineMS < e.ms {
		e.ms = deadlineMS
	}
}

// Due reports whether the expiry index has a record at or before a time.
func (m *KV) Due(db *persist.DB, p kv.PartitionID, timeMS int64) (bool, error) {
	if !m.deadline.known {
		_, next, err := db.Due(p, 0, 0)
		if err != nil {
			return false, err
		}
		m.deadline = earliest{true, next}
	}
	return m.deadline.ms != 0 && kv.Expired(m.deadline.ms, timeMS), nil
}

// Purge executes a purge and returns how many keys it deleted. a has no effects in p yet.
func (m *KV) Purge(a *persist.Apply, p kv.PartitionID, ap *persist.Applied, payload *Payload) (int, error) {
	due, next, err := a.Due(p, min(payload.PurgeMS, ap.TimeMS), payload.Count)
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

// purge proposes to clear up what is due, one step at a time.
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
	g.h.Propose(Op{Partition: g.p, PurgeMS: now, Reply: func(r Reply) {
		g.purging = false
		if r.Err == nil {
			g.purge() // there may be more; else at its next turn
		}
	}})
}

// applyPurge executes a purge on the state with all that was applied before it.
func (g *group) applyPurge(ap *persist.Applied, payload *Payload) ([]Reply, error) {
	h := g.h
	h.apply.SetApplied(g.store, g.applied)
	g.touched = true
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
