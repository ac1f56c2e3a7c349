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

// members are nodes without zones.
func members(nodes []kv.NodeID) []Member {
	all := make([]Member, len(nodes))
	for i, n := range nodes {
		all[i].ID = n
	}
	return all
}

func equal(a, b Placement) bool { return slices.EqualFunc(a, b, slices.Equal[[]kv.NodeID]) }

// figures are what a placement gives its members.
type figures struct{ held, leads map[kv.NodeID]int }

func figuresOf(placement Placement) figures {
	f := figures{map[kv.NodeID]int{}, map[kv.NodeID]int{}}
	for _, row := range placement {
		for _, n := range row {
			f.held[n]++
		}
		if len(row) > 0 {
			f.leads[row[0]]++
		}
	}
	return f
}

// checkPlacement holds a placement against what Rebalance promises, but for what moves.
func checkPlacement(t rapid.TB, placement Placement, all []Member, partitions, replicas int) {
	t.Helper()
	if len(placement) != partitions {
		t.Fatalf("%d rows, want %d", len(placement), partitions)
	}
	replicas = min(replicas, len(all))
	zone, sizes := map[kv.NodeID]string{}, map[string]int{}
	for i, m := range all {
		name := m.Zone
		if name == "" {
			name = fmt.Sprint("alone ", i)
		}
		zone[m.ID] = name
		sizes[name]++
	}
	for p, row := range placement {
		if len(row) != replicas {
			t.Fatalf("partition %d has %d nodes, want %d", p, len(row), replicas)
		}
		in := map[string]int{}
		for i, n := range row {
			if _, member := zone[n]; !member || slices.Contains(row[:i], n) {
				t.Fatalf("partition %d: %v is no member, or stands there twice", p, n)
			}
			in[zone[n]]++
		}
		checkZones(t, p, in, sizes)
	}
	f := figuresOf(placement)
	if len(sizes) == len(all) {
		checkShares(t, f, all, partitions, replicas)
	}
	z := newZones(distinct(all), replicas)
	low, high := z.shares(partitions, replicas)
	for i, m := range distinct(all) {
		if n := f.held[m.ID]; n < low[i] || n > high[i] {
			t.Fatalf("%v of zone %q holds %d replicas, want %d to %d", m.ID, m.Zone, n, low[i], high[i])
		}
	}
}

// checkZones requires that no replica of a row could be in a zone with fewer of them.
func checkZones(t rapid.TB, p int, in, sizes map[string]int) {
	t.Helper()
	for full, n := range in {
		for zone, size := range sizes {
			if in[zone] < size && in[zone] < n-1 {
				t.Fatalf("partition %d has %d replicas in zone %q, and %d of %d members in %q", p, n, full, in[zone],
					size, zone)
			}
		}
	}
}

// checkShares requires that everybody has a fair share where zones forbid nothing.
func checkShares(t rapid.TB, f figures, all []Member, partitions, replicas int) {
	t.Helper()
	for _, m := range all {
		if n, sum := f.held[m.ID], partitions*replicas; n < sum/len(all) || n > ceilDiv(sum, len(all)) {
			t.Fatalf("%v holds %d of %d replicas on %d members", m.ID, n, sum, len(all))
		}
		if n := f.leads[m.ID]; n < partitions/len(all) || n > ceilDiv(partitions, len(all)) {
			t.Fatalf("%v leads %d of %d partitions on %d members", m.ID, n, partitions, len(all))
		}
	}
}

// change draws what happens to a cluster: members join, leave, or are told another zone.
func change(t *rapid.T, all []Member, zones []string) []Member {
	all = slices.Clone(all)
	for range rapid.IntRange(1, 4).Draw(t, "changes") {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		at := rapid.IntRange(0, max(len(all)-1, 0)).Draw(t, "at")
		switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
		case len(all) == 0 || kind < 2:
			id := kv.NodeID(rapid.Uint64Min(1).Draw(t, "id"))
			if !slices.ContainsFunc(all, func(m Member) bool { return m.ID == id }) {
				all = append(all, Member{id, zone})
			}
		case kind < 4 && len(all) > 1:
			all = slices.Delete(all, at, at+1)
		default:
			all[at].Zone = zone
		}
	}
	return all
}

// least is what no placement within the bounds can avoid to build, whatever the order of changes was; without
// zones it can nearly always be reached. leastAmongZones knows when, but is slow.
func least(now Placement, all []Member, partitions, replicas int) int {
	all = distinct(all)
	b := newBalance(now, all, partitions, min(replicas, len(all)))
	b.keep()
	gaps, lacking, kept := 0, 0, 0
	was := make([]int, len(all))
	for p, row := range b.rows {
		gaps += b.replicas - len(row)
		for _, m := range b.was[p] {
			was[m]++
		}
	}
	for m, n := range was {
		lacking += max(0, b.low[m]-n)
		kept += min(n, b.high[m])
	}
	return max(gaps, lacking, partitions*b.replicas-kept)
}

