package rebalance

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/meta"
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
