package meta

import (
	"cmp"
	"slices"

	"pxkv/node/kv"
)

// Departure is the way of a member out of the cluster: it is leaving or down, its replicas move to others, and it can
// still come back.
type Departure struct {
	// AtMS is when it began, by the clock of whoever proposed it: milliseconds since 1970, to be shown.
	AtMS  int64    `json:"at_ms"`
	Cause kv.Cause `json:"cause"`
	// Replicas is how many a partition were wanted before, if the departure changed that; else 0.
	Replicas int `json:"replicas,omitempty"`
}

func (c SetState) apply(s *State) (*State, Result) {
	if r, old := s.old(); old {
		return s, r
	}
	at, known := s.find(c.ID)
	if !known {
		return s.refuseUnknown(c.ID)
	}
	m := s.Members[at]
	switch {
	case c.To != kv.Active && c.To != kv.Leaving && c.To != kv.Down:
		return s.refuse(Invalid, "member %q (%s) cannot become %.40q", m.Name, m.ID, c.To)
	case c.Replicas < 0 || c.Replicas > MaxMembers:
		return s.refuse(Invalid, "%d replicas, want 1 to %d", c.Replicas, MaxMembers)
	case c.To == kv.Active && (c.Replicas != 0 || c.Cause != "" || c.AtMS != 0):
		return s.refuse(Invalid, "a member that becomes active takes the reasons of its departure back")
	case c.To != kv.Active && !c.Cause.Known():
		return s.refuse(Invalid, "member %q (%s) cannot depart because of %.40q", m.Name, m.ID, c.Cause)
	case m.State == c.To:
		return s, Result{}
	case m.State != c.From:
		return s.refuse(Stale, "member %q (%s) is %s, not %.40q; look again", m.Name, m.ID, m.State, c.From)
	case s.lastActive(m):
		return s.refuse(LastActive,
			"member %q (%s) is the last active one and cannot become %s; add another member first", m.Name, m.ID, c.To)
	case c.Cause == kv.CauseLost && s.anyDown() && !manyGivenUp:
		return s.refuse(Stale, "member %q (%s) is not given up by itself while another one is down", m.Name, m.ID)
	case m.State == kv.Active && len(s.ActiveIDs())-1 < cmp.Or(c.Replicas, s.Replicas):
		return s.refuse(TooFew, "without member %q (%s) %d members would remain, fewer than the %d replicas that are "+
			"wanted; add another one first, or say that fewer replicas are enough", m.Name, m.ID,
			len(s.ActiveIDs())-1, cmp.Or(c.Replicas, s.Replicas))
	}
	replicas, before := s.Replicas, 0 // before: what was wanted, where its departure has changed that
	if m.Departure != nil {
		before = m.Departure.Replicas
	}
	if c.To == kv.Active {
		replicas = max(replicas, before)
		if m.Departure = nil; m.State == kv.Down {
			m.Returns++
		}
	} else {
		if c.Replicas != 0 && c.Replicas != replicas {
			before, replicas = max(before, replicas), c.Replicas
		}
		m.Departure = &Departure{AtMS: c.AtMS, Cause: c.Cause, Replicas: before}
	}
	m.State = c.To
	next := s.with(at, m)
	next.Replicas = replicas
	return next, Result{}
}

func (c Remove) apply(s *State) (*State, Result) {
	if r, old := s.old(); old {
		return s, r
	}
	m, known := s.Member(c.ID)
	switch {
	case !known && s.WasRemoved(c.ID):
		return s, Result{}
	case !known:
		return s.refuseUnknown(c.ID)
	case m.Departure == nil:
		return s.refuse(Stale, "member %q (%s) is %s and stays; look again", m.Name, m.ID, m.State)
	case c.Expect != s.Epoch:
		return s.refuse(Stale, "the placement is of epoch %d and not %d; look again where its replicas are", s.Epoch,
			c.Expect)
	case s.placed(m.ID):
		return s.refuse(StillPlaced, "member %q (%s) still has partitions placed on it; place them elsewhere first",
			m.Name, m.ID)
	}
	next := s.fork()
	next.drop(m, c.AtMS, m.Departure.Cause)
	return next, Result{}
}

// anyDown reports whether a member is down. That one only is given up by itself at a time, and that enough remain,
// whoever proposes it has looked at. Here two who do cannot overtake each other.
func (s *State) anyDown() bool {
	return slices.ContainsFunc(s.Members, func(m Member) bool { return m.State == kv.Down })
}

// lastActive reports whether m is active and no other member is.
func (s *State) lastActive(m Member) bool {
	return m.State == kv.Active && len(s.ActiveIDs()) == 1
}

// Departing returns the members that are on their way out.
func (s *State) Departing() []Member {
	var out []Member
	for _, m := range s.Members {
		if m.State == kv.Leaving || m.State == kv.Down {
			out = append(out, m)
		}
	}
	return out
}
