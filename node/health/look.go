package health

import (
	"slices"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// Look says how the groups are that a node leads. goals are where the logs ended at an earlier look (Ends):
// who has all up to there has caught up, and where there is none, up to their end now. waits says what a group waits
// for. Of the goroutine of the turns.
func Look(h *replica.Host, goals map[kv.PartitionID]uint64, waits func(kv.PartitionID) string) []Report {
	var out []Report
	for _, p := range h.Partitions() {
		v, _ := h.View(p)
		if !v.Leads {
			continue
		}
		progress, last := h.Progress(p)
		goal, begun := goals[p]
		if !begun {
			goal = last
		}
		r := Report{Partition: p, Term: v.Term, Last: last, Waits: waits(p)}
		for _, x := range v.Replicas {
			id, pr := uint64(x.ID), progress[x.ID]
			r.Replicas = append(r.Replicas, Replica{
				ID: x.ID, Node: x.Node,
				Voter:   slices.Contains(v.Conf.GetVoters(), id),
				Leaving: slices.Contains(v.Conf.GetVotersOutgoing(), id),
				Answers: x.ID == v.Self || pr.Answers,
				Caught:  x.ID == v.Self || pr.Match >= goal && pr.Snapshot == 0,
				Behind:  last - min(last, pr.Match), Snapshot: pr.Snapshot > 0,
			})
		}
		out = append(out, r)
	}
	return out
}

// Ends are where the logs ended that reports tell of, by partition.
func Ends(rs []Report) map[kv.PartitionID]uint64 {
	out := map[kv.PartitionID]uint64{}
	for i := range rs {
		out[rs[i].Partition] = rs[i].Last
	}
	return out
}
