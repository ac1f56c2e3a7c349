package replica

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// A read round that is under way when a joint configuration is left for a single voter gets no
// answer: the voters that could give it are gone. The reads must be asked again, and so many
// such rounds must not stop later ones.
func TestReadsSurviveLeavingForASingleVoter(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	propose := func(cc *pb.ConfChangeV2) {
		c.order(1, func(h *Host) {
			if err := h.ProposeConf(0, cc, nil); err != nil {
				t.Error(err)
			}
		})
	}
	propose(&pb.ConfChangeV2{Transition: pb.ConfChangeTransitionJointExplicit.Enum(), Changes: []*pb.ConfChangeSingle{
		{Type: pb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(2))},
		{Type: pb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(3))},
	}})
	c.settle()
	propose(&pb.ConfChangeV2{})
	c.turn(1)
	c.turn(2)
	c.turn(3)
	acknowledged := c.nodes[1].in.Messages // of the leave; they wait while reads begin
	c.nodes[1].in.Messages = nil
	answered := 0
	read := func() {
		c.nodes[1].in.Reads = append(c.nodes[1].in.Reads, ReadOp{Reply: func(err *kv.Error) {
			if err != nil {
				t.Errorf("read failed: %v", err)
			}
			answered++
		}})
	}
	for range g.h.cfg.Limits.ReadRounds {
		read()
		c.turn(1)
	}
	if n := len(g.reads.rounds); n != g.h.cfg.Limits.ReadRounds {
		t.Fatalf("%d rounds under way, want %d", n, g.h.cfg.Limits.ReadRounds)
	}
	c.nodes[1].in.Messages = acknowledged
	c.settle()
	for range 3 {
		c.tick()
	}
	if len(g.applied.Conf.GetVoters()) != 1 {
		t.Fatalf("the configuration is %v, want one voter", g.applied.Conf)
	}
	read()
	c.settle()
	if answered != g.h.cfg.Limits.ReadRounds+1 {
		t.Errorf("%d of %d reads were answered", answered, g.h.cfg.Limits.ReadRounds+1)
	}
}

// The lease is counted from before the round began, ends with the configuration or the hand-over,
// and does not come back in a term in which leadership was handed over.
func TestLeaseEnds(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	lease := func() bool {
		g.handle.HasLease(c.now) // wanted
		for range 4 {
			c.tick()
		}
		return g.handle.HasLease(c.now)
	}
	if !lease() {
		t.Fatal("a leader that is read from has no lease")
	}
	if until := g.handle.LeaseUntil(); until > c.now+g.h.cfg.leaseLength() {
		t.Errorf("the lease lasts until %v, longer than %v from now", until, g.h.cfg.leaseLength())
	}
	c.order(1, func(h *Host) { _ = h.Transfer(0, 2) })
	c.turn(1) // MsgTimeoutNow has left; nobody else knows yet
	if g.handle.HasLease(c.now) {
		t.Error("the lease outlives the hand-over")
	}
	c.nodes[2].in = Input{} // lost: replica 1 goes on leading its term
	for range 2 * ElectionTicks {
		c.tick()
	}
	if g.leads() && g.raft.term == g.reads.lease.deadTerm && lease() {
		t.Error("a term in which leadership was handed over gives a lease again")
	}
}
