package ring

import (
	"slices"

	"pxkv/node/kv"
)

// Move is what a change of the placement does to one partition.
type Move struct {
	Partition kv.PartitionID
	// From are the nodes that lose their replica, To those that get one, each in the order of its row. They are as many
	// as each other unless the number of replicas changes; which of To is filled from whom is not said.
	From, To []kv.NodeID
	// OldLeader and NewLeader are the preferred leaders, equal where it stays; 0 where a row is empty or missing.
	OldLeader, NewLeader kv.NodeID
}

// Moves returns what happens on the way from one placement to another, in the order of partitions. Those in which no
// replica moves and the preferred leader stays are left out.
func Moves(from, to Placement) (moves []Move) {
	for p := range max(len(from), len(to)) {
		before, after := rowOf(from, p), rowOf(to, p)
		m := Move{
			Partition: kv.PartitionID(p), From: without(before, after), To: without(after, before),
			OldLeader: leaderOf(before), NewLeader: leaderOf(after),
		}
		if len(m.From)+len(m.To) > 0 || m.OldLeader != m.NewLeader {
			moves = append(moves, m)
		}
	}
	return moves
}

func rowOf(placement Placement, p int) []kv.NodeID {
	if p >= len(placement) {
		return nil
	}
	return placement[p]
}

func leaderOf(row []kv.NodeID) kv.NodeID {
	if len(row) == 0 {
		return 0
	}
	return row[0]
}

// without returns the nodes that are not in excluded, which is as short as a row, so that
// searching beats building a set.
func without(all, excluded []kv.NodeID) (rest []kv.NodeID) {
	for _, n := range all {
		if !slices.Contains(excluded, n) {
			rest = append(rest, n)
		}
	}
	return rest
}