func TestAnyChangesMoveTheLeastAndEndInBalance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.SampledFrom([]int{1, 7, 16, 64, 100, 256, 1024}).Draw(t, "partitions")
		replicas := rapid.IntRange(1, 6).Draw(t, "replicas")
		first := rapid.SliceOfNDistinct(rapid.Uint64Min(1), 1, 50, rapid.ID).Draw(t, "members")
		var all []Member
		for _, id := range first {
			all = append(all, Member{ID: kv.NodeID(id)})
		}
		now := Rebalance(nil, all, partitions, replicas)
		checkPlacement(t, now, all, partitions, replicas)
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			all = change(t, all, []string{""})
			next := Rebalance(now, all, partitions, replicas)
			checkPlacement(t, next, all, partitions, replicas)
			if moved, want := added(now, next), least(now, all, partitions, replicas); moved > want {
				if want = leastAmongZones(now, all, partitions, replicas); moved > want {
					t.Fatalf("%d replicas move, and %d must", moved, want)
				}
			}
			if !equal(next, Rebalance(next, all, partitions, replicas)) {
				t.Fatal("computed again with the same members, it is another one")
			}
			now = next
		}
	})
}

// With zones no formula says how little could move; TestMovesAmongZones holds the sum against what is known.
func TestAnyZonesKeepReplicasApart(t *testing.T) {
	t.Parallel()
	zones := []string{"", "a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.SampledFrom([]int{1, 7, 16, 64, 100, 256}).Draw(t, "partitions")
		replicas := rapid.IntRange(1, 6).Draw(t, "replicas")
		some := zones[:rapid.IntRange(2, len(zones)).Draw(t, "zones")]
		var all []Member
		var now Placement
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			all = change(t, all, some)
			next := Rebalance(now, all, partitions, replicas)
			checkPlacement(t, next, all, partitions, replicas)
			if !equal(next, Rebalance(next, all, partitions, replicas)) {
				t.Fatal("computed again with the same members, it is another one")
			}
			now = next
		}
	})
}

func TestWhatZonesForce(t *testing.T) {
	t.Parallel()
	build := func(sizes map[string]int) (all []Member) {
		for _, zone := range []string{"a", "b", "c", "d"} {
			for range sizes[zone] {
				all = append(all, Member{kv.NodeID(len(all) + 1), zone})
			}
		}
		return all
	}
	for _, tc := range []struct {
		name     string
		sizes    map[string]int
		replicas int
		most     map[string]int // of 60 partitions: what a member holds at most
	}{
		{"even zones", map[string]int{"a": 2, "b": 2, "c": 2}, 3, map[string]int{"a": 30, "b": 30, "c": 30}},
		{"one member is a zone", map[string]int{"a": 1, "b": 3, "c": 3}, 3, map[string]int{"a": 60, "b": 20, "c": 20}},
		{"a zone to spare", map[string]int{"a": 1, "b": 1, "c": 1, "d": 3}, 3,
			map[string]int{"a": 40, "b": 40, "c": 40, "d": 20}},
		{"two zones for three", map[string]int{"a": 1, "b": 4}, 3, map[string]int{"a": 60, "b": 30}},
		{"two zones for five", map[string]int{"a": 4, "b": 4}, 5, map[string]int{"a": 38, "b": 38}},
		{"one zone", map[string]int{"a": 6}, 3, map[string]int{"a": 30}},
	} {
		all := build(tc.sizes)
		placement := Rebalance(nil, all, 60, tc.replicas)
		checkPlacement(t, placement, all, 60, tc.replicas)
		f := figuresOf(placement)
		for _, m := range all {
			if f.held[m.ID] > tc.most[m.Zone] {
				t.Errorf("%s: a member of zone %s holds %d", tc.name, m.Zone, f.held[m.ID])
			}
			if n := f.leads[m.ID]; n > ceilDiv(60, len(all)) {
				t.Errorf("%s: a member of zone %s leads %d", tc.name, m.Zone, n)
			}
		}
	}
}

// Zones can be told one member after the other, as restarts do: nothing moves before two share one.
func TestTheFirstOfAZoneMovesNothing(t *testing.T) {
	t.Parallel()
	all := members(someNodes(1, 6))
	now := Rebalance(nil, all, 64, 3)
	for i, zone := range []string{"a", "b", "c"} {
		all[i].Zone = zone
		if next := Rebalance(now, all, 64, 3); !equal(now, next) {
			t.Fatalf("%d replicas move when the first member of zone %s is told it", added(now, next), zone)
		}
	}
	all[3].Zone = "a"
	next := Rebalance(now, all, 64, 3)
	checkPlacement(t, next, all, 64, 3)
	together := 0
	for _, row := range now {
		if slices.Contains(row, all[0].ID) && slices.Contains(row, all[3].ID) {
			together++
		}
	}
	if moved := added(now, next); together == 0 || moved < together || moved > 2*together {
		t.Errorf("%d partitions had two replicas in one zone, and %d replicas move", together, moved)
	}
}

