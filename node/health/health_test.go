package health

import (
	"strings"
	"testing"

	"pxkv/node/kv"
	"pxkv/node/meta"
)

// three is a cluster of three members with two partitions on all of them.
func three() *meta.State {
	s := &meta.State{Partitions: 2, Replicas: 3, PlacedFor: []kv.NodeID{1, 2, 3}}
	for i, name := range []string{"n1", "n2", "n3"} {
		id := kv.NodeID(i + 1)
		s.Members = append(s.Members, meta.Member{ID: id, Name: name, State: kv.Active, Joined: uint64(i + 1),
			MetaReplica: kv.ReplicaID(i + 1)})
	}
	for p := range 2 {
		row := []kv.Replica{}
		for i := range 3 {
			row = append(row, kv.Replica{ID: kv.ReplicaID(10*(p+1) + i), Node: kv.NodeID(i + 1)})
		}
		s.Placement = append(s.Placement, row)
	}
	return s
}

// well is what the leaders of such a cluster report when all is well.
func well(s *meta.State) map[kv.PartitionID]Report {
	out := map[kv.PartitionID]Report{}
	for _, p := range groups(s) {
		r := Report{Partition: p}
		for _, w := range wantedOf(s, p) {
			r.Replicas = append(r.Replicas, Replica{ID: w.ID, Node: w.Node, Voter: true, Answers: true, Caught: true})
		}
		out[p] = r
	}
	return out
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const fine = ""
	for _, tc := range []struct {
		name                      string
		change                    func(*meta.State, map[kv.PartitionID]Report)
		served, complete, mayFail string // parts of the reasons; fine: yes
	}{
		{"all is well", func(*meta.State, map[kv.PartitionID]Report) {}, fine, fine, fine},
		{"nobody reports a partition", func(_ *meta.State, rs map[kv.PartitionID]Report) { delete(rs, 1) },
			"partition 1: no leader answers", "partition 1: no leader of it reports",
			"not n1: without it partition 1 would not be served"},
		{"a learner counts for nothing", func(_ *meta.State, rs map[kv.PartitionID]Report) {
			rs[0].Replicas[1].Voter, rs[0].Replicas[2].Voter = false, false
		}, fine, "partition 0: the replica on node n2 is being filled", "not n1: without it partition 0"},
		{"two learners and a voter of the cluster's own group", func(_ *meta.State, rs map[kv.PartitionID]Report) {
			rs[kv.Meta].Replicas[1].Voter, rs[kv.Meta].Replicas[2].Voter = false, false
		}, fine, "the cluster's own group: the replica on node n2", "not n1: without it the cluster's own group"},
		{"one is down", func(_ *meta.State, rs map[kv.PartitionID]Report) {
			for _, r := range rs {
				r.Replicas[2].Answers = false
			}
		}, fine, "2 partitions (0, 1) and the cluster's own group: the replica on node n3 does not answer", "not n1"},
		{"one has not caught up", func(_ *meta.State, rs map[kv.PartitionID]Report) {
			rs[1].Replicas[1].Caught = false
		}, fine, "partition 1: the replica on node n2 has not caught up",
			"not n1: without it partition 1 would not be served"},
		{"two are down", func(_ *meta.State, rs map[kv.PartitionID]Report) {
			rs[1].Replicas[1].Answers, rs[1].Replicas[2].Answers = false, false
		}, "partition 1: its leader hears no majority", "partition 1: the replica on node n2", "not n3"},
		{"a joint configuration needs both majorities", func(_ *meta.State, rs map[kv.PartitionID]Report) {
			rs[0].Replicas[0].Leaving = true // the only one of the old voters
		}, fine, "partition 0: its voters are being exchanged", "not n1: without it partition 0"},
		{"more than is wanted", func(s *meta.State, _ map[kv.PartitionID]Report) {
			s.Placement[0] = s.Placement[0][:2]
		}, fine, "partition 0: it has more replicas than are wanted", fine},
		{"a node has none yet", func(_ *meta.State, rs map[kv.PartitionID]Report) {
			r := rs[0]
			r.Replicas = r.Replicas[:2]
			rs[0] = r
		}, fine, "partition 0: node n3 has no replica of it yet", "not n2"},
		{"a leader knows more", func(_ *meta.State, rs map[kv.PartitionID]Report) {
			r := rs[1]
			r.Epoch = 7
			rs[1] = r
		}, fine, "a leader knows epoch 7", "a leader knows epoch 7"},
		{"somebody has come", func(s *meta.State, _ map[kv.PartitionID]Report) {
			s.PlacedFor = s.PlacedFor[:2]
		}, fine, "members have come or gone", fine},
		{"another number of replicas is wanted", func(s *meta.State, _ map[kv.PartitionID]Report) {
			s.ClusterVersion, s.PlacedZones = meta.VersionDepartures, []string{"", "", ""}
			s.PlacedReplicas, s.Replicas = 3, 2
		}, fine, "another number of replicas is wanted", fine},
		{"whoever leads the cluster's own group knows of a change", func(_ *meta.State, rs map[kv.PartitionID]Report) {
			r := rs[kv.Meta]
			r.Unplaced = true
			rs[kv.Meta] = r
		}, fine, "nobody has said yet what moves", fine},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := three()
			rs := well(s)
			tc.change(s, rs)
			v := Judge(s, rs)
			for what, a := range map[string]struct {
				got  kv.YesNo
				want string
			}{
				"served": {v.Served, tc.served}, "complete": {v.Complete, tc.complete},
				"may fail": {v.MayFail, tc.mayFail},
			} {
				why := strings.Join(a.got.Why, "; ")
				if a.got.Yes != (a.want == fine) || !strings.Contains(why, a.want) {
					t.Errorf("%s: %v %q, want %q", what, a.got.Yes, why, a.want)
				}
			}
		})
	}
}

// A replica under another id than is wanted, on the node that is wanted, is as good (see rebalance's twins).
func TestATwinIsComplete(t *testing.T) {
	t.Parallel()
	s := three()
	rs := well(s)
	rs[0].Replicas[1].ID = 99
	if v := Judge(s, rs); !v.Complete.Yes || v.Holds[2] != 2 || v.Filling[2] != 0 {
		t.Errorf("got %+v", v)
	}
}

func TestWhatMembersHold(t *testing.T) {
	t.Parallel()
	s := three()
	rs := well(s)
	rs[0].Replicas[1].Caught, rs[1].Replicas[2].Voter = false, false
	v := Judge(s, rs)
	for id, want := range map[kv.NodeID][2]int{1: {2, 0}, 2: {1, 1}, 3: {1, 1}} {
		if v.Holds[id] != want[0] || v.Filling[id] != want[1] {
			t.Errorf("node %s holds %d and %d are being filled, want %v", id, v.Holds[id], v.Filling[id], want)
		}
	}
}
