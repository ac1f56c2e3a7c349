package autopilot

import (
	"fmt"
	"slices"
	"strings"

	"pxkv/node/kv"
	"pxkv/node/meta"
)

// takeBack makes a member active again that counted as down and is heard, or that answers by way of another one.
func takeBack(f *Facts) (Step, bool) {
	for _, m := range f.State.Departing() {
		_, answers := f.Selves[m.ID]
		if m.State == kv.Down && (answers || f.Silence(m.ID) < f.Lately) {
			return Step{meta.SetState{ID: m.ID, From: kv.Down, To: kv.Active}, m.ID, "it is back"}, true
		}
	}
	return Step{}, false
}

// remove removes a departing member of which nothing is left.
func remove(f *Facts, left map[kv.NodeID]Remains) (Step, bool) {
	for _, m := range f.State.Departing() {
		if is, known := left[m.ID]; known && len(is.Waits) == 0 {
			return Step{meta.Remove{ID: m.ID, Expect: f.State.Epoch, AtMS: f.NowMS}, m.ID,
				"no group has a replica on it any more"}, true
		}
	}
	return Step{}, false
}

// Remains are what still has to happen before a departing member can be removed.
type Remains struct {
	// Partitions have a replica on it, Bytes about how many those have together.
	Partitions []kv.PartitionID
	Bytes      int64
	// Waits says what is waited for, by partition where it is one; empty: for nothing. Reasons are in order.
	Waits []Wait
}

// Wait is what is waited for.
type Wait struct {
	Partitions []kv.PartitionID // none: the cluster
	Why        string
}

// AllLeft is Left of all members that depart.
func AllLeft(f *Facts) map[kv.NodeID]Remains {
	out := map[kv.NodeID]Remains{}
	for _, m := range f.State.Departing() {
		out[m.ID] = Left(f, m.ID)
	}
	return out
}

// Left says what still has to happen before a member can be removed. It is removed only when every group's leader
// has said so in the present epoch, for who does not know that may still add a replica there; and, if it is alive, when
// it has said itself that it knows of the epoch and has no replica: it creates none from then on, whatever a leader
// asks that knows less.
func Left(f *Facts, id kv.NodeID) (r Remains) {
	s := f.State
	m, _ := s.Member(id)
	by, sizes := map[string][]kv.PartitionID{}, sizesOf(f)
	say := func(p kv.PartitionID, format string, args ...any) {
		why := fmt.Sprintf(format, args...)
		by[why] = append(by[why], p)
	}
	for i := range s.Partitions + 1 {
		p := kv.PartitionID(i)
		if i == s.Partitions {
			p = kv.Meta
		}
		report, known := f.Reports[p]
		var on, counts bool
		for _, x := range report.Replicas {
			on = on || x.Node == id
			counts = counts || x.Node == id && (x.Voter || x.Leaving)
		}
		switch {
		case !known:
			say(p, "no leader of it reports")
		case on && p != kv.Meta:
			r.Partitions = append(r.Partitions, p)
			r.Bytes += sizes[p]
			if report.Waits == "" {
				report.Waits = "its replica is about to move"
			}
			say(p, "%s", report.Waits)
		case counts:
			say(p, "it still votes there")
		case report.Epoch != s.Epoch:
			say(p, "its leader knows epoch %d of the placement, not %d", report.Epoch, s.Epoch)
		}
	}
	for why, ps := range by {
		slices.Sort(ps)
		r.Waits = append(r.Waits, Wait{ps, why})
	}
	slices.SortFunc(r.Waits, func(a, b Wait) int {
		if d := len(b.Partitions) - len(a.Partitions); d != 0 {
			return d
		}
		return strings.Compare(a.Why, b.Why)
	})
	if s.PlacementOutdated() {
		r.Waits = append(r.Waits, Wait{nil, "nobody has said yet what moves where"})
	}
	self, alive := f.Selves[id]
	switch {
	case removedWithoutItsWord:
	case alive && self.Starts != m.Starts:
		r.Waits = append(r.Waits, Wait{nil, "it has started again, and the cluster has not taken note of it"})
	case alive && self.Epoch != s.Epoch:
		r.Waits = append(r.Waits,
			Wait{nil, fmt.Sprintf("it knows epoch %d of the placement, not %d", self.Epoch, s.Epoch)})
	case alive && self.Hosts > 0:
		r.Waits = append(r.Waits, Wait{nil, fmt.Sprintf("it still has %d replicas", self.Hosts)})
	case !alive && f.Silence(id) < 2*f.Lately:
		r.Waits = append(r.Waits, Wait{nil, "it does not say what it has"})
	}
	return r
}

// sizesOf is about how many bytes each partition has, by the word of whoever leads it; the most, where two say that
// they do.
func sizesOf(f *Facts) map[kv.PartitionID]int64 {
	out := make(map[kv.PartitionID]int64, f.State.Partitions)
	for _, self := range f.Selves {
		for p, n := range self.Bytes {
			out[p] = max(out[p], n)
		}
	}
	return out
}

// Asked reports whether the members have to be asked for Selves and Reports now: only while something depends on it.
func Asked(s *meta.State) bool { return len(s.Departing()) > 0 }
