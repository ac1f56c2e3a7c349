package ring

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"

	"pxkv/node/kv"
)

const formerPoints = 100

// point is one of a member's places on the circle.
type point struct {
	hash   uint64
	member int // index into the sorted members
}

// newCircle returns the points of all nodes by ascending hash. They are the library's own:
// the hash of the member's text followed by the number of the point. So the owner is the
// first member of a partition's walk, unless that one owned its share already.
func newCircle(nodes []kv.NodeID) []point {
	circle := make([]point, 0, len(nodes)*formerPoints)
	var text []byte
	for member, n := range nodes {
		name := n.String()
		for i := range formerPoints {
			text = strconv.AppendInt(append(text[:0], name...), int64(i), 10)
			circle = append(circle, point{hash: xxhash.Sum64(text), member: member})
		}
	}
	slices.SortFunc(circle, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.member, b.member))
	})
	return circle
}

// walk places the replicas beyond the owners.
type walk struct {
	circle []point
	held   []int // replicas by member so far, owners included
	bound  int   // members that hold so many get no more
}

// extend returns the row of partition p: its owner, and further members in the order in
// which a walk clockwise from the partition meets them. replicas must not be more than
// there are members.
func (w *walk) extend(owner, p, replicas int) []int {
	row := make([]int, 1, replicas)
	row[0] = owner
	start, _ := slices.BinarySearchFunc(w.circle, hash(uint64(p)), func(pt point, hash uint64) int {
		return cmp.Compare(pt.hash, hash)
	})
	for i := range w.circle {
		if len(row) == replicas {
			return row
		}
		member := w.circle[(start+i)%len(w.circle)].member
		if w.held[member] < w.bound && !slices.Contains(row, member) {
			w.held[member]++
			row = append(row, member)
		}
	}
	// All others are full: possible when nearly all members hold nearly every partition,
	// though at this load factor it has not been seen. Then the emptiest take it.
	for len(row) < replicas {
		member := w.emptiest(row)
		w.held[member]++
		row = append(row, member)
	}
	return row
}

// emptiest returns the member outside row that holds the least, the lowest id among equals.
func (w *walk) emptiest(row []int) int {
	best := -1
	for member, held := range w.held {
		if !slices.Contains(row, member) && (best < 0 || held < w.held[best]) {
			best = member
		}
	}
	return best
}

// formerPlace is how placements were computed before Rebalance, from the members alone: an owner by the library, the
// others by a walk clockwise, nobody above 5/4 of the average, then leaders evened out within the rows. Clusters have
// such placements when they come from an older version, and the tables compare with it.
func formerPlace(members []kv.NodeID, partitions, replicas int) Placement {
	nodes := slices.Sorted(slices.Values(members))
	replicas = min(replicas, len(nodes))
	w := walk{
		circle: newCircle(nodes),
		held:   make([]int, len(nodes)),
		bound:  max(ceilDiv(partitions*replicas*5, len(nodes)*4), ceilDiv(max(partitions/len(nodes), 1)*5, 4)),
	}
	owners := formerOwners(nodes, partitions)
	for _, owner := range owners {
		w.held[owner]++
	}
	placement := make(Placement, partitions)
	for p := range placement {
		for _, member := range w.extend(owners[p], p, replicas) {
			placement[p] = append(placement[p], nodes[member])
		}
	}
	spreadLeaders(placement, nodes)
	return placement
}

func formerOwners(nodes []kv.NodeID, partitions int) []int {
	index := make(map[string]int, len(nodes))
	members := make([]consistent.Member, len(nodes))
	for i, n := range nodes {
		index[n.String()] = i
		members[i] = n
	}
	c := consistent.New(members, consistent.Config{
		Hasher: hasher{}, PartitionCount: max(partitions, len(nodes)), ReplicationFactor: formerPoints, Load: 1.25,
	})
	owners := make([]int, partitions)
	for p := range owners {
		owners[p] = index[c.GetPartitionOwner(p).String()]
	}
	return owners
}

// spreadLeaders changes the order within rows until nobody leads more than the fair share, rounded up.
func spreadLeaders(placement Placement, nodes []kv.NodeID) {
	index := make(map[kv.NodeID]int, len(nodes))
	for i, n := range nodes {
		index[n] = i
	}
	l := formerLeaderships{placement: placement, nodes: nodes, index: index, led: make([][]int, len(nodes)),
		share: ceilDiv(len(placement), len(nodes))}
	for p, row := range placement {
		l.led[index[row[0]]] = append(l.led[index[row[0]]], p)
	}
	for from := range l.led {
		for len(l.led[from]) > l.share && l.shift(from) {
		}
	}
}

// formerLeaderships is who leads what, while that is spread. Members are known by their index in nodes.
type formerLeaderships struct {
	placement Placement
	nodes     []kv.NodeID
	index     map[kv.NodeID]int
	led       [][]int // partitions by leader
	share     int
}

// step is how a chain reached a member: by which partition, from whom.
type step struct{ from, partition int }

// shift moves one first place from a member to one that leads less than its share, if a chain
// leads there.
func (l *formerLeaderships) shift(from int) bool {
	reached := make([]step, len(l.nodes))
	for i := range reached {
		reached[i].from = -1
	}
	reached[from].from = from
	queue := []int{from}
	for len(queue) > 0 {
		a := queue[0]
		queue = queue[1:]
		if len(l.led[a]) < l.share {
			l.hand(reached, from, a)
			return true
		}
		for _, p := range l.led[a] {
			for _, n := range l.placement[p][1:] {
				if b := l.index[n]; reached[b].from < 0 {
					reached[b] = step{a, p}
					queue = append(queue, b)
				}
			}
		}
	}
	return false
}

// hand carries out the chain that ends at a member.
func (l *formerLeaderships) hand(reached []step, from, to int) {
	for to != from {
		s := reached[to]
		l.led[s.from] = slices.DeleteFunc(l.led[s.from], func(p int) bool { return p == s.partition })
		l.led[to] = append(l.led[to], s.partition)
		first(l.placement[s.partition], l.nodes[to])
		to = s.from
	}
}

// first brings a node of a row to its beginning; the order of the others stays.
func first(row []kv.NodeID, node kv.NodeID) {
	for i, n := range row {
		if n == node {
			copy(row[1:i+1], row[:i])
			row[0] = node
			return
		}
	}
}
