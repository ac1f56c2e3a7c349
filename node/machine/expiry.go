package machine

import (
	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/state"
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
func (m *KV) Purge(a *data.Apply, p kv.PartitionID, ap *state.Applied, payload *entry.Payload) (int, error) {
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
