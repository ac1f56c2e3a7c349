package meta

// MaxReplicas is how many replicas of each partition may be wanted: a write waits for more than half of them.
const MaxReplicas = 9

func (c SetReplicas) apply(s *State) (*State, Result) {
	if r, old := s.old(); old {
		return s, r
	}
	switch departing := s.Departing(); {
	case c.To < 1 || c.To > MaxReplicas:
		return s.refuse(Invalid, "%d replicas of each partition, want 1 to %d", c.To, MaxReplicas)
	case s.Replicas == c.To:
		return s, Result{}
	case s.Replicas != c.From:
		return s.refuse(Stale, "%d replicas of each partition are wanted, not %d; look again", s.Replicas, c.From)
	case len(departing) > 0:
		return s.refuse(Stale, "member %q (%s) is %s; wait until it has gone or stays", departing[0].Name,
			departing[0].ID, departing[0].State)
	}
	next := s.fork()
	if next.Replicas = c.To; s.PlacedReplicas == 0 { // by a release that did not note it: it had one number for ever
		next.PlacedReplicas = s.Replicas
	}
	return next, Result{}
}
