package rebalance

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"testing"

	"pxkv/node/kv"
	"pxkv/node/meta"
)

type ids = []kv.ReplicaID

// on makes replicas from pairs of id and node.
func on(pairs ...int) (rs []kv.Replica) {
	for i := 0; i < len(pairs); i += 2 {
		rs = append(rs, kv.Replica{ID: kv.ReplicaID(pairs[i]), Node: kv.NodeID(pairs[i+1])})
	}
	return rs
}

// group is a group of these replicas, all voters, led by the first, in which everybody keeps up.
func group(pairs ...int) Group {
	g := Group{Replicas: on(pairs...), Goal: 990, Progress: map[kv.ReplicaID]Progress{}}
	for _, r := range g.Replicas {
		g.Voters = append(g.Voters, r.ID)
		g.Progress[r.ID] = Progress{Match: 1000, Active: true}
	}
	g.Self = g.Voters[0]
	return g
}

// learner adds a learner that is as far as p says.
func (g Group) learner(id, node int, p Progress) Group {
	g.Replicas = append(g.Replicas, on(id, node)...)
	g.Learners = append(g.Learners, kv.ReplicaID(id))
	g.Progress[kv.ReplicaID(id)] = p
	return g
}

func (g Group) dead(dead ...kv.ReplicaID) Group {
	for _, id := range dead {
		g.Progress[id] = Progress{Match: g.Progress[id].Match}
	}
	return g
}

func (g Group) with(change func(g *Group)) Group {
	change(&g)
	return g
}

