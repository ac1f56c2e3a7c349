package rebalance

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// A node that leads a group may know an older placement than the one by which the group was
// changed. It must wait, and not change it back.
func TestAnOldPlacementDecidesNothing(t *testing.T) {
	t.Parallel()
	s := &meta.State{NextReplica: 7}
	for _, tc := range []struct {
		conf *pb.ConfState
		want bool
	}{
		{&pb.ConfState{Voters: []uint64{2, 6}, Learners: []uint64{5}}, true},
		{&pb.ConfState{Voters: []uint64{2, 7}}, false},
		{&pb.ConfState{Voters: []uint64{2}, Learners: []uint64{9}}, false},
		{&pb.ConfState{Voters: []uint64{2}, VotersOutgoing: []uint64{8}}, false},
		{&pb.ConfState{Voters: []uint64{2}, LearnersNext: []uint64{8}}, false},
	} {
		if got := covers(s, tc.conf); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.conf, got, tc.want)
		}
	}
}

// A move is that a group has its replicas elsewhere than they should be, whatever their ids.
func TestWhatMoves(t *testing.T) {
	t.Parallel()
	wanted := Desired{Voters: []kv.Replica{{ID: 11, Node: 1}, {ID: 12, Node: 2}, {ID: 13, Node: 3}}}
	here := []kv.Replica{{ID: 11, Node: 1}, {ID: 12, Node: 2}, {ID: 13, Node: 3}, {ID: 3, Node: 3}, {ID: 14, Node: 4}}
	for _, tc := range []struct {
		name string
		d    Desired
		conf *pb.ConfState
		want bool
	}{
		{"in place", wanted, &pb.ConfState{Voters: []uint64{11, 12, 13}}, false},
		{"a twin in place", wanted, &pb.ConfState{Voters: []uint64{11, 12, 3}}, false},
		{"one is missing", wanted, &pb.ConfState{Voters: []uint64{11, 12}}, true},
		{"one is elsewhere", wanted, &pb.ConfState{Voters: []uint64{11, 12, 14}}, true},
		{"one is being filled", wanted, &pb.ConfState{Voters: []uint64{11, 12, 13}, Learners: []uint64{14}}, true},
		{"voters change", wanted, &pb.ConfState{
			Voters: []uint64{11, 12, 13}, VotersOutgoing: []uint64{11, 12, 14},
		}, true},
		{"nothing is wanted yet", Desired{}, &pb.ConfState{Voters: []uint64{11}}, false},
	} {
		if got := moving(tc.d, replica.View{Self: 11, Conf: tc.conf, Replicas: here}); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
