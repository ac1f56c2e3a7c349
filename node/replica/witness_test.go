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

// change proposes a change of a replica on a node.
func (s *solo) change(to pb.ConfChangeType, node kv.NodeID) error {
	const id = kv.ReplicaID(7)
	return s.h.ProposeConf(0, &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{
		Type: to.Enum(), NodeId: new(uint64(id)),
	}}}, []kv.Replica{{ID: id, Node: node}})
}

// Of whom a leader has said that its group can do without it, that one gets no vote in it for a while: it may be
// written down meanwhile that it is given up, and with it the vote.
func TestWhoCanBeDoneWithoutGetsNoVote(t *testing.T) {
	t.Parallel()
	const node = kv.NodeID(9)
	for _, gone := range []bool{false, true} {
		s := newSolo(t, 1, Limits{})
		change := func(to pb.ConfChangeType) error { return s.change(to, node) }
		if !gone {
			s.now += (answerTicks + 1) * DefaultTick // in which it says nothing
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

// Nor does it come to be needed since another replica has no vote any more.
func TestWhoCanBeDoneWithoutDoesNotComeToBeNeeded(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		removed uint64
		later   time.Duration
		refused bool
	}{
		{"another one goes", 2, 0, true}, {"it goes itself", 3, 0, false}, {"later on", 2, WordBinds, false},
	} {
		c := newTrio(t)
		g := c.elect()
		c.cut[3] = true
		c.ticks(answerTicks + 2)
		if w := g.h.Witness(3, false); !slices.Equal(w.Spares, []kv.PartitionID{0}) {
			t.Fatalf("%s: of a silent member: %+v", tc.name, w)
		}
		c.now += tc.later
		c.order(1, func(h *Host) {
			err := h.ProposeConf(0, &pb.ConfChangeV2{
				Transition: pb.ConfChangeTransitionJointExplicit.Enum(),
				Changes:    []*pb.ConfChangeSingle{confChange(pb.ConfChangeRemoveNode, tc.removed)},
			}, nil)
			if (err != nil) != tc.refused {
				t.Errorf("%s: the change is refused: %v", tc.name, err)
			}
		})
		c.settle()
	}
}

// A change of the voters that takes long is not forgotten: who would be needed by it is not said to be spared.
func TestNobodyIsSparedWhileAChangeIsInTheLog(t *testing.T) {
	t.Parallel()
	c := newTrioOf(t, &pb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}})
	g := c.elect()
	c.loses = func(m Message) bool { return m.Raft.GetType() == pb.MsgAppResp } // the disk of node 2 takes long
	c.entersJoint(1, confChange(pb.ConfChangeAddNode, 3), confChange(pb.ConfChangeRemoveNode, 2))
	c.ticks(confPatience + 2)
	if g.conf.pending || !g.ready() {
		t.Fatalf("pending: %v, ready: %v", g.conf.pending, g.ready())
	}
	if w := g.h.Witness(3, false); len(w.Spares) > 0 {
		t.Errorf("while its voters change: %+v", w)
	}
	c.loses = nil
	c.await("the change is applied", 10, func() bool { return len(g.applied.Conf.GetVotersOutgoing()) > 0 })
	if w := g.h.Witness(3, false); len(w.Spares) > 0 || len(w.Needs) == 0 {
		t.Errorf("when they have changed: %+v", w)
	}
}

// A leader that stood still may be none any more, and what it then hears may be as old as that.
func TestWhoStoodStillSparesNobody(t *testing.T) {
	t.Parallel()
	for _, ticks := range []bool{false, true} {
		c := newTrio(t)
		g := c.elect()
		var waiting []Message
		c.loses = func(m Message) bool {
			if m.To == 1 {
				waiting = append(waiting, m)
			}
			return m.To == 1
		}
		c.ticks(heartbeatTicks)
		c.loses = nil
		spares := func() bool { return len(g.h.Witness(9, false).Spares) > 0 }
		if !spares() || len(waiting) == 0 {
			t.Fatalf("a leader with a majority spares: %v; %d answers wait", spares(), len(waiting))
		}
		c.now += 15 * time.Second
		c.nodes[1].in.Messages, c.nodes[1].in.Tick = waiting, ticks
		c.turn(1)
		if spares() {
			t.Errorf("it spares a member by what it was told before it stood still; it has ticked: %v", ticks)
		}
		c.await("it spares one again", missedTicks+2, spares)
		if !g.leads() {
			t.Error("it leads no more")
		}
	}
}

// A process that has started again does not know of whom the one before has said that they can be done without.
func TestARestartedNodeGivesNoVoteAtFirst(t *testing.T) {
	t.Parallel()
	for starts, refused := range map[uint64]bool{1: false, 2: true} {
		s := newSoloWith(t, 1, Config{Starts: starts})
		if err := s.change(pb.ConfChangeAddLearnerNode, 9); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			s.step()
		}
		if err := s.change(pb.ConfChangeAddNode, 9); (err != nil) != refused {
			t.Errorf("start %d, after %v: %v", starts, s.h.clock.uptime(), err)
		}
		s.now += WordBinds
		s.step()
		if err := s.change(pb.ConfChangeAddNode, 9); refused && err != nil {
			t.Errorf("later on: %v", err)
		}
	}
}

// Whom a node has heard lately must be asked as well, and no others.
func TestAWitnessNamesWhomItHears(t *testing.T) {
	t.Parallel()
	h, _ := follower(t)
	h.cfg.Policy = among{members: []kv.NodeID{3, 4, 5, 6}}
	if _, err := h.Turn(Now{Boot: 2 * time.Hour}, &Input{Tick: true}); err != nil {
		t.Fatal(err)
	}
	now := h.clock.Boot
	h.recall.heard[4], h.recall.heard[5] = now-lately*h.cfg.Tick, now-lately*h.cfg.Tick-1
	h.recall.heard[6], h.recall.heard[7] = now, now // one is asked about, and one is no member
	if w := h.Witness(6, false); !slices.Equal(w.Hears, []kv.NodeID{4}) {
		t.Errorf("it says that it hears %v", w.Hears)
	}
}

// among knows who the members are.
type among struct {
	nowhere
	members []kv.NodeID
}

func (a among) Members() []kv.NodeID { return a.members }
