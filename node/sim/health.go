package sim

import (
	"slices"

	"pxkv/node/health"
	"pxkv/node/kv"
)

// healthTicks is between two looks of a leader at how its groups are.
const healthTicks = 8

// health checks what a node says of the groups that it leads: who is told not to be needed is not, by the
// configuration that is in force and by what is in the logs of the others.
func (c *checker) health(n *node) {
	s := n.machine.State()
	if s == nil || n.host.Ticks()%healthTicks != 0 {
		return
	}
	reports := map[kv.PartitionID]health.Report{}
	for _, r := range health.Look(n.host, nil, n.core.Planner.Waits) {
		reports[r.Partition] = r
	}
	verdict := health.Judge(s, reports)
	for p := range reports {
		at := n.host.Inspect(p)
		conf := at.Applied.Conf
		sets := [][]uint64{conf.GetVoters()}
		if out := conf.GetVotersOutgoing(); len(out) > 0 {
			sets = append(sets, out)
		}
		for _, m := range s.Members {
			if slices.Contains(verdict.Needs[m.ID], p) {
				continue
			}
			for _, voters := range sets {
				if left := c.haveAll(n, p, voters, m.ID, at.Commit); left <= len(voters)/2 {
					c.w.fail("%s: says that partition %v is served without node %s, and then %d of its voters %v have "+
						"what is committed", n.name, p, m.Name, left, voters)
				}
			}
		}
	}
}

// haveAll counts the voters of a partition on other nodes than one whose logs have all up to an index. One that is
// down counts: that a follower has just fallen, its leader cannot know.
func (c *checker) haveAll(n *node, p kv.PartitionID, voters []uint64, without kv.NodeID, index uint64) int {
	left := 0
	v, _ := n.host.View(p)
	for _, r := range v.Replicas {
		if !slices.Contains(voters, uint64(r.ID)) || r.Node == without {
			continue
		}
		// Nor can it know that one has come back a moment ago on an older copy of its disk, which is found out.
		holder := c.w.node(r.Node)
		if !holder.up || holder.old != nil {
			left++
			continue
		}
		if at := holder.host.Inspect(p); at.ID == r.ID && at.Last >= index {
			left++
		}
	}
	return left
}
