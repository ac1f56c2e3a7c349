package ring

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"

	"pxkv/node/kv"
)

// pointsPerMember is how many points each member has on the circle. More spread a member's
// share more evenly and cost time: 100 make 9 ms for 50 members, and 200 gain nothing.
const pointsPerMember = 100

// hasher is the circle's hash function, for the library and for our own walk alike.
type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

// point is one of a member's places on the circle.
type point struct {
	hash   uint64
	member int // index into the sorted members
}

// newCircle returns the points of all nodes by ascending hash. They are the library's own:
// the hash of the member's text followed by the number of the point. So the owner is the
// first member of a partition's walk, unless that one owned its share already.
func newCircle(nodes []kv.NodeID) []point {
	circle := make([]point, 0, len(nodes)*pointsPerMember)
	var text []byte
	for member, n := range nodes {
		name := n.String()
		for i := range pointsPerMember {
			text = strconv.AppendInt(append(text[:0], name...), int64(i), 10)
			circle = append(circle, point{hash: xxhash.Sum64(text), member: member})
		}
	}
	slices.SortFunc(circle, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.member, b.member))
	})
	return circle
}

// hashOfPartition is where partition p stands on the circle, as in the library.
func hashOfPartition(p int) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(p))
	return xxhash.Sum64(b[:])
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
	start, _ := slices.BinarySearchFunc(w.circle, hashOfPartition(p), func(pt point, hash uint64) int {
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
