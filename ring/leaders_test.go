package ring

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pxkv/node/kv"
)

// leads counts the first places of each member.
func leads(p Placement) map[kv.NodeID]int {
	n := map[kv.NodeID]int{}
	for _, row := range p {
		n[row[0]]++
	}
	return n
}

// Nobody leads more than a fair share, rounded up, where everybody holds everything; elsewhere the
// rows may force one more.
func TestLeadersAreSpreadEvenly(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		members, replicas := 1+rng.IntN(12), 2+rng.IntN(4)
		partitions := []int{1, 16, 64, 256}[rng.IntN(4)]
		nodes := someNodes(rng.Uint64(), members)
		counts := leads(Place(nodes, partitions, replicas))
		most := ceilDiv(partitions, members)
		if members > replicas {
			most++
		}
		for _, n := range nodes {
			if counts[n] > most {
				t.Errorf("%d partitions, %d members, %d replicas: one leads %d", partitions, members, replicas,
					counts[n])
			}
		}
	}
}

// Only the order within rows changes, and in the end nobody who leads too many could give one away.
func TestSpreadingLeadersMovesNoReplica(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		nodes := someNodes(rng.Uint64(), 2+rng.IntN(9))
		slices.Sort(nodes)
		var before Placement
		for range 1 + rng.IntN(60) {
			rng.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
			row := slices.Clone(nodes[:1+rng.IntN(min(len(nodes), 4))])
			if rng.IntN(2) == 0 { // lopsided
				slices.Sort(row)
			}
			before = append(before, row)
		}
		slices.Sort(nodes)
		after := make(Placement, len(before))
		for p := range before {
			after[p] = slices.Clone(before[p])
		}
		spreadLeaders(after, nodes)
		if moved := added(before, after) + added(after, before); moved > 0 {
			t.Fatalf("%d moved", moved)
		}
		counts, share := leads(after), ceilDiv(len(after), len(nodes))
		for p, row := range after {
			for _, n := range row[1:] {
				if counts[row[0]] > share && counts[n] < share {
					t.Fatalf("partition %d is led by one of %d, and is held by one who leads %d", p, counts[row[0]],
						counts[n])
				}
			}
		}
	}
}
