package rebalance

import (
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/ring"
)

// Plan returns the placement for these members, in any order: per partition the nodes, the preferred leader first, for
// meta.Place. It keeps what it can of the placement that the meta group has written down (see ring.Rebalance): of that
// one, not of where replicas are by now, so that it depends on its arguments only.
func Plan(now [][]kv.Replica, members []ring.Member, partitions, replicas int) (rows [][]kv.NodeID) {
	return ring.Rebalance(nodes(now), members, partitions, replicas)
}

// Moves returns what Plan would change of the placement that is written down, by partition.
func Moves(now [][]kv.Replica, members []ring.Member, partitions, replicas int) []ring.Move {
	return ring.Moves(nodes(now), Plan(now, members, partitions, replicas))
}

// nodes is a placement without the ids of its replicas.
func nodes(placement [][]kv.Replica) ring.Placement {
	rows := make(ring.Placement, len(placement))
	for p, row := range placement {
		for _, r := range row {
			rows[p] = append(rows[p], r.Node)
		}
	}
	return rows
}

// Members describes nodes as the ring wants them, with the zones of those that are members.
func Members(s *meta.State, ids []kv.NodeID) []ring.Member {
	out := make([]ring.Member, len(ids))
	for i, id := range ids {
		m, _ := s.Member(id)
		out[i] = ring.Member{ID: id, Zone: m.Zone}
	}
	return out
}
