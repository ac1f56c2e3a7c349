package health

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"pxkv/node/kv"
	"pxkv/node/meta"
)

// Verdict is how a cluster is.
type Verdict struct {
	// Served: every group has a leader that reports, and a majority that follows it.
	Served kv.YesNo
	// Complete: every group has the replicas that are wanted, all of them caught up, and no others.
	Complete kv.YesNo
	// MayFail: any one member may fail, and every group goes on at once.
	MayFail kv.YesNo

	// Outdated says that a leader knows a newer placement than the one that is judged by: whoever came since then is
	// not known, and what is said of members may be of their former selves. Empty: none does.
	Outdated string
	// Lacks says of each partition that is not complete what it lacks, and of the meta group.
	Lacks map[kv.PartitionID]string
	// Needs are, by member, the groups that would not go on without it.
	Needs map[kv.NodeID][]kv.PartitionID
	// Dark are the groups that no leader reports, or one without a majority: those that are not served.
	Dark []kv.PartitionID
	// Holds is how many complete replicas of partitions each member has, Filling how many that are not.
	Holds, Filling map[kv.NodeID]int
}

// most is how many partitions a reason names.
const most = 5

// Judge says how a cluster is. reports has those of the groups of which a leader has reported, the newest of each.
func Judge(s *meta.State, reports map[kv.PartitionID]Report) Verdict {
	v := Verdict{
		Lacks: map[kv.PartitionID]string{}, Needs: map[kv.NodeID][]kv.PartitionID{},
		Holds: map[kv.NodeID]int{}, Filling: map[kv.NodeID]int{},
	}
	name := func(id kv.NodeID) string {
		if m, ok := s.Member(id); ok {
			return m.Name
		}
		return id.String()
	}
	silent := Silent(s, reports)
	var lost []kv.PartitionID
	for _, p := range groups(s) {
		r, known := reports[p]
		switch {
		case !known:
			v.Lacks[p] = "no leader of it reports"
		case !r.survives(0):
			lost = append(lost, p)
		}
		if known {
			if why := r.missing(wantedOf(s, p), name); why != "" {
				v.Lacks[p] = why
			}
			v.count(p, &r)
		}
		for _, m := range s.Members {
			if !known || !r.survives(m.ID) {
				v.Needs[m.ID] = append(v.Needs[m.ID], p)
			}
		}
	}
	v.Dark = slices.Concat(silent, lost)
	say := func(a *kv.YesNo, ps []kv.PartitionID, text string) {
		if len(ps) > 0 {
			a.Why = append(a.Why, fmt.Sprintf("%s: %s", Named(ps), text))
		}
	}
	say(&v.Served, silent, "no leader answers")
	say(&v.Served, lost, "its leader hears no majority of voters that have caught up")
	if newest := newestOf(reports); newest > s.Epoch {
		v.Outdated = fmt.Sprintf("a leader knows epoch %d of the placement, and the node that was asked epoch %d",
			newest, s.Epoch)
		v.Complete.Why = append(v.Complete.Why, v.Outdated)
		v.MayFail.Why = append(v.MayFail.Why, v.Outdated)
	}
	if s.PlacementOutdated() || reports[kv.Meta].Unplaced {
		v.Complete.Why = append(v.Complete.Why,
			"members have come or gone, or another number of replicas is wanted, and nobody has said yet what moves")
	}
	v.lacks()
	v.needs(s)
	for _, a := range []*kv.YesNo{&v.Served, &v.Complete, &v.MayFail} {
		a.Yes = len(a.Why) == 0
	}
	return v
}

func newestOf(reports map[kv.PartitionID]Report) (newest kv.Epoch) {
	for _, r := range reports {
		newest = max(newest, r.Epoch)
	}
	return newest
}

// Of says of one group what Judge says of all: what it lacks, empty when it is as it is wanted; and whether it goes
// on at once without any one of its replicas.
func Of(s *meta.State, r *Report) (lacks string, mayLose bool) {
	lacks = r.missing(wantedOf(s, r.Partition), kv.NodeID.String)
	return lacks, r.MayLoseOne()
}

// groups are all of a cluster.
func groups(s *meta.State) []kv.PartitionID {
	out := []kv.PartitionID{kv.Meta}
	for p := range s.Partitions {
		out = append(out, kv.PartitionID(p))
	}
	return out
}

// Silent are the groups that no leader reports.
func Silent(s *meta.State, reports map[kv.PartitionID]Report) (out []kv.PartitionID) {
	for _, p := range groups(s) {
		if _, known := reports[p]; !known {
			out = append(out, p)
		}
	}
	return out
}

// wantedOf are the voters that a group should have.
func wantedOf(s *meta.State, p kv.PartitionID) []kv.Replica {
	if p == kv.Meta {
		voters, _ := s.MetaReplicas()
		return voters
	}
	return s.Placement[p]
}

func (v *Verdict) count(p kv.PartitionID, r *Report) {
	if p == kv.Meta {
		return
	}
	for i := range r.Replicas {
		if x := &r.Replicas[i]; x.Voter && x.sound() {
			v.Holds[x.Node]++
		} else {
			v.Filling[x.Node]++
		}
	}
}

// lacks makes of what groups lack the reasons why the cluster is not complete.
func (v *Verdict) lacks() {
	by := map[string][]kv.PartitionID{}
	for p, why := range v.Lacks {
		by[why] = append(by[why], p)
	}
	texts := make([]string, 0, len(by))
	for why := range by {
		slices.Sort(by[why])
		texts = append(texts, why)
	}
	slices.SortFunc(texts, func(a, b string) int {
		return cmp.Or(len(by[b])-len(by[a]), strings.Compare(a, b))
	})
	for _, why := range texts {
		v.Complete.Why = append(v.Complete.Why, Named(by[why])+": "+why)
	}
}

// needs makes of which groups need whom the reasons why no member may fail.
func (v *Verdict) needs(s *meta.State) {
	members := slices.Clone(s.Members)
	slices.SortFunc(members, func(a, b meta.Member) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range members {
		if ps := v.Needs[m.ID]; len(ps) > 0 {
			v.MayFail.Why = append(v.MayFail.Why,
				fmt.Sprintf("not %s: without it %s would not be served", m.Name, Named(ps)))
		}
	}
}

// Named names groups, the first of many.
func Named(ps []kv.PartitionID) string {
	users := slices.DeleteFunc(slices.Clone(ps), func(p kv.PartitionID) bool { return p == kv.Meta })
	var parts []string
	switch n := len(users); {
	case n == 1:
		parts = append(parts, "partition "+kv.PartitionList(users, most))
	case n > 1:
		parts = append(parts, fmt.Sprintf("%d partitions (%s)", n, kv.PartitionList(users, most)))
	}
	if len(users) < len(ps) {
		parts = append(parts, "the cluster's own group")
	}
	return strings.Join(parts, " and ")
}
