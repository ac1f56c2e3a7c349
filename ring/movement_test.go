package ring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pxkv/node/kv"
)

// added counts the replicas that have to be built to get from one placement to another.
func added(from, to Placement) (n int) {
	for _, m := range Moves(from, to) {
		n += len(m.To)
	}
	return n
}

// leadersMoved counts the partitions whose preferred leader differs.
func leadersMoved(from, to Placement) (n int) {
	for _, m := range Moves(from, to) {
		if m.OldLeader != m.NewLeader {
			n++
		}
	}
	return n
}

// tally sums up steps: what moved, and what had to.
type tally struct{ moved, least, worst float64 }

func (t *tally) add(moved, least int) {
	t.moved += float64(moved)
	t.least += float64(least)
	if least > 0 {
		t.worst = max(t.worst, float64(moved)/float64(least))
	}
}

func (t *tally) String() string { return fmt.Sprintf("%.2f | %.2f", t.moved/max(t.least, 1), t.worst) }

// growth is what happens while a cluster grows from 1 to 50 members, one after the other, and what would happen if a
// random one of them left in each of the sizes.
type growth struct {
	joins, leaves, leaders tally
	fullest, leading       float64 // of any size, in terms of the average, rounded up
}

func (g *growth) String() string {
	return fmt.Sprintf("%v | %v | %v | %.2f | %.2f", &g.joins, &g.leaves, &g.leaders, g.fullest, g.leading)
}

// step counts a join from before to after, and a leave from after to without. Least is what no placement can avoid:
// what the new member gets when it joins, what the old one held when it leaves.
func (g *growth) step(before, after, without Placement, joined, left kv.NodeID, replicas int) {
	f := figuresOf(after)
	g.joins.add(added(before, after), f.held[joined])
	g.leaders.add(leadersMoved(before, after), f.leads[joined])
	if len(f.held) > replicas { // else everybody holds everything already
		g.leaves.add(added(after, without), f.held[left])
	}
	for _, n := range f.held {
		g.fullest = max(g.fullest, float64(n)/float64(ceilDiv(len(after)*len(after[0]), len(f.held))))
	}
	for _, n := range f.leads {
		g.leading = max(g.leading, float64(n)/float64(ceilDiv(len(after), len(f.held))))
	}
}

// grow measures what place makes of it.
func grow(partitions, replicas int, place func(now Placement, nodes []kv.NodeID) Placement) (g growth) {
	rng := rand.New(rand.NewPCG(1, 2))
	all := someNodes(3, 50)
	before := place(nil, all[:1])
	for n := 2; n <= len(all); n++ {
		after := place(before, all[:n])
		gone := rng.IntN(n)
		without := place(after, slices.Delete(slices.Clone(all[:n]), gone, gone+1))
		g.step(before, after, without, all[n-1], all[gone], replicas)
		before = after
	}
	return g
}

// The table in docs/scaling.md comes from here:
//
//	go test -v -run TestMovementAtJoinAndLeave ./ring
func TestMovementAtJoinAndLeave(t *testing.T) {
	t.Parallel()
	table := []string{"| P | R | | joins | worst | leaves | worst | leaders | worst | fullest | leads most |"}
	for _, partitions := range []int{64, 256, 1024} {
		before := grow(partitions, 3, func(_ Placement, nodes []kv.NodeID) Placement {
			return formerPlace(nodes, partitions, 3)
		})
		table = append(table, fmt.Sprintf("| %d | 3 | before | %v |", partitions, &before))
		for _, replicas := range []int{3, 1, 2, 5} {
			after := grow(partitions, replicas, func(now Placement, nodes []kv.NodeID) Placement {
				return Rebalance(now, members(nodes), partitions, replicas)
			})
			table = append(table, fmt.Sprintf("| %d | %d | after | %v |", partitions, replicas, &after))
			if after.joins.worst > 1 || after.leaves.worst > 1 || after.fullest > 1 || after.leading > 1 ||
				after.leaders.moved > 1.2*after.leaders.least {
				t.Errorf("%d partitions, %d replicas: %v", partitions, replicas, &after)
			}
		}
	}
	t.Logf("in terms of the least that can move, or of a fair share, rounded up\n%s", strings.Join(table, "\n"))
}

// A cluster of an older version has a placement in which somebody holds a quarter more than the average. The first
// change after the upgrade brings the new bounds, and moves what is above them.
func TestTheFirstChangeAfterTheFormerPlacement(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{64, 256, 1024} {
		for _, n := range []int{1, 2, 3, 5, 10, 20, 50} {
			nodes := someNodes(uint64(n), n+1)
			now := formerPlace(nodes[:n], partitions, 3)
			all := members(nodes)
			next := Rebalance(now, all, partitions, 3)
			checkPlacement(t, next, all, partitions, 3)
			moved, want := added(now, next), least(now, all, partitions, 3)
			if moved > want {
				t.Errorf("%d partitions, member %d: %d replicas move, and %d must", partitions, n+1, moved, want)
			}
			t.Logf("%d partitions, member %d: %d replicas move, it gets %d", partitions, n+1, moved,
				figuresOf(next).held[nodes[n]])
		}
	}
}

// What zones cost: random joins, leaves and changes of zones, in terms of what must move whatever the zones are.
func TestMovesAmongZones(t *testing.T) {
	t.Parallel()
	table := []string{"| P | zones | in sum | worst step | leads most |"}
	for _, partitions := range []int{64, 256} {
		for _, names := range []string{"ab", "abc", "abcde"} {
			rng := rand.New(rand.NewPCG(uint64(partitions), uint64(len(names))))
			var now Placement
			var all []Member
			var moves tally
			leads := 0.0
			for range 100 {
				all = randomChange(rng, all, names, 50)
				next := Rebalance(now, all, partitions, 3)
				checkPlacement(t, next, all, partitions, 3)
				if now != nil {
					moves.add(added(now, next), least(now, all, partitions, 3))
				}
				for _, n := range figuresOf(next).leads {
					leads = max(leads, float64(n)/float64(ceilDiv(partitions, len(all))))
				}
				now = next
			}
			table = append(table, fmt.Sprintf("| %d | %d | %v | %.2f |", partitions, len(names), &moves, leads))
			if moves.moved > 1.2*moves.least {
				t.Errorf("%d partitions, %d zones: %v", partitions, len(names), &moves)
			}
		}
	}
	t.Logf("in terms of what must move whatever the zones are\n%s", strings.Join(table, "\n"))
}