func TestNext(t *testing.T) {
	t.Parallel()
	ready := Progress{Match: 990, Active: true}
	late := Progress{Late: true}
	tests := []struct {
		name string
		d    Desired
		g    Group
		want Action // Why is not compared
	}{
		{"all as desired", Desired{Voters: on(1, 1, 2, 2, 3, 3)}, group(1, 1, 2, 2, 3, 3), Action{Settled: true}},
		{"nothing desired", Desired{}, group(1, 1), Action{}},
		{"a change is under way", Desired{Voters: on(9, 9)}, group(1, 1).with(func(g *Group) {
			g.Pending = true
		}), Action{}},
		{"not a voter, cannot lead", Desired{Voters: on(9, 9)}, group(1, 1).with(func(g *Group) {
			g.Self = 7
		}), Action{}},

		{"the first missing replica is added", Desired{Voters: on(1, 1, 4, 4, 5, 5)}, group(1, 1, 2, 2),
			Action{Kind: AddLearner, Add: on(4, 4)}},
		{"then the next, whether or not the first is there", Desired{Voters: on(1, 1, 4, 4, 5, 5)},
			group(1, 1, 2, 2).learner(4, 4, Progress{}),
			Action{Kind: AddLearner, Add: on(5, 5)}},
		{"learners come after voters", Desired{
			Voters: on(1, 1, 2, 2), Learners: on(6, 6),
		}, group(1, 1).learner(2, 2, Progress{}),
			Action{Kind: AddLearner, Add: on(6, 6)}},
		{"obsolete learners go at once", Desired{Voters: on(1, 1, 5, 5)}, group(1, 1, 2, 2).learner(4, 4, ready),
			Action{Kind: RemoveLearner, Remove: ids{4}}},

		{"a dead learner delays the move", Desired{Voters: on(1, 1, 4, 4)},
			group(1, 1, 2, 2).learner(4, 4, Progress{Match: 1000}), Action{}},
		{"so does a snapshot", Desired{Voters: on(1, 1, 4, 4)}, group(1, 1, 2, 2).learner(4, 4, Progress{
			Match: 1000, Active: true, Snapshot: true,
		}), Action{}},
		{"so does a lag", Desired{Voters: on(1, 1, 4, 4)},
			group(1, 1, 2, 2).learner(4, 4, Progress{Match: 989, Active: true}), Action{}},
		{"one joint change when all have caught up", Desired{Voters: on(4, 4, 1, 1, 5, 5)},
			group(1, 1, 2, 2, 3, 3).learner(4, 4, ready).learner(5, 5, ready),
			Action{Kind: EnterJoint, Promote: ids{4, 5}, Remove: ids{2, 3}}},
		{"a desired voter that is dead does not delay", Desired{Voters: on(4, 4, 1, 1, 3, 3)},
			group(1, 1, 2, 2, 3, 3).learner(4, 4, ready).dead(3),
			Action{Kind: EnterJoint, Promote: ids{4}, Remove: ids{2}}},
		{"where the new voters had no majority without them, old ones stay", Desired{Voters: on(2, 2, 3, 3, 4, 4)},
			group(1, 1, 2, 2, 3, 3, 5, 5, 6, 6).learner(4, 4, ready).dead(2, 3), Action{
				Kind: EnterJoint, Promote: ids{4}, Remove: ids{6},
			}},
		{"but nobody is removed where nobody is promoted", Desired{Voters: on(2, 2, 3, 3, 4, 4)},
			group(1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7).dead(2, 3), Action{}},
		{"or the old ones", Desired{Voters: on(1, 1)}, group(1, 1, 2, 2).dead(2), Action{}},
		{"fewer replicas wanted", Desired{Voters: on(1, 1)}, group(1, 1, 2, 2, 3, 3),
			Action{Kind: EnterJoint, Remove: ids{2, 3}}},
		{"the leader is removed like any other", Desired{Voters: on(2, 2)}, group(1, 1, 2, 2),
			Action{Kind: EnterJoint, Remove: ids{1}}},
		{"meta voters become learners", Desired{
			Voters: on(3, 3), Learners: on(1, 1, 2, 2),
		}, group(1, 1, 2, 2).learner(3, 3, ready),
			Action{Kind: EnterJoint, Promote: ids{3}, Demote: ids{1, 2}}},
		{"meta learners need not catch up", Desired{Voters: on(1, 1), Learners: on(2, 2)},
			group(1, 1).learner(2, 2, Progress{}), Action{Settled: true}},

		{"nobody is promoted who fell silent just now", Desired{Voters: on(1, 1, 4, 4)},
			group(1, 1, 2, 2).learner(4, 4, Progress{Match: 990, Active: true, Silent: true}), Action{}},
		{"a late learner does not keep another one out", Desired{Voters: on(1, 1, 4, 4, 5, 5)},
			group(1, 1).learner(4, 4, ready).learner(5, 5, late),
			Action{Kind: EnterJoint, Promote: ids{4}}},
		{"whichever is first in the ring", Desired{Voters: on(5, 5, 4, 4, 1, 1)},
			group(1, 1).learner(4, 4, ready).learner(5, 5, late),
			Action{Kind: EnterJoint, Promote: ids{4}}},
		{"one that is not late is waited for", Desired{Voters: on(1, 1, 4, 4, 5, 5)},
			group(1, 1).learner(4, 4, ready).learner(5, 5, Progress{}), Action{}},
		{"in the place of the late one an old voter stays", Desired{Voters: on(1, 1, 4, 4, 5, 5)},
			group(1, 1, 2, 2, 3, 3).learner(4, 4, ready).learner(5, 5, late),
			Action{Kind: EnterJoint, Promote: ids{4}, Remove: ids{3}}},
		{"the leader before others", Desired{Voters: on(4, 4, 5, 5, 6, 6)},
			group(1, 1, 2, 2, 3, 3).learner(4, 4, ready).learner(5, 5, ready).learner(6, 6, late).
				with(func(g *Group) { g.Self = 3 }), Action{Kind: EnterJoint, Promote: ids{4, 5}, Remove: ids{1, 2}}},
		{"and no dead one", Desired{Voters: on(1, 1, 4, 4, 5, 5)},
			group(1, 1, 2, 2, 3, 3).learner(4, 4, ready).learner(5, 5, late).dead(2),
			Action{Kind: EnterJoint, Promote: ids{4}, Remove: ids{2}}},
		{"a lone voter is not exchanged for another", Desired{Voters: on(4, 4, 5, 5)},
			group(1, 1).learner(4, 4, ready).learner(5, 5, late),
			Action{Kind: EnterJoint, Promote: ids{4}}},
		{"old voters stay where the new ones alone would bear less", Desired{Voters: on(4, 4, 5, 5, 6, 6)},
			group(1, 1, 2, 2, 3, 3, 4, 4).learner(5, 5, ready).learner(6, 6, late).dead(4), Action{
				Kind: EnterJoint, Promote: ids{5}, Remove: ids{3},
			}},
		{"nobody goes when only the late are missing", Desired{Voters: on(1, 1, 4, 4, 5, 5)},
			group(1, 1, 2, 2, 3, 3).learner(4, 4, late).learner(5, 5, late), Action{}},
		{"leadership drifts meanwhile", Desired{Voters: on(2, 2, 1, 1, 5, 5)}, group(1, 1, 2, 2).learner(5, 5, late),
			Action{Kind: Transfer, To: 2, Drift: true}},
		{"but not away from who fills one", Desired{Voters: on(2, 2, 1, 1, 5, 5)},
			group(1, 1, 2, 2).learner(5, 5, Progress{Match: 900, Active: true, Late: true, Fed: true}), Action{}},
		{"until that keeps up", Desired{Voters: on(2, 2, 1, 1), Learners: on(5, 5)},
			group(1, 1, 2, 2).learner(5, 5, Progress{Match: 990, Active: true, Fed: true}),
			Action{Kind: Transfer, To: 2, Drift: true, Settled: true}},
		{"who was late and has caught up is promoted", Desired{Voters: on(1, 1, 4, 4)},
			group(1, 1).learner(4, 4, Progress{Match: 990, Active: true, Late: true}),
			Action{Kind: EnterJoint, Promote: ids{4}}},
		{"and takes the place of the one that stayed", Desired{Voters: on(1, 1, 4, 4, 5, 5)},
			group(1, 1, 2, 2, 4, 4).learner(5, 5, ready),
			Action{Kind: EnterJoint, Promote: ids{5}, Remove: ids{2}}},

		{"a joint configuration is left, whatever is desired by now", Desired{Voters: on(9, 9)},
			group(1, 1, 2, 2).with(func(g *Group) { g.Outgoing = ids{1, 3} }), Action{Kind: LeaveJoint}},
		{"even when nothing is desired", Desired{}, group(1, 1, 2, 2).with(func(g *Group) {
			g.Outgoing = ids{1, 3}
		}), Action{Kind: LeaveJoint}},
		{"a leader that goes hands over to the preferred one", Desired{Voters: on(3, 3, 2, 2)},
			group(1, 1, 2, 2, 3, 3).with(func(g *Group) {
				g.Voters, g.Outgoing, g.Progress[3] = ids{2, 3}, ids{1}, ready
			}), Action{Kind: Transfer, To: 3}},
		{"or to the one with most of the log", Desired{Voters: on(3, 3, 2, 2)},
			group(1, 1, 2, 2, 3, 3).with(func(g *Group) {
				g.Voters, g.Outgoing = ids{2, 3}, ids{1}
				g.Progress[2], g.Progress[3] = Progress{Match: 500, Active: true}, Progress{Match: 400, Active: true}
			}), Action{Kind: Transfer, To: 2}},
		{"or waits for one that lives", Desired{Voters: on(2, 2)},
			group(1, 1, 2, 2).with(func(g *Group) { g.Voters, g.Outgoing = ids{2}, ids{1} }).dead(2), Action{}},

		{"leaders drift", Desired{Voters: on(2, 2, 1, 1)}, group(1, 1, 2, 2), Action{
			Kind: Transfer, To: 2, Drift: true, Settled: true,
		}},
		{"not to the dead", Desired{Voters: on(2, 2, 1, 1)}, group(1, 1, 2, 2).dead(2), Action{Settled: true}},
		{"not before the move is done", Desired{Voters: on(2, 2, 1, 1, 4, 4)},
			group(1, 1, 2, 2, 3, 3).learner(4, 4, Progress{}), Action{}},

		{"not to the unsteady", Desired{Voters: on(2, 2, 1, 1)}, group(1, 1, 2, 2).with(func(g *Group) {
			g.Progress[2] = Progress{Match: 990, Active: true, Unsteady: true}
		}), Action{Settled: true}},
		{"an unsteady leader yields to the next in the ring", Desired{Voters: on(1, 1, 3, 3, 2, 2)},
			group(1, 1, 2, 2, 3, 3).with(func(g *Group) { g.Unsteady = true }),
			Action{Kind: Transfer, To: 3, Yield: true}},
		{"that is steady", Desired{Voters: on(1, 1, 3, 3, 2, 2)}, group(1, 1, 2, 2, 3, 3).with(func(g *Group) {
			g.Unsteady, g.Progress[3] = true, Progress{Match: 990, Active: true, Unsteady: true}
		}),
			Action{Kind: Transfer, To: 2, Yield: true}},
		{"or goes on when there is none", Desired{Voters: on(1, 1, 2, 2)},
			group(1, 1, 2, 2).dead(2).with(func(g *Group) { g.Unsteady = true }), Action{Settled: true}},

		{"a living twin is kept", Desired{Voters: on(1, 1, 99, 2, 3, 3)}, group(1, 1, 2, 2, 3, 3),
			Action{Settled: true}},
		{"and is preferred in its place", Desired{Voters: on(99, 2, 1, 1)}, group(1, 1, 2, 2), Action{
			Kind: Transfer, To: 2, Drift: true, Settled: true,
		}},
		{"even where it is alone", Desired{Voters: on(99, 1)}, group(1, 1), Action{Settled: true}},
		{"a twin that still learns is promoted", Desired{Voters: on(1, 1, 99, 2)}, group(1, 1).learner(2, 2, ready),
			Action{Kind: EnterJoint, Promote: ids{2}}},
		{"a dead twin is removed before its node is added", Desired{Voters: on(1, 1, 99, 2, 3, 3)},
			group(1, 1, 2, 2, 3, 3).dead(2), Action{Kind: EnterJoint, Remove: ids{2}}},
		{"a dead twin that learns, too", Desired{Voters: on(1, 1, 99, 2)}, group(1, 1).learner(2, 2, Progress{}),
			Action{Kind: RemoveLearner, Remove: ids{2}}},
		{"then its node is added", Desired{Voters: on(1, 1, 99, 2, 3, 3)}, group(1, 1, 3, 3),
			Action{Kind: AddLearner, Add: on(99, 2)}},
		{"a dead twin that a majority needs stays", Desired{Voters: on(1, 1, 99, 2)}, group(1, 1, 2, 2).dead(2),
			Action{}},
		{"and others are added meanwhile", Desired{Voters: on(1, 1, 99, 2, 4, 4)}, group(1, 1, 2, 2).dead(2),
			Action{Kind: AddLearner, Add: on(4, 4)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.g.Names = func(id kv.NodeID) string { return fmt.Sprintf("n%d", id) }
			got := Next(tt.d, tt.g)
			if got.Why == "" && got.Kind == None && !got.Settled {
				t.Error("waits without a reason")
			}
			// What many groups wait for is told once: ids of replicas would make it a reason of each.
			if id := anyID.FindString(got.Why); id != "" {
				t.Errorf("%q names %s, and no name", got.Why, id)
			}
			got.Why = ""
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %v %+v\nwant %v %+v", got.Kind, got, tt.want.Kind, tt.want)
			}
		})
	}
}

