package ring

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pxkv/node/kv"
)

func TestMoves(t *testing.T) {
	t.Parallel()
	const a, b, c, d = kv.NodeID(1), kv.NodeID(2), kv.NodeID(3), kv.NodeID(4)
	for _, tc := range []struct {
		name        string
		from, to    Placement
		want        []Move
		leaderMoves int
	}{
		{"nothing from nothing", nil, nil, nil, 0},
		{"the same", Placement{{a, b}, {b, c}}, Placement{{a, b}, {b, c}}, nil, 0},
		{"only the order", Placement{{a, b, c}}, Placement{{b, a, c}}, nil, 1},
		{"one node for another", Placement{{a, b}, {b, c}}, Placement{{a, b}, {b, d}},
			[]Move{{1, []kv.NodeID{d}, []kv.NodeID{c}}}, 0},
		{"the first partition and the last", Placement{{a, b}, {b, c}, {c, a}}, Placement{{d, b}, {b, c}, {c, d}},
			[]Move{{0, []kv.NodeID{d}, []kv.NodeID{a}}, {2, []kv.NodeID{d}, []kv.NodeID{a}}}, 1},
		{"more replicas", Placement{{a}}, Placement{{a, b, c}}, []Move{{0, []kv.NodeID{b, c}, nil}}, 0},
		{"all new", nil, Placement{{a, b}}, []Move{{0, []kv.NodeID{a, b}, nil}}, 0},
		{"nobody left", Placement{{a, b}}, Placement{{}}, []Move{{0, nil, []kv.NodeID{a, b}}}, 0},
		{"fewer partitions", Placement{{a}, {b}}, Placement{{a}}, []Move{{1, nil, []kv.NodeID{b}}}, 0},
	} {
		if got := Moves(tc.from, tc.to); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: Moves = %v, want %v", tc.name, got, tc.want)
		}
		if got := LeaderMoves(tc.from, tc.to); got != tc.leaderMoves {
			t.Errorf("%s: LeaderMoves = %d, want %d", tc.name, got, tc.leaderMoves)
		}
	}
}

func TestMovesLeadFromOnePlacementToTheOther(t *testing.T) {
	t.Parallel()
	row := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 9), 0, 5, rapid.ID)
	draw := func(t *rapid.T, name string) Placement {
		var p Placement
		for _, r := range rapid.SliceOfN(row, 0, 8).Draw(t, name) {
			nodes := make([]kv.NodeID, len(r))
			for i, n := range r {
				nodes[i] = kv.NodeID(n)
			}
			p = append(p, nodes)
		}
		return p
	}
	rapid.Check(t, func(t *rapid.T) {
		from, to := draw(t, "from"), draw(t, "to")
		moves := Moves(from, to)
		if !slices.IsSortedFunc(moves, func(a, b Move) int { return int(a.Partition) - int(b.Partition) }) {
			t.Fatalf("moves are not sorted: %v", moves)
		}
		got := make([][]kv.NodeID, max(len(from), len(to)))
		for p := range got {
			got[p] = slices.Clone(from.row(p))
		}
		for _, m := range moves {
			got[m.Partition] = append(without(got[m.Partition], m.Remove), m.Add...)
		}
		for p := range got {
			slices.Sort(got[p])
			want := slices.Sorted(slices.Values(to.row(p)))
			if !slices.Equal(got[p], want) {
				t.Fatalf("partition %d has %v after its move, want %v", p, got[p], want)
			}
		}
	})
}
