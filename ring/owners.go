package ring

import (
	"encoding/binary"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// pointsPerMember is how many points each member has on the circle. The library sorts all points anew for each member:
// 100 take five to eight times as long as 20, and what they gain is of no use, since proposals need not be even.
const pointsPerMember = 20

// loadFactor is how far above the average a member may go with what the ring proposes to it; the library's default.
const loadFactor = 1.25

// hasher is the circle's hash function.
type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

// hash spreads numbers evenly, the same way on every machine.
func hash(n uint64) uint64 {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return xxhash.Sum64(b[:])
}

// owners asks the library for the owner of each partition, as an index into members, which are sorted and distinct:
// the first member clockwise from the partition that owns less than its bound.
//
// The library panics ("not enough room to distribute partitions") when it finds no member
// below the bound, and it divides partitions by members as integers. It cannot happen here:
//   - There are never more members than partitions, since as many partitions are distributed
//     as there are members at least, and the surplus is dropped.
//   - Then each of M members has room for floor(P/M)+1 of P partitions, which together is
//     more than P, for any load factor above 1.
//   - The library's walk leaves out the last point of the circle; a member has many points.
func owners(members []Member, partitions int) []int {
	index := make(map[string]int, len(members))
	names := make([]consistent.Member, len(members))
	for i, m := range members {
		index[m.ID.String()] = i
		names[i] = m.ID
	}
	c := consistent.New(names, consistent.Config{
		Hasher:            hasher{},
		PartitionCount:    max(partitions, len(members)),
		ReplicationFactor: pointsPerMember,
		Load:              loadFactor,
	})
	owners := make([]int, partitions)
	for p := range owners {
		owners[p] = index[c.GetPartitionOwner(p).String()]
	}
	return owners
}
