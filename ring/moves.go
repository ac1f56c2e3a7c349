package ring

import (
	"slices"

	"pxkv/node/kv"
)

// Move says how the set of nodes of one partition changes between two placements.
type Move struct {
	Partition kv.PartitionID
	Add       []kv.NodeID // get a replica, in ring order of the new placement
	Remove    []kv.NodeID // lose theirs, in ring order of the old placement
}

// Moves returns one Move for each partition whose set of nodes differs, by ascending
// partition. A mere change of order moves nothing and is not listed: see LeaderMoves.
// A partition that one of the placements does not have has no nodes there.
func Moves(from, to Placement) []Move {
	var moves []Move
	for p := range max(len(from), len(to)) {
		before, after := from.row(p), to.row(p)
		m := Move{
			Partition: kv.PartitionID(p),
			Add:       without(after, before),
			Remove:    without(before, after),
		}
		if len(m.Add) > 0 || len(m.Remove) > 0 {
			moves = append(moves, m)
		}
	}
	return moves
}

// LeaderMoves counts the partitions whose preferred leader differs. A partition without
// nodes in one of the placements has no leader there and does not count.
func LeaderMoves(from, to Placement) int {
	moved := 0
	for p := range min(len(from), len(to)) {
		if len(from[p]) > 0 && len(to[p]) > 0 && from[p][0] != to[p][0] {
			moved++
		}
	}
	return moved
}

func (p Placement) row(i int) []kv.NodeID {
	if i >= len(p) {
		return nil
	}
	return p[i]
}

// without returns the elements that are not in excluded, which is as short as a row, so that
// searching beats building a set.
func without[T comparable](all, excluded []T) []T {
	var rest []T
	for _, n := range all {
		if !slices.Contains(excluded, n) {
			rest = append(rest, n)
		}
	}
	return rest
}
