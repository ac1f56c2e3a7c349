package rebalance

import (
	"strings"
	"testing"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// What an operator is told is of nodes that are there and not well; one that is down is told elsewhere.
func TestWarningsNameWhoIsNotWell(t *testing.T) {
	t.Parallel()
	e := Executor{limits: Limits{}.withDefaults()}
	if got := e.Warnings(); got != nil {
		t.Errorf("before the first look: %q", got)
	}
	s := &meta.State{
		Members: []meta.Member{{ID: 1, Name: "n9"}, {ID: 2, Name: "n2"}, {ID: 3, Name: "n3"}, {ID: 4, Name: "n1"}},
	}
	e.sights = sights{now: 1000, nodes: map[kv.NodeID]*sight{2: {heard: 1000}, 3: {heard: 1000}, 4: {heard: 1000}}}
	report := func(late map[kv.NodeID]int, want ...string) {
		t.Helper()
		e.report(&replica.Host{}, s, late)
		got := e.Warnings()
		if len(got) != len(want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		for i, w := range want {
			if !strings.Contains(got[i], w) {
				t.Errorf("got %q, want %q", got[i], w)
			}
		}
	}
	report(nil)
	e.sights.nodes[2].falls, e.sights.nodes[2].steady = 3, 990
	report(map[kv.NodeID]int{4: 5}, "member n1 takes too long to be filled: 5 partitions",
		"member n2 fell silent or behind 3 times")
	e.sights.nodes[2].down, e.sights.nodes[4].down = true, true
	report(map[kv.NodeID]int{4: 5})
	e.sights.self = sight{falls: 3, steady: 990, heard: 1000}
	report(nil, "this node stalls")
}