// Who waits for a member that leaves looks for the node that keeps it.
func TestWhoIsLateIsNamed(t *testing.T) {
	t.Parallel()
	for want, pr := range map[string]Progress{
		"the replica on node n5 does not answer, and no other one takes its place": {Late: true},
		"the replica on node n5 has no room or is filled too slowly, and no other one takes its place": {
			Late: true, Active: true,
		},
	} {
		g := group(1, 1, 2, 2, 3, 3).learner(5, 5, pr)
		g.Names = func(id kv.NodeID) string { return fmt.Sprintf("n%d", id) }
		if got := Next(Desired{Voters: on(1, 1, 2, 2, 5, 5)}, g); got.Why != want {
			t.Errorf("%+v: %q, want %q", pr, got.Why, want)
		}
	}
}

// anyID is a node or a replica that is not called by the name of its node.
var anyID = regexp.MustCompile(`replica [0-9]+|[0-9a-f]{16}`)

func TestPlanGivesEveryPartitionItsReplicas(t *testing.T) {
	t.Parallel()
	rows := Plan(nil, Members(&meta.State{}, []kv.NodeID{3, 1, 2, 4}), 16, 3)
	if len(rows) != 16 {
		t.Fatalf("%d rows", len(rows))
	}
	for p, row := range rows {
		if len(row) != 3 {
			t.Errorf("partition %d: %v", p, row)
		}
	}
	if again := Plan(nil, Members(&meta.State{}, []kv.NodeID{1, 2, 3, 4}), 16, 3); !reflect.DeepEqual(rows, again) {
		t.Error("the order of the members matters")
	}
}

