package machine

import (
	"math"

	"pxkv/node/kv"
	"pxkv/persist/data"
)

// holds reports whether a command's condition is met.
func (s *step) holds(c *kv.Command, old *held) (bool, error) {
	switch c.Cond.Kind {
	case kv.CondVersion:
		return old.exists && old.Version == c.Cond.Version, nil
	case kv.CondAbsent:
		return !old.exists, nil
	case kv.CondPresent:
		return old.exists, nil
	case kv.CondValue:
		return s.holdsValue(c, old)
	case kv.CondNewAbsent:
		to, err := s.get(c.NewKey)
		return !to.exists || !old.exists, err // without a key to rename there is nothing to decide
	}
	if !old.exists {
		return true, nil // conditions on the deadline of an absent key: it is not found
	}
	was, now := orNever(old.DeadlineMS), orNever(s.newDeadline(c.Expiry, old))
	switch c.Cond.Kind {
	case kv.CondNoDeadline:
		return old.DeadlineMS == 0, nil
	case kv.CondDeadline:
		return old.DeadlineMS != 0, nil
	case kv.CondLater:
		return now > was, nil
	case kv.CondEarlier:
		return now < was, nil
	case kv.CondHasAndEarly:
		return old.DeadlineMS != 0 && now < was, nil
	}
	return true, nil
}

func orNever(deadlineMS int64) int64 {
	if deadlineMS == 0 {
		return math.MaxInt64
	}
	return deadlineMS
}

// passed is a deadline that has passed at every group's time.
const passed = -1

// newDeadline is the deadline that an Expiry gives a key: 0 for none, passed for one that is over.
func (s *step) newDeadline(e kv.Expiry, old *held) int64 {
	at := e.MS
	switch e.Kind {
	case kv.ExpiryNone:
		return 0
	case kv.ExpiryKeep:
		return old.DeadlineMS
	case kv.ExpiryIn:
		if at = s.ap.TimeMS + e.MS; e.MS > 0 && at < s.ap.TimeMS {
			at = math.MaxInt64
		}
	}
	if kv.Expired(at, s.ap.TimeMS) || at <= 0 {
		return passed
	}
	return at
}

// putOver is a put that needs to know nothing of what the key holds, but perhaps for its answer.
func (s *step) putOver(c *kv.Command) (kv.Result, error) {
	exists := true
	if !c.Blind && s.awaited {
		var err error
		if exists, err = s.exists(c.Key); err != nil {
			return kv.Result{}, err
		}
	}
	return s.put(c, &held{exists: exists}), nil
}

// exists reports whether a key is there and has not expired. What this turn has made of it comes first,
// for whoever is asked next knows the state before that: Known, and then the store.
func (s *step) exists(key []byte) (bool, error) {
	if rec, changed := s.a.Changed(s.p, key); changed {
		return rec != nil && !kv.Expired(rec.DeadlineMS, s.ap.TimeMS), nil
	}
	if s.m.Known != nil && s.m.Known(s.p, key) {
		return true, nil
	}
	rec, ok, err := s.a.Get(s.p, key)
	return ok && !kv.Expired(rec.DeadlineMS, s.ap.TimeMS), err
}

func (s *step) put(c *kv.Command, old *held) kv.Result {
	deadline := s.newDeadline(c.Expiry, old)
	if deadline == passed {
		s.drop(c.Key)
		return kv.Result{Outcome: kv.Done}
	}
	version := s.store(c.Key, data.Record{Value: c.Value, ModifiedMS: s.ap.TimeMS, DeadlineMS: deadline})
	return kv.Result{Outcome: kv.Done, Created: !old.exists, Version: version, Deadline: deadline}
}

func (s *step) remove(c *kv.Command, old *held) kv.Result {
	if !old.exists {
		return kv.Result{Outcome: kv.NotFound}
	}
	s.drop(c.Key)
	return kv.Result{Outcome: kv.Done}
}

// expire changes nothing but the deadline, and the version with it.
func (s *step) expire(c *kv.Command, old *held) kv.Result {
	if !old.exists {
		return kv.Result{Outcome: kv.NotFound}
	}
	deadline := s.newDeadline(c.Expiry, old)
	switch deadline {
	case passed:
		s.drop(c.Key)
		return kv.Result{Outcome: kv.Done}
	case old.DeadlineMS:
		return kv.Result{Outcome: kv.Done, Version: old.Version, Deadline: deadline}
	}
	rec := old.Record
	rec.DeadlineMS = deadline
	return kv.Result{Outcome: kv.Done, Version: s.keep(c.Key, rec), Deadline: deadline}
}

// rename moves a key's value and deadline. Onto itself it changes nothing.
func (s *step) rename(c *kv.Command, old *held) (kv.Result, error) {
	if !old.exists {
		return kv.Result{Outcome: kv.NotFound}, nil
	}
	if string(c.Key) == string(c.NewKey) {
		return kv.Result{Outcome: kv.Done, Version: old.Version, Deadline: old.DeadlineMS}, nil
	}
	to, err := s.get(c.NewKey)
	if err != nil {
		return kv.Result{}, err
	}
	s.moved(c.Key, c.NewKey)
	s.drop(c.Key)
	rec := old.Record
	rec.ModifiedMS = s.ap.TimeMS
	return kv.Result{
		Outcome: kv.Done, Created: !to.exists, Version: s.keep(c.NewKey, rec), Deadline: rec.DeadlineMS,
	}, nil
}
