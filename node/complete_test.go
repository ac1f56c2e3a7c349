package node

import (
	"strings"
	"testing"

	"pxkv/node/kv"
	"pxkv/node/meta"
)

// Whoever waits for a complete cluster before the next node is restarted must not be told yes too early.
func TestAClusterIsCompleteWhenAllSaySo(t *testing.T) {
	t.Parallel()
	three := func() *meta.State {
		s := meta.Bootstrap(1, "test", 2, 3, meta.Member{ID: 1, Name: "n1"})
		for id := kv.NodeID(2); id <= 3; id++ {
			s.Members = append(s.Members, meta.Member{ID: id, Name: "n" + string('0'+rune(id)), State: kv.Active})
		}
		s.PlacedFor, s.Epoch = s.ActiveIDs(), 7
		return &s
	}
	all := func() map[kv.NodeID]wholeness {
		return map[kv.NodeID]wholeness{
			1: {Epoch: 7, Whole: []kv.PartitionID{0, kv.Meta}},
			2: {Epoch: 7, Whole: []kv.PartitionID{1}},
			3: {Epoch: 7},
		}
	}
	for name, tc := range map[string]struct {
		change func(*meta.State, map[kv.NodeID]wholeness)
		why    string
	}{
		"all is there": {func(*meta.State, map[kv.NodeID]wholeness) {}, ""},
		"a member is silent": {func(_ *meta.State, said map[kv.NodeID]wholeness) {
			delete(said, 3)
		}, "no answer from member n3"},
		"a successor has joined, and nothing is placed on it": {func(s *meta.State, _ map[kv.NodeID]wholeness) {
			s.PlacedFor = []kv.NodeID{1, 2, 9}
		}, "not placed on them yet"},
		"a member knows an older placement": {func(_ *meta.State, said map[kv.NodeID]wholeness) {
			said[3] = wholeness{Epoch: 6}
		}, "member n3 knows another placement"},
		"a group lacks a replica": {func(_ *meta.State, said map[kv.NodeID]wholeness) {
			said[2] = wholeness{Epoch: 7, Lacks: []kv.PartitionID{1}}
		}, "partition 1"},
		"a group has no leader": {func(_ *meta.State, said map[kv.NodeID]wholeness) {
			said[2] = wholeness{Epoch: 7}
		}, "nobody leads partition 1"},
		"the meta group has no leader": {func(_ *meta.State, said map[kv.NodeID]wholeness) {
			said[1] = wholeness{Epoch: 7, Whole: []kv.PartitionID{0}}
		}, "nobody leads partition meta"},
		"a former leader still says that all is well, and the new one does not": {
			func(_ *meta.State, said map[kv.NodeID]wholeness) {
				said[3] = wholeness{Epoch: 7, Lacks: []kv.PartitionID{0}}
			}, "partition 0"},
		"two members": {func(s *meta.State, said map[kv.NodeID]wholeness) {
			s.Members, s.PlacedFor = s.Members[:2], s.PlacedFor[:2]
			delete(said, 3)
		}, "partitions have 2 replicas"},
		"one replica": {func(s *meta.State, _ map[kv.NodeID]wholeness) {
			s.Replicas = 1
		}, "partitions have 1 replicas"},
	} {
		s, said := three(), all()
		tc.change(s, said)
		if why := incomplete(s, said); (why == "") != (tc.why == "") || !strings.Contains(why, tc.why) {
			t.Errorf("%s: %q, want %q", name, why, tc.why)
		}
	}
}

// Only members are remembered as departed, and no more than there are.
func TestOnlyMembersSayFarewell(t *testing.T) {
	t.Parallel()
	var d departed
	members := map[kv.NodeID]bool{1: true, 2: true}
	is := func(id kv.NodeID) bool { return members[id] }
	d.add(1, is)
	d.add(3, is)
	if !d.has(1) || d.has(2) || d.has(3) {
		t.Errorf("departed are %v", d.ids)
	}
	delete(members, 1)
	d.add(2, is)
	if d.has(1) || !d.has(2) || len(d.ids) != 1 {
		t.Errorf("then %v", d.ids)
	}
}
