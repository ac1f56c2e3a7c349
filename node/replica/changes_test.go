package replica

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// Whoever moves replicas takes the next change of a configuration in the turn in which the one before was applied, and
// the library takes it.
func TestOneChangeFollowsTheOther(t *testing.T) {
	t.Parallel()
	next, told := kv.ReplicaID(0), 0
	add := func(h *Host) {
		next++
		cc := &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{
			Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(next)),
		}}}
		if err := h.ProposeConf(0, cc, []kv.Replica{{ID: next, Node: 3}}); err != nil {
			t.Error(err)
		}
	}
	s := newSoloWith(t, 1, Config{OnChange: func(h *Host, ps []kv.PartitionID) {
		if told++; len(ps) == 1 && ps[0] == 0 && next > 0 && next < 5 {
			add(h)
		}
	}})
	s.in.Orders = append(s.in.Orders, add)
	for range 20 {
		s.step()
	}
	if got := len(s.h.groups.of[0].applied.Conf.GetLearners()); got != 5 {
		t.Errorf("%d of 5 learners were added without a tick", got)
	}
	before := told
	for range 20 {
		s.step()
	}
	if told != before {
		t.Errorf("told %d times that nothing has changed", told-before)
	}
}

// What happens to a group again and again is told a few times between two ticks.
func TestChangesAreToldAFewTimes(t *testing.T) {
	t.Parallel()
	told := 0
	s := newSoloWith(t, 1, Config{OnChange: func(*Host, []kv.PartitionID) { told++ }})
	g := s.h.groups.of[0]
	for range 2 {
		s.now += s.h.cfg.Tick
		s.in.Tick = true
		s.step()
		told = 0
		for range 10 * mostChanges {
			g.changed()
			g.changed()
			s.step()
		}
		if told != mostChanges {
			t.Errorf("told %d times between two ticks, want %d", told, mostChanges)
		}
	}
}

// An acknowledgement is told where it is awaited, and once.
func TestAnAwaitedAcknowledgementIsTold(t *testing.T) {
	t.Parallel()
	told := 0
	s := &shipper{solo: newSoloWith(t, 1, Config{OnChange: func(*Host, []kv.PartitionID) { told++ }})}
	s.add(0, 7, 3, false)
	g := s.h.groups.of[0]
	answer := func() {
		told = 0
		s.hear(g, 7, &pb.Message{Type: pb.MsgAppResp.Enum(), Index: new(uint64(1))})
		s.step()
	}
	if answer(); told != 0 {
		t.Errorf("told %d times of what nobody awaits", told)
	}
	s.h.Await(0)
	if answer(); told != 1 {
		t.Errorf("told %d times of what is awaited", told)
	}
	if answer(); told != 0 {
		t.Errorf("told %d times of the next", told)
	}
}
