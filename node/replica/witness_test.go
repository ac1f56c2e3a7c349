package replica

import (
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// A member that leads the meta group may be asked to let its own place be taken: it is alive, and it
// says so, also when it leads every group alone.
func TestANodeSpeaksForItself(t *testing.T) {
	t.Parallel()
	h, _ := follower(t)
	for _, at := range []time.Duration{0, time.Hour} {
		if _, err := h.Turn(Now{Boot: time.Hour + at}, &Input{Tick: true}); err != nil {
			t.Fatal(err)
		}
		if w := h.Witness(h.cfg.Node, false); w.Silence != 0 || w.Spares != nil {
			t.Errorf("after %v it says of itself: %+v", at, w)
		}
	}
	if w := h.Witness(h.cfg.Node+1, false); w.Silence != time.Hour {
		t.Errorf("of one that it has never heard: %+v", w)
	}
}

// Of whom a leader has said that its group can do without it, that one gets no vote in it for a while: it may be
// written down meanwhile that it is given up, and with it the vote.
func TestWhoCanBeDoneWithoutGetsNoVote(t *testing.T) {
	t.Parallel()
	const learner, node = kv.ReplicaID(7), kv.NodeID(9)
	for _, gone := range []bool{false, true} {
		s := newSolo(t, 1, Limits{})
		change := func(to pb.ConfChangeType) error {
			return s.h.ProposeConf(0, &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{
				Type: to.Enum(), NodeId: new(uint64(learner)),
			}}}, []kv.Replica{{ID: learner, Node: node}})
		}
		if !gone {
			s.now += time.Second // in which it says nothing
		}
		s.step()
		if err := change(pb.ConfChangeAddLearnerNode); err != nil {
			t.Fatal(err)
		}
		if w := s.h.Witness(node, gone); len(w.Spares)+len(w.Needs) > 0 {
			t.Errorf("while its voters change: %+v", w)
		}
		for range 20 {
			s.step()
		}
		if w := s.h.Witness(node, gone); !slices.Equal(w.Spares, []kv.PartitionID{0}) || w.Gone != gone {
			t.Errorf("of a learner's node: %+v", w)
		}
		if err := change(pb.ConfChangeAddNode); err == nil {
			t.Error("it gets a vote")
		}
		s.now += WordBinds
		s.step()
		if err := change(pb.ConfChangeAddNode); err != nil {
			t.Errorf("later on: %v", err)
		}
	}

	// Nobody gives up whom this node has heard just now.
	s := newSolo(t, 1, Limits{})
	s.h.recall.heard[node] = s.now
	if s.h.Witness(node, false); len(s.h.witnesses) > 0 {
		t.Errorf("it keeps to what it said of one that is there: %v", s.h.witnesses)
	}
}