// A plan begins with the placement that is written down: a member that joins gets its share of replicas and of
// leaders, and the same members get the same again.
func TestPlanKeepsWhatIsWrittenDown(t *testing.T) {
	t.Parallel()
	var now [][]kv.Replica
	for p := range 12 {
		row := []kv.Replica{{ID: 1, Node: 1}, {ID: 2, Node: 2}, {ID: 3, Node: 3}}
		now = append(now, append(row[p%3:], row[:p%3]...))
	}
	moved, leaders := 0, 0
	for _, row := range Plan(now, Members(&meta.State{}, []kv.NodeID{1, 2, 3, 4}), 12, 3) {
		if slices.Contains(row, 4) {
			moved++
		}
		if row[0] == 4 {
			leaders++
		}
	}
	if moved != 9 || leaders != 3 {
		t.Errorf("the new member gets %d replicas and leads %d, want 9 and 3", moved, leaders)
	}
	same := Plan(now, Members(&meta.State{}, []kv.NodeID{1, 2, 3}), 12, 3)
	if !slices.EqualFunc(same, nodes(now), slices.Equal) {
		t.Errorf("%v becomes %v without any change", now, same)
	}
}

func TestKindsHaveNames(t *testing.T) {
	t.Parallel()
	if LeaveJoint.String() != "leave joint" || Kind(99).String() != "kind 99" {
		t.Fatalf("%v, %v", LeaveJoint, Kind(99))
	}
}
