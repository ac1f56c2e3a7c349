package replica

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/state"
)

// disconnects tells some nodes that the connection with another one broke.
func (c *trio) disconnects(from kv.NodeID, ends ...kv.NodeID) {
	for _, id := range ends {
		in := &c.nodes[id].in
		in.Disconnected = append(in.Disconnected, Disconnection{Node: from})
		c.order(id, func(*Host) {}) // settle looks at it
	}
}

// Followers that lose the connection with their leader, which has no lease, elect the first of them in the same moment.
func TestWhoLosesTheLeaderElectsAnotherAtOnce(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	c.writes(1, "a")
	term := g.raft.term
	c.cut[1] = true
	c.disconnects(1, 3) // it is told first, and leaves it to the one before it
	c.settle()
	c.disconnects(1, 2)
	c.settle()
	if g := c.group(2); !g.ready() || g.raft.term != term+1 {
		t.Fatalf("node 2 leads: %v, in term %d after %d", g.ready(), g.raft.term, term)
	}
	if l := c.nodes[3].h.Handle(0).Leader(); l.Node != 2 {
		t.Errorf("node 3 follows node %d", l.Node)
	}
	c.writes(2, "b")
}

// Where the first voter does not stand, the next one does so a little later.
func TestTheNextVoterStandsWhenTheFirstDoesNot(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	c.cut[1] = true
	c.disconnects(1, 2, 3)
	c.group(2).trust.void = true // it votes, and does not stand
	ticks := 0
	for ; !c.group(3).ready(); ticks++ {
		if ticks > turnTicks+1 {
			t.Fatalf("node 3 does not lead after %d ticks", ticks)
		}
		c.tick()
	}
	if ticks < turnTicks {
		t.Errorf("node 3 leads after %d ticks: it has not waited for its turn", ticks)
	}
}

// A leader that answers reads alone may live, though nobody is connected with it any more: until its lease must have
// ended nobody else leads, and then somebody does.
func TestNobodyIsElectedWhileALeaseMayLast(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	g.handle.HasLease(c.now) // wanted
	c.await("it has a lease", 10, func() bool { return g.handle.HasLease(c.now) })
	until := g.handle.LeaseUntil()
	c.cut[1] = true
	c.disconnects(1, 2, 3)
	c.settle()
	began := c.now
	for !c.group(2).leads() && !c.group(3).leads() {
		if c.now > began+(leaseTicks+2)*DefaultTick {
			t.Fatalf("nobody leads %v after the loss of a leader with a lease", c.now-began)
		}
		c.tick()
	}
	if c.now <= until {
		t.Errorf("another one leads at %v, and the lease lasts until %v", c.now, until)
	}
}

// One follower that loses the connection with a leader that lives disturbs nobody, and follows it again.
func TestOneBrokenConnectionElectsNobody(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	term := g.raft.term
	c.disconnects(1, 2)
	c.settle()
	if l := c.nodes[2].h.Handle(0).Leader(); l.Node != 0 {
		t.Errorf("node 2 still takes node %d for the leader", l.Node)
	}
	for range 3 * heartbeatTicks {
		c.tick()
	}
	if l := c.nodes[2].h.Handle(0).Leader(); !g.leads() || g.raft.term != term || l.Node != 1 {
		t.Errorf("node 1 leads: %v, in term %d after %d; node 2 follows node %d", g.leads(), g.raft.term, term, l.Node)
	}
}

// However many groups lose their leader at once, a node stands for a few of them at a time, and for each in the end.
func TestElectionsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	const groups, limit = 50, 8
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { _ = db.Close() })
	b := db.NewBatch()
	for p := range kv.PartitionID(groups) {
		b.Create(p, 2, &state.Applied{
			Index: 1, Term: 1, Conf: &pb.ConfState{Voters: []uint64{1, 2, 3}},
			Replicas: []kv.Replica{{ID: 1, Node: 1}, {ID: 2, Node: 2}, {ID: 3, Node: 3}},
		})
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	h := newTestHost(t, db)
	h.cfg.Fresh, h.cfg.Limits.Campaigns = true, limit
	now := time.Hour
	turn := func(in Input) {
		t.Helper()
		now += DefaultTick
		if _, err := h.Turn(Now{Boot: now}, &in); err != nil {
			t.Fatal(err)
		}
		if j := h.TakeJob(); j != nil {
			if err := j.Commit(); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Turn(Now{Boot: now}, &Input{Finished: []*Job{j}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var heard Input
	for p := range kv.PartitionID(groups) {
		heard.Messages = append(heard.Messages, Message{
			Kind: RaftMessage, Partition: p, From: 1, To: 2, FromNode: 1, Raft: &pb.Message{
				Type: pb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(2)),
				Commit: new(uint64(1)),
			},
		})
	}
	turn(heard)
	asked := map[kv.PartitionID]bool{}
	look := func() (asking int) {
		for _, g := range h.groups.ordered {
			if g.isAsking() {
				asking++
			}
			if g.raft.BasicStatus().RaftState == raft.StatePreCandidate {
				asked[g.p] = true
			}
		}
		return asking
	}
	turn(Input{Disconnected: []Disconnection{{Node: 1}}})
	for range (groups + limit - 1) / limit {
		if n := look(); n == 0 || n > limit {
			t.Fatalf("it stands for %d groups at once, want 1 to %d", n, limit)
		}
		turn(Input{Tick: true})
	}
	if len(asked) != groups {
		t.Errorf("it has stood for %d of %d groups", len(asked), groups)
	}
}