// A node that takes the place of its former self stands in its rows already (see node/meta), and stays there.
func TestASuccessorKeepsThePlace(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 50; n++ {
		nodes := someNodes(uint64(n), n)
		now := Rebalance(nil, members(nodes), 64, 3)
		heir := kv.NodeID(n)
		for _, row := range now {
			if i := slices.Index(row, nodes[0]); i >= 0 {
				row[i] = heir
			}
		}
		nodes[0] = heir
		if next := Rebalance(now, members(nodes), 64, 3); !equal(now, next) {
			t.Fatalf("one of %d members is replaced: %v", n, Moves(now, next))
		}
	}
}

func TestRebalanceDoesNotDependOnOrderOrRepetition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := members(someNodes(rapid.Uint64().Draw(t, "seed"), rapid.IntRange(1, 20).Draw(t, "members")))
		for i := range all {
			all[i].Zone = rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "zone")
		}
		now := Rebalance(nil, all[:len(all)/2], 64, 3)
		given := rapid.Permutation(slices.Concat(all, all[:len(all)/2], []Member{{}})).Draw(t, "shuffled")
		shuffled, before := slices.Clone(given), fmt.Sprint(now)
		if !equal(Rebalance(now, all, 64, 3), Rebalance(now, shuffled, 64, 3)) {
			t.Fatal("the order or a repetition matters")
		}
		if !slices.Equal(given, shuffled) || before != fmt.Sprint(now) {
			t.Fatal("Rebalance changed its arguments")
		}
	})
}

func TestRebalanceAtTheEdges(t *testing.T) {
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
		placement := Rebalance(nil, members(c.members), c.partitions, c.replicas)
		if len(placement) != c.rows {
			t.Errorf("%s: %d rows, want %d", c.name, len(placement), c.rows)
		}
		for p, row := range placement {
			if len(row) != c.width {
				t.Errorf("%s: partition %d has %d nodes, want %d", c.name, p, len(row), c.width)
				break
			}
		}
	}
}

// Whatever stands in the former rows, and whoever is a member: what comes out is a placement.
func FuzzRebalance(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0, 2, 3, 1, 0, 0, 9, 9, 9}, []byte("123"), uint8(3), int8(3))
	f.Add([]byte{}, []byte("abcd"), uint8(64), int8(-1))
	f.Fuzz(func(t *testing.T, rows, ids []byte, partitions uint8, replicas int8) {
		now := Placement{nil}
		for _, b := range rows {
			if last := len(now) - 1; b > 0 {
				now[last] = append(now[last], kv.NodeID(b&31))
			} else {
				now = append(now, nil)
			}
		}
		var all []Member
		for _, b := range ids {
			all = append(all, Member{kv.NodeID(b & 31), []string{"", "", "", "a", "b", "c", "d", "e"}[b>>5]})
		}
		placement := Rebalance(now, all, int(partitions), int(replicas))
		Moves(now, placement)
		if all = distinct(all); len(all) > 0 && replicas > 0 {
			checkPlacement(t, placement, all, int(partitions), int(replicas))
		}
	})
}

// A change of this sum means that a new version places differently. Nothing moves by that, but members that compute the
// same change in two versions must not count on agreement. Change it only on purpose.
func TestPlacementIsStableAcrossVersions(t *testing.T) {
	t.Parallel()
	h := xxhash.New()
	var now Placement
	for _, n := range []int{1, 3, 5, 12, 4} {
		now = Rebalance(now, members(someNodes(7, n)), 64, 3)
		fmt.Fprint(h, now)
	}
	if got, want := h.Sum64(), uint64(0x726d6dbe1d0f774d); got != want {
		t.Errorf("sum of the placements is %#x, want %#x", got, want)
	}
}

func BenchmarkRebalance(b *testing.B) {
	for _, c := range []struct{ members, partitions int }{
		{3, 64}, {10, 256}, {50, 64}, {50, 1024}, {100, 1024}, {100, 4096}, {200, 16384}, {1000, 1024}, {1000, 4096},
	} {
		all := members(someNodes(1, c.members+1))
		zoned := slices.Clone(all)
		for i := range zoned {
			zoned[i].Zone = string(rune('a' + min(i%10, 5))) // five zones of a tenth each, one of a half
		}
		full := Rebalance(nil, all[1:], c.partitions, 3)
		for _, change := range []struct {
			name string
			now  Placement
			to   []Member
		}{
			{"new", nil, all}, {"join", full, all}, {"leave", full, all[2:]},
			{"fromOne", Rebalance(nil, all[:1], c.partitions, 3), all},
			{"fromFormer", formerPlace(someNodes(1, c.members), c.partitions, 3), all}, {"zones", full, zoned[1:]},
		} {
			b.Run(fmt.Sprintf("%s/members=%d/partitions=%d", change.name, c.members, c.partitions), func(b *testing.B) {
				for b.Loop() {
					Rebalance(change.now, change.to, c.partitions, 3)
				}
			})
		}
	}
}
