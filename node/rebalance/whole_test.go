package rebalance

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

func TestAGroupIsWholeWhenAllItsReplicasAreThere(t *testing.T) {
	t.Parallel()
	placed := Desired{Voters: []kv.Replica{{ID: 11, Node: 1}, {ID: 12, Node: 2}, {ID: 13, Node: 3}}}
	here := []kv.Replica{{ID: 11, Node: 1}, {ID: 12, Node: 2}, {ID: 13, Node: 3}, {ID: 23, Node: 3}}
	there := replica.Progress{Match: 5, Active: true, Answers: true}
	for name, tc := range map[string]struct {
		d      Desired
		conf   *pb.ConfState
		change func(map[kv.ReplicaID]replica.Progress)
		lacks  bool
	}{
		"all are there":       {placed, &pb.ConfState{Voters: []uint64{11, 12, 13}}, nil, false},
		"one is a twin":       {placed, &pb.ConfState{Voters: []uint64{11, 12, 23}}, nil, false},
		"one is no voter yet": {placed, &pb.ConfState{Voters: []uint64{11, 12}, Learners: []uint64{13}}, nil, true},
		"one is missing":      {placed, &pb.ConfState{Voters: []uint64{11, 12}}, nil, true},
		"a change is under way": {
			placed, &pb.ConfState{Voters: []uint64{11, 12, 23}, VotersOutgoing: []uint64{13}}, nil, true,
		},
		"nothing is placed": {Desired{}, &pb.ConfState{Voters: []uint64{11}}, nil, true},
		"one is silent": {placed, &pb.ConfState{Voters: []uint64{11, 12, 13}},
			func(p map[kv.ReplicaID]replica.Progress) { p[13] = replica.Progress{Match: 5, Active: true} }, true},
		"one has nothing": {placed, &pb.ConfState{Voters: []uint64{11, 12, 13}},
			func(p map[kv.ReplicaID]replica.Progress) { p[13] = replica.Progress{Active: true, Answers: true} }, true},
		"one gets a snapshot": {placed, &pb.ConfState{Voters: []uint64{11, 12, 13}},
			func(p map[kv.ReplicaID]replica.Progress) {
				p[12] = replica.Progress{Match: 5, Snapshot: 9, Active: true, Answers: true}
			}, true},
		"a learner of the meta group is missing": {
			Desired{Voters: placed.Voters, Learners: []kv.Replica{{ID: 23, Node: 3}}},
			&pb.ConfState{Voters: []uint64{11, 12, 13}}, nil, true},
	} {
		progress := map[kv.ReplicaID]replica.Progress{11: there, 12: there, 13: there, 23: there}
		if tc.change != nil {
			tc.change(progress)
		}
		if got := lacking(tc.d, &replica.View{Self: 11, Conf: tc.conf, Replicas: here}, progress); got != tc.lacks {
			t.Errorf("%s: lacking is %v", name, got)
		}
	}
}
