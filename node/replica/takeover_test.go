package replica

import (
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Leadership is handed on as soon as the leader has applied a change of the configuration: the heir hears that the
// change is committed, and that it is to take over, in one turn. It takes over before any tick.
func TestWhoTakesOverAppliesTheConfigurationFirst(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	c.order(1, func(h *Host) {
		cc := &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{
			Type: pb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(3)),
		}}}
		if err := h.ProposeConf(0, cc, nil); err != nil {
			t.Error(err)
		}
	})
	for n := 0; slices.Contains(g.applied.Conf.GetVoters(), 3); n++ {
		if n == 10 {
			t.Fatal("the change is not applied")
		}
		c.turn(1)
		if slices.Contains(g.applied.Conf.GetVoters(), 3) {
			c.turn(2)
		}
	}
	heir := c.nodes[2].h.groups.of[0]
	if !slices.Contains(heir.applied.Conf.GetVoters(), 3) {
		t.Fatal("the heir has applied the change already, and nothing is tested")
	}
	c.order(1, func(h *Host) {
		if err := h.Transfer(0, 2); err != nil {
			t.Error(err)
		}
	})
	c.turn(1)
	c.settle()
	if !heir.leads() {
		t.Error("the heir has not taken over")
	}
}

// What is kept for longer than its leader waits is of no use any more.
func TestATakeoverThatIsTooLateIsForgotten(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	g := c.nodes[2].h.groups.of[0]
	g.takeover = takeover{m: &pb.Message{
		Type: pb.MsgTimeoutNow.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(g.raft.term),
	}, since: g.h.clock.ticks}
	for range ElectionTicks {
		c.tick()
	}
	g.takeOver()
	c.settle()
	if g.takeover.m != nil || g.leads() {
		t.Errorf("kept: %v, leads: %v", g.takeover.m, g.leads())
	}
}
