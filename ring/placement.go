package ring

import (
	"slices"

	"github.com/buraksezer/consistent"

	"pxkv/node/kv"
)

// Placement is, for each partition, the nodes that shall hold it, in ring order. The first
// of a row is the preferred leader.
type Placement [][]kv.NodeID

// The load factor is how far above the average a member may go, for partitions owned and
// for replicas held alike: 5/4. Less would balance better and move more: with 11/10 a join
// into 64 partitions moves 1.21 times the new member's fair share, instead of 1.10 times.
const (
	loadNumerator   = 5
	loadDenominator = 4
)

// Place computes where the replicas of each of the partitions shall be: replicas distinct
// members a partition, or every member when there are fewer. The order of members and
// repetitions among them do not matter, nor does NodeID 0, which is no node. Without
// members, or with replicas < 1, all rows are empty. Any numbers are safe.
//
// How it works. Each member stands at pointsPerMember points on the circle of hashes, each
// partition at one. The owner is chosen by github.com/buraksezer/consistent:
// the first member clockwise from the partition that owns less than its bound. The other
// replicas are ours: the next distinct members clockwise that hold less than their bound. The
// owner is the preferred leader, unless that were too much for him (see spreadLeaders).
//
// Bounds, for M members: a member owns at most ceil(floor(P/M) * 5/4) of P >= M partitions
// and at most 2 of P < M; it holds at most ceil(P*R/M * 5/4) replicas, or as many as it may
// own if that is more. Only the bound on replicas could be exceeded, by rows that find too few
// members with room; no test, random ones included, has met such a row.
//
// Why not the library's own GetClosestN for the other replicas: it walks a second circle
// with a single point a member, so that a partition whose owner changes changes its whole
// row, and all replicas of a dead node's partitions sit on the same few neighbours.
// Measured with 3 replicas over joins of the 4th to 24th member (movement_test.go): replicas
// moved in terms of the new member's fair share, and replicas of the fullest member in terms
// of the average:
//
//	                   64 partitions  256 partitions
//	one point a member 1.71, 1.15     1.44, 1.15
//	this walk          1.10, 1.25     1.00, 1.22
//	walk without bound 1.05, 1.38     0.98, 1.26
//
// Up to about ten members this walk moves nothing but what the new member gets.
func Place(members []kv.NodeID, partitions, replicas int) Placement {
	nodes := distinct(members)
	placement := make(Placement, max(partitions, 0))
	if len(nodes) == 0 || replicas < 1 || partitions < 1 {
		return placement
	}
	replicas = min(replicas, len(nodes))

	w := walk{
		circle: newCircle(nodes),
		held:   make([]int, len(nodes)),
		bound:  replicaBound(len(nodes), partitions, replicas),
	}
	owners := owners(nodes, partitions)
	// All owners are counted before any other replica is placed: they are fixed already.
	for _, owner := range owners {
		w.held[owner]++
	}
	for p := range placement {
		row := w.extend(owners[p], p, replicas)
		placement[p] = make([]kv.NodeID, len(row))
		for i, member := range row {
			placement[p][i] = nodes[member]
		}
	}
	spreadLeaders(placement, nodes)
	return placement
}

// distinct returns the members sorted and once each, without NodeID 0.
func distinct(members []kv.NodeID) []kv.NodeID {
	nodes := slices.Clone(members)
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	return slices.DeleteFunc(nodes, func(n kv.NodeID) bool { return n == 0 })
}

// owners asks the library for the owner of each partition, as an index into nodes, which
// are sorted and distinct.
//
// The library panics ("not enough room to distribute partitions") when it finds no member
// below the bound, and it divides partitions by members as integers. It cannot happen here:
//   - There are never more members than partitions, since as many partitions are distributed
//     as there are members at least, and the surplus is dropped.
//   - Then each of M members has room for floor(P/M)+1 of P partitions, which together is
//     more than P, for any load factor above 1.
//   - The library's walk leaves out the last point of the circle; a member has many points.
func owners(nodes []kv.NodeID, partitions int) []int {
	index := make(map[string]int, len(nodes))
	members := make([]consistent.Member, len(nodes))
	for i, n := range nodes {
		index[n.String()] = i
		members[i] = n
	}
	c := consistent.New(members, consistent.Config{
		Hasher:            hasher{},
		PartitionCount:    max(partitions, len(nodes)),
		ReplicationFactor: pointsPerMember,
		Load:              float64(loadNumerator) / loadDenominator,
	})
	owners := make([]int, partitions)
	for p := range owners {
		owners[p] = index[c.GetPartitionOwner(p).String()]
	}
	return owners
}

// ownerBound is the largest number of partitions that one of so many members may own.
func ownerBound(members, partitions int) int {
	partitions = max(partitions, members)
	return ceilDiv(partitions/members*loadNumerator, loadDenominator)
}

// replicaBound is the largest number of replicas that one of so many members may hold.
func replicaBound(members, partitions, replicas int) int {
	fair := ceilDiv(partitions*replicas*loadNumerator, members*loadDenominator)
	return max(fair, ownerBound(members, partitions))
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
