package rebalance

import (
	"slices"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// Whole sorts the groups that a node leads, the meta group included, into those that have all replicas that the
// placement wants, and those that lack some or are being changed. A replica is there when it is a voter on the node
// that is wanted, was heard within three heartbeats, and has its group's data but perhaps the end of its log. Under
// which id does not matter (see resolve).
func Whole(h *replica.Host, s *meta.State) (whole, lacks []kv.PartitionID) {
	for _, p := range h.Partitions() {
		v, _ := h.View(p)
		if !v.Leads {
			continue
		}
		progress, _ := h.Progress(p)
		if lacking(desired(s, p), &v, progress) {
			lacks = append(lacks, p)
		} else {
			whole = append(whole, p)
		}
	}
	return whole, lacks
}

func lacking(d Desired, v *replica.View, progress map[kv.ReplicaID]replica.Progress) bool {
	c := v.Conf
	if len(d.Voters) == 0 || len(c.GetVotersOutgoing()) > 0 || len(c.GetVoters()) != len(d.Voters) ||
		len(c.GetLearners()) != len(d.Learners) {
		return true
	}
	there := func(wanted kv.Replica, among []uint64) bool {
		return slices.ContainsFunc(v.Replicas, func(r kv.Replica) bool {
			if r.Node != wanted.Node || !slices.Contains(among, uint64(r.ID)) {
				return false
			}
			pr := progress[r.ID]
			return r.ID == v.Self || pr.Answers && pr.Active && pr.Snapshot == 0 && pr.Match > 0
		})
	}
	return slices.ContainsFunc(d.Voters, func(r kv.Replica) bool { return !there(r, c.GetVoters()) }) ||
		slices.ContainsFunc(d.Learners, func(r kv.Replica) bool { return !there(r, c.GetLearners()) })
}
