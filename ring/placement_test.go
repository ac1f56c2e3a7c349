package ring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"

	"pxkv/node/kv"
)

// someNodes returns n distinct node ids that depend on nothing but seed.
func someNodes(seed uint64, n int) []kv.NodeID {
	rng := rand.New(rand.NewPCG(seed, 0))
	nodes := make([]kv.NodeID, n)
	for i := range nodes {
		nodes[i] = kv.NodeID(rng.Uint64() | 1)
	}
	return nodes
}

// checkPlacement holds a placement against everything that Place promises.
func checkPlacement(t rapid.TB, p Placement, nodes []kv.NodeID, partitions, replicas int) {
	t.Helper()
	if len(p) != partitions {
		t.Fatalf("%d rows, want %d", len(p), partitions)
	}
	owned, held := map[kv.NodeID]int{}, map[kv.NodeID]int{}
	for id, row := range p {
		if want := min(replicas, len(nodes)); len(row) != want {
			t.Fatalf("partition %d has %d nodes, want %d", id, len(row), want)
		}
		for i, n := range row {
			if !slices.Contains(nodes, n) {
				t.Fatalf("partition %d: %v is not a member", id, n)
			}
			if slices.Contains(row[:i], n) {
				t.Fatalf("partition %d: %v stands there twice", id, n)
			}
			held[n]++
		}
		owned[row[0]]++
	}
	for _, n := range nodes {
		if bound := ownerBound(len(nodes), partitions); owned[n] > bound {
			t.Fatalf("%v owns %d partitions of %d with %d members, bound %d", n, owned[n], partitions, len(nodes),
				bound)
		}
		if bound := replicaBound(len(nodes), partitions, min(replicas, len(nodes))); held[n] > bound {
			t.Fatalf("%v holds %d replicas of %dx%d with %d members, bound %d", n, held[n], partitions, replicas,
				len(nodes), bound)
		}
	}
}

func TestPlaceEverySize(t *testing.T) {
	t.Parallel()
	for _, partitions := range []int{1, 16, 64, 256, 1024} {
		t.Run(fmt.Sprint(partitions, " partitions"), func(t *testing.T) {
			t.Parallel()
			for members := 1; members <= 50; members++ {
				nodes := someNodes(uint64(partitions), members)
				for replicas := 1; replicas <= 5; replicas++ {
					if members > 12 && members%5 != replicas%5 {
						continue // each large size with one number of replicas: Place takes its time there
					}
					checkPlacement(t, Place(nodes, partitions, replicas), nodes, partitions, replicas)
				}
			}
		})
	}
}

func TestPlaceHoldsItsPromisesForAnyMembers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		nodes := rapid.SliceOfNDistinct(rapid.Uint64Min(1), 1, 40, rapid.ID).Draw(t, "members")
		members := make([]kv.NodeID, len(nodes))
		for i, n := range nodes {
			members[i] = kv.NodeID(n)
		}
		partitions := rapid.IntRange(1, 300).Draw(t, "partitions")
		replicas := rapid.IntRange(1, 7).Draw(t, "replicas")
		checkPlacement(t, Place(members, partitions, replicas), members, partitions, replicas)
	})
}

func TestPlaceDoesNotDependOnOrderOrRepetition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		members := someNodes(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 20).Draw(t, "members"))
		shuffled := rapid.Permutation(slices.Concat(members, members[:len(members)/2], []kv.NodeID{0})).Draw(t,
			"shuffled")
		given := slices.Clone(shuffled)
		a, b := Place(members, 64, 3), Place(shuffled, 64, 3)
		for p := range a {
			if !slices.Equal(a[p], b[p]) {
				t.Fatalf("partition %d: %v and %v", p, a[p], b[p])
			}
		}
		if !slices.Equal(given, shuffled) {
			t.Fatal("Place changed its argument")
		}
	})
}

func TestPlaceAtTheEdges(t *testing.T) {
	t.Parallel()
	nodes := someNodes(1, 3)
	for _, c := range []struct {
		name                 string
		members              []kv.NodeID
		partitions, replicas int
		rows, width          int
	}{
		{"no members", nil, 4, 3, 4, 0},
		{"only no node", []kv.NodeID{0, 0}, 4, 3, 4, 0},
		{"no replicas", nodes, 4, 0, 4, 0},
		{"fewer than no replicas", nodes, 4, -1, 4, 0},
		{"no partitions", nodes, 0, 3, 0, 0},
		{"fewer than no partitions", nodes, -1, 3, 0, 0},
		{"one of each", nodes[:1], 1, 1, 1, 1},
		{"fewer members than replicas", nodes, 4, 5, 4, 3},
		{"many more members than partitions", someNodes(2, 200), 3, 3, 3, 3},
		{"as many partitions as can be", nodes, MaxPartitions, 2, MaxPartitions, 2},
	} {
		p := Place(c.members, c.partitions, c.replicas)
		if len(p) != c.rows {
			t.Errorf("%s: %d rows, want %d", c.name, len(p), c.rows)
		}
		for id, row := range p {
			if len(row) != c.width {
				t.Errorf("%s: partition %d has %d nodes, want %d", c.name, id, len(row), c.width)
				break
			}
		}
	}
}

// When every other member is full the walk must still fill the row, with the emptiest.
func TestWalkWithoutRoomTakesTheEmptiest(t *testing.T) {
	t.Parallel()
	w := walk{circle: newCircle(someNodes(1, 4)), held: []int{9, 7, 5, 7}, bound: 5}
	if got := w.extend(0, 0, 3); !slices.Equal(got, []int{0, 2, 1}) {
		t.Errorf("row %v, want the owner 0, then 2 and 1", got)
	}
	if !slices.Equal(w.held, []int{9, 8, 6, 7}) {
		t.Errorf("held %v after it", w.held)
	}
}

// A change of this sum means that a new version places differently: then every cluster
// that computes its placement anew moves data. Change it only on purpose.
func TestPlacementIsStableAcrossVersions(t *testing.T) {
	t.Parallel()
	h := xxhash.New()
	for _, members := range []int{1, 3, 5, 12} {
		fmt.Fprint(h, Place(someNodes(7, members), 64, 3))
	}
	if got, want := h.Sum64(), uint64(0xb06e975430718ace); got != want {
		t.Errorf("sum of the placements is %#x, want %#x", got, want)
	}
}

func BenchmarkPlace(b *testing.B) {
	for _, c := range []struct{ members, partitions int }{{3, 64}, {5, 64}, {10, 256}, {50, 64}, {50, 1024}} {
		b.Run(fmt.Sprintf("members=%d/partitions=%d", c.members, c.partitions), func(b *testing.B) {
			nodes := someNodes(1, c.members)
			for b.Loop() {
				Place(nodes, c.partitions, 3)
			}
		})
	}
}
