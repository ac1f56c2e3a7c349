package ring

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/buraksezer/consistent"

	"pxkv/node/kv"
)

// added counts the replicas that have to be built to get from one placement to another of as many partitions.
func added(from, to Placement) int {
	n := 0
	for p := range to {
		n += len(without(to[p], from[p]))
	}
	return n
}

// leadersMoved counts the partitions whose preferred leader differs.
func leadersMoved(from, to Placement) int {
	n := 0
	for p := range to {
		if from[p][0] != to[p][0] {
			n++
		}
	}
	return n
}

// holding counts the replicas on one node.
func holding(p Placement, node kv.NodeID) int {
	n := 0
	for _, row := range p {
		if slices.Contains(row, node) {
			n++
		}
	}
	return n
}

// Least is what no placement can avoid: what the new member gets when it joins, what the
// old one held when it leaves. Everything above it moves between members that stay.
func TestMovementAtJoinAndLeave(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		partitions, replicas int
		total                float64 // ceiling of all moves together, in terms of the least
	}{{64, 3, 1.3}, {256, 3, 1.15}, {1024, 3, 1.05}} {
		rng := rand.New(rand.NewPCG(1, 2))
		var moved, least, leaders, leastLeaders float64
		all := someNodes(3, 50)
		before := Place(all[:1], c.partitions, c.replicas)
		for members := 2; members <= len(all); members++ {
			nodes := all[:members]
			after := Place(nodes, c.partitions, c.replicas)
			gone := rng.IntN(members)
			without := Place(slices.Delete(slices.Clone(nodes), gone, gone+1), c.partitions, c.replicas)

			join, joinLeast := added(before, after), holding(after, nodes[members-1])
			leave, leaveLeast := added(after, without), holding(after, nodes[gone])
			if members <= c.replicas {
				leaveLeast = 0 // everyone holds everything already
			}
			fair := float64(c.partitions*min(c.replicas, members)) / float64(members)
			t.Logf("P=%d R=%d member %2d: join moves %3d, least %3d, fair share %6.1f, leaders %3d; leave moves "+
				"%3d, least %3d",
				c.partitions, c.replicas, members, join, joinLeast, fair, leadersMoved(before, after),
				leave, leaveLeast)

			// One step may stand out, since bounds are whole numbers that change with the
			// number of members; never beyond four fair shares and a row or two.
			ceiling := int(4*fair) + 2*c.replicas
			if join > ceiling || leave > ceiling {
				t.Errorf("P=%d R=%d member %d: join moves %d, leave %d, ceiling %d", c.partitions, c.replicas, members,
					join, leave, ceiling)
			}
			moved += float64(join + leave)
			least += float64(joinLeast + leaveLeast)
			leaders += float64(leadersMoved(before, after))
			leastLeaders += float64(c.partitions) / float64(members)
			before = after
		}
		t.Logf("P=%d R=%d: all moves / least %.2f, leaders at joins / fair share %.2f", c.partitions, c.replicas,
			moved/least, leaders/leastLeaders)
		if moved > c.total*least {
			t.Errorf("P=%d R=%d: %.0f moves where %.0f are needed, want at most %.2f times as many", c.partitions,
				c.replicas, moved, least, c.total)
		}
	}
}

// placeOnOnePointCircle is the alternative that Place rejects: the library's own replicas.
func placeOnOnePointCircle(t *testing.T, nodes []kv.NodeID, partitions, replicas int) Placement {
	t.Helper()
	members := make([]consistent.Member, len(nodes))
	for i, n := range nodes {
		members[i] = n
	}
	c := consistent.New(members, consistent.Config{
		Hasher: hasher{}, PartitionCount: partitions, ReplicationFactor: pointsPerMember, Load: 1.25,
	})
	p := make(Placement, partitions)
	for id := range p {
		row, err := c.GetClosestNForPartition(id, min(replicas, len(nodes)))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range row {
			p[id] = append(p[id], m.(kv.NodeID))
		}
	}
	return p
}

// The figures in the comment of Place come from here.
func TestOurWalkMovesLessThanTheLibrarys(t *testing.T) {
	t.Parallel()
	const replicas, from, to = 3, 4, 24
	type figures struct{ moved, fullest float64 }
	measure := func(partitions int, place func(nodes []kv.NodeID) Placement) figures {
		var moved, least, fullest float64
		steps := 0
		for seed := range uint64(2) {
			nodes := someNodes(seed, to)
			before := place(nodes[:from-1])
			for members := from; members <= to; members++ {
				after := place(nodes[:members])
				fair := float64(partitions*replicas) / float64(members)
				most := 0
				for _, n := range nodes[:members] {
					most = max(most, holding(after, n))
				}
				moved += float64(added(before, after))
				least += fair
				fullest += float64(most) / fair
				steps++
				before = after
			}
		}
		return figures{moved / least, fullest / float64(steps)}
	}
	for _, partitions := range []int{64, 256} {
		ours := measure(partitions, func(n []kv.NodeID) Placement { return Place(n, partitions, replicas) })
		theirs := measure(partitions, func(n []kv.NodeID) Placement {
			return placeOnOnePointCircle(t, n, partitions, replicas)
		})
		t.Logf("P=%d: ours moves %.2f of the fair share, fullest %.2f; one point a member %.2f, %.2f",
			partitions, ours.moved, ours.fullest, theirs.moved, theirs.fullest)
		if ours.moved > 0.8*theirs.moved {
			t.Errorf("P=%d: our walk moves %.2f, the library's %.2f: it no longer earns its place", partitions,
				ours.moved, theirs.moved)
		}
	}
}
