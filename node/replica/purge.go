package replica

import (
	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/state"
)

// A key whose deadline is at or before the group's time is gone for reads, lists and conditions.
// Purging frees its room: the leader proposes an entry that carries a cut-off and a number, and
// every replica takes so many records from the start of its expiry index, up to the cut-off. They
// hold the same index, so they delete the same keys.

const (
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
	first data.Due // no record comes before it; with deadline 0 the index is empty
}

func (e *earliest) lower(deadlineMS int64) {
	if e.first.DeadlineMS == 0 || deadlineMS <= e.first.DeadlineMS {
		e.first = data.Due{DeadlineMS: deadlineMS}
	}
}

// forget takes a key's former deadline out of the expiry index, unless it is the one that the key is
// given now. Where the index is empty no key has a deadline, and none is looked for.
func (s *step) forget(key []byte, nowMS int64) {
	if s.keepsIndex || s.err != nil {
		return
	}
	if known, err := s.m.indexed(s.a, s.p); err != nil || !known {
		s.err = err
		return
	}
	was, err := s.a.Deadline(s.p, key)
	switch {
	case err != nil:
		s.err = err
	case was != 0 && was != nowMS:
		s.a.Forget(s.p, data.Due{Key: key, DeadlineMS: was})
	}
}

// indexed reports whether the expiry index may have a record.
func (m *KV) indexed(a *data.Apply, p kv.PartitionID) (bool, error) {
	if m.deadline.first.DeadlineMS == 0 && !m.deadline.known {
		// What a adds itself is known: it has lowered first.
		_, next, err := a.Due(p, data.Due{}, 0, 0)
		if err != nil {
			return false, err
		}
		m.deadline = earliest{true, next}
	}
	return m.deadline.first.DeadlineMS != 0, nil
}

// Due reports whether the expiry index has a record at or before a time.
func (m *KV) Due(s *data.Store, p kv.PartitionID, timeMS int64) (bool, error) {
	if !m.deadline.known {
		_, next, err := s.Due(p, data.Due{}, 0, 0)
		if err != nil {
			return false, err
		}
		m.deadline = earliest{true, next}
	}
	return kv.Expired(m.deadline.first.DeadlineMS, timeMS), nil
}

// Purge executes a purge and returns how many keys it deleted. a has no effects in p yet.
func (m *KV) Purge(a *data.Apply, p kv.PartitionID, ap *state.Applied, payload *Payload) (int, error) {
	var from data.Due
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
			s.erase(due[i].Key)
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
		if h.purging >= h.cfg.Limits.Purges {
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
	due, err := g.kv.Due(g.h.cfg.DB.Store, g.p, now)
	if err != nil {
		g.h.fail(err)
		return
	}
	if !due {
		return
	}
	g.purging = true
	g.purges++
	g.h.purging++
	this := g.purges
	g.h.Propose(Op{Partition: g.p, PurgeMS: now, Reply: func(r Reply) {
		if g.purges != this || !g.endPurge() {
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
	if !g.purging {
		return false
	}
	g.purging = false
	g.h.purging--
	return true
}

// applyPurge executes a purge on the state with all that was applied before it.
func (g *group) applyPurge(ap *state.Applied, payload *Payload) ([]Reply, error) {
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
