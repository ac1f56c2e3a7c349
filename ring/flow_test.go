package ring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pxkv/node/kv"
)

// flow is a network in which as much flows as can, for as little as that costs. It is slow, and right by its
// simplicity: path after path by Bellman and Ford.
type flow struct{ out [][]pipe }

type pipe struct{ to, room, cost, back int }

func (f *flow) pipe(from, to, room, cost int) {
	f.out[from] = append(f.out[from], pipe{to, room, cost, len(f.out[to])})
	f.out[to] = append(f.out[to], pipe{from, 0, -cost, len(f.out[from]) - 1})
}

// between is a pipe that gets least at least, if that is possible at all: what flows up to there is paid for. It
// returns what is paid.
func (f *flow) between(from, to, least, most int) int {
	f.pipe(from, to, least, -reward)
	f.pipe(from, to, most-least, 0)
	return least * reward
}

const reward = 1 << 20 // more than all that costs

func (f *flow) send(from, to int) (cost int) {
	for {
		far := slices.Repeat([]int{1 << 60}, len(f.out))
		by := make([][2]int, len(f.out))
		far[from] = 0
		for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
			at := queue[0]
			for i, e := range f.out[at] {
				if e.room > 0 && far[at]+e.cost < far[e.to] {
					far[e.to], by[e.to] = far[at]+e.cost, [2]int{at, i}
					queue = append(queue, e.to)
				}
			}
		}
		if far[to] == 1<<60 {
			return cost
		}
		cost += far[to]
		for at := to; at != from; at = by[at][0] {
			e := &f.out[by[at][0]][by[at][1]]
			e.room--
			f.out[at][e.back].room++
		}
	}
}

// leastAmongZones is how many replicas have to be built for a placement that keeps all of Rebalance's bounds:
// partitions get replicas, zones of partitions between their least and most of them, and members their shares.
func leastAmongZones(now Placement, all []Member, partitions, replicas int) int {
	all = distinct(all)
	b := newBalance(now, all, partitions, min(replicas, len(all)))
	zones := len(b.zones.sizes)
	partition := func(p int) int { return 2 + p*(zones+1) }
	member := func(m int) int { return 2 + partitions*(zones+1) + m }
	f := flow{make([][]pipe, member(len(all)))}
	paid := 0
	for p := range partitions {
		f.pipe(0, partition(p), b.replicas, 0)
		for z := range zones {
			paid += f.between(partition(p), partition(p)+1+z, b.zones.least(z), b.zones.most(z))
		}
		for m, z := range b.zones.of {
			built := 1
			if slices.Contains(b.was[p], m) {
				built = 0
			}
			f.pipe(partition(p)+1+z, member(m), 1, built)
		}
	}
	for m := range all {
		paid += f.between(member(m), 1, b.low[m], b.high[m])
	}
	return paid + f.send(0, 1)
}

// Nearly: chains that cost nothing go first, then short ones, and that is not always the least.
func TestMovesAmongZonesAreNearlyTheLeast(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{16, 64} {
		for _, names := range []string{"ab", "abc", "abcd"} {
			rng := rand.New(rand.NewPCG(uint64(partitions), uint64(len(names))))
			var now Placement
			var all []Member
			var moves tally
			for range 40 {
				for range 1 + rng.IntN(3) {
					all = randomChange(rng, all, names, 20)
				}
				next := Rebalance(now, all, partitions, 3)
				if now != nil {
					moves.add(added(now, next), leastAmongZones(now, all, partitions, 3))
				}
				now = next
			}
			t.Logf("%d partitions, %d zones: moves in terms of the least in sum, and of the worst step: %v", partitions,
				len(names), &moves)
			if moves.moved < moves.least || moves.moved > 1.05*moves.least {
				t.Errorf("%d partitions, %d zones: %v", partitions, len(names), fmt.Sprint(&moves))
			}
		}
	}
}

// randomChange lets a member join, leave or get another zone; the later zones are smaller, and some members have none.
func randomChange(rng *rand.Rand, all []Member, names string, most int) []Member {
	zone := ""
	if at := rng.IntN(1+rng.IntN(len(names)+1)) - 1; at >= 0 {
		zone = names[at : at+1]
	}
	at := rng.IntN(max(len(all), 1))
	switch kind := rng.IntN(10); {
	case len(all) == 0 || kind < 5 && len(all) < most:
		all = append(all, Member{kv.NodeID(rng.Uint64() | 1), zone})
	case kind < 9 && len(all) > 1:
		all = slices.Delete(all, at, at+1)
	default:
		all[at].Zone = zone
	}
	return all
}
