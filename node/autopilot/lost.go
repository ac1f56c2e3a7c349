package autopilot

import (
	"fmt"
	"slices"
	"time"

	"pxkv/node/kv"
	"pxkv/node/meta"
)

// mostDoublings bounds how much longer is waited for a member that came back again and again.
const mostDoublings = 4

// Patience is how long a member must be silent before it is given up, after for one that has never come back. Each
// return doubles it, up to sixteen times: a node that comes and goes would have its data moved each time. 0: never.
func Patience(m *meta.Member, after time.Duration) time.Duration {
	if givenUpAtOnce {
		return time.Millisecond
	}
	return after << min(m.Returns, mostDoublings)
}

// Candidate returns the member to ask the others about, since it has been silent for long enough; 0 when there is
// none, and why there is none although one is silent.
//
// Only one member is given up at a time, and only while as many stay as a partition has replicas: to move
// replicas away where there is nowhere to move them would only make fewer copies. One that leaves meanwhile may be what
// waits for it.
func Candidate(s *meta.State, silence func(kv.NodeID) time.Duration, after time.Duration) (id kv.NodeID, why string) {
	if after <= 0 || s.ClusterVersion < meta.VersionDepartures {
		return 0, ""
	}
	for _, m := range s.Members {
		if m.State != kv.Active || silence(m.ID) < Patience(&m, after) {
			continue
		}
		down := slices.IndexFunc(s.Members, func(o meta.Member) bool { return o.State == kv.Down })
		switch {
		case down >= 0:
			return 0, fmt.Sprintf("%s is silent, and is given up only when %s has gone or is back", m.Name,
				s.Members[down].Name)
		case len(s.ActiveIDs())-1 < s.Replicas:
			return 0, fmt.Sprintf("%s is silent, and without it fewer members would remain than the %d replicas that "+
				"each partition has: start it again, or another node of its name with an empty data directory", m.Name,
				s.Replicas)
		}
		return m.ID, ""
	}
	return 0, ""
}

// giveUp calls a member down that nobody has heard for too long.
func giveUp(f *Facts) (Step, bool) {
	if f.Lost == 0 {
		return Step{}, false
	}
	return Step{meta.SetState{
		ID: f.Lost, From: kv.Active, To: kv.Down, AtMS: f.NowMS, Cause: kv.CauseLost,
	}, f.Lost, "nobody has heard it for too long"}, true
}
