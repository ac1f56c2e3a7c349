package replica

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist"
)

// entersJoint changes the voters to some of the present ones, up to where the configuration is joint.
func (c *trio) entersJoint(leader kv.NodeID, changes ...*pb.ConfChangeSingle) {
	c.t.Helper()
	c.order(leader, func(h *Host) {
		if err := h.ProposeConf(0, &pb.ConfChangeV2{
			Transition: pb.ConfChangeTransitionJointExplicit.Enum(), Changes: changes,
		}, nil); err != nil {
			c.t.Error(err)
		}
	})
	c.settle()
}

func confChange(kind pb.ConfChangeType, id uint64) *pb.ConfChangeSingle {
	return &pb.ConfChangeSingle{Type: kind.Enum(), NodeId: &id}
}

// A leader is late in applying a change of the configuration after which another replica is the only voter. That one
// has applied it, starts again, and needs nobody's vote. It has answered the leader a moment ago, and does not know
// that any more: so the lease must have ended before anybody could learn that the change is committed.
func TestALeaseEndsWhenAChangeIsCommitted(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	c.entersJoint(1, confChange(pb.ConfChangeRemoveNode, 1), confChange(pb.ConfChangeRemoveNode, 3))
	g.handle.HasLease(c.now)
	c.await("it has a lease", 10, func() bool { return g.handle.HasLease(c.now) })

	g.h.cfg.Limits.ApplyBytes, g.h.cfg.Limits.EntryBytes = 1, 1 // an entry a turn
	for range 30 {
		c.nodes[1].in.Ops = append(c.nodes[1].in.Ops, Op{Command: setCommand("k", "v"), Reply: func(entry.Reply) {}})
	}
	c.turn(1)
	c.order(1, func(h *Host) {
		if err := h.ProposeConf(0, &pb.ConfChangeV2{}, nil); err != nil {
			t.Error(err)
		}
	})
	c.turn(1)
	if !g.handle.HasLease(c.now) {
		t.Error("the lease has ended before the change is committed")
	}
	for range 4 { // the others acknowledge all that, and hear that it is committed
		c.turn(2)
		c.turn(3)
		c.turn(1)
	}
	c.turn(2)
	if n := len(c.group(2).applied.Conf.GetVoters()); n != 1 || !c.group(2).alone() {
		t.Fatalf("node 2 has not applied the change: %v", c.group(2).applied.Conf)
	}
	c.comesBack(2)
	for range 2 { // it asks what the others remember of it
		c.turn(2)
		c.turn(1)
		c.turn(3)
	}
	wrote := &entry.Reply{Err: kv.Errorf(kv.Internal, "no answer")}
	for range 20 { // node 1 stands still from here on
		if c.group(2).ready() && wrote.Err != nil {
			c.nodes[2].in.Ops = append(c.nodes[2].in.Ops,
				Op{Command: setCommand("k", "new"), Reply: func(r entry.Reply) { *wrote = r }})
		}
		c.turn(2)
	}
	if !c.group(2).ready() || wrote.Err != nil {
		t.Fatalf("node 2 leads: %v; a write ends with %v", c.group(2).ready(), wrote.Err)
	}
	if len(g.applied.Conf.GetVotersOutgoing()) == 0 {
		t.Fatal("node 1 has applied the change, and nothing is tested")
	}
	if g.handle.HasLease(c.now) {
		t.Errorf("node 1 reads alone at index %d for another %v, and node 2 has acknowledged index %d",
			g.handle.Applied(), g.handle.LeaseUntil()-c.now, wrote.Result.Receipt.Index)
	}
}

// move is one replica that goes from node 1 to node 2, with what may go wrong: node 1 ends before one of its turns, and
// starts again.
type move struct {
	handsOver bool // while both are voters node 2 takes over, and leaves node 1 behind
	crash     int  // before so many turns of node 1
	disk      diskState
	lags      bool // node 1 applies one entry a turn
}

// diskState is what a process finds when it starts again. What it had applied is in memory up to its end in order.
type diskState int

const (
	synced diskState = iota
	written
	closed
)

// crashes ends a process, which starts again.
func (c *trio) crashes(id kv.NodeID, disk diskState) {
	c.t.Helper()
	n := c.nodes[id]
	n.again = true
	was := n.fs
	after := was
	switch disk {
	case synced:
		after = was.CrashClone(vfs.CrashCloneCfg{})
	case written:
		after = was.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))})
	}
	if err := n.db.Close(); err != nil {
		c.t.Fatal(err)
	}
	n.fs = after
	c.start(id, func(*persist.DB) {})
}

// play plays a move turn by turn until node 2 alone has all, and reports how many turns node 1 took up to then. After
// each it checks that who has a lease has all that was acknowledged, and that nobody else leads in a newer term.
func (m move) play(t *testing.T) int {
	c := newTrioOf(t, &pb.ConfState{Voters: []uint64{1}, Learners: []uint64{2}})
	if m.lags {
		c.nodes[1].h.cfg.Limits.ApplyBytes = 1
	}
	turns, moved, acked, left := 0, 0, uint64(0), 0
	drive := func(id kv.NodeID) { // what the planner of moves does, and clients
		g := c.group(id)
		if g == nil || !g.ready() {
			return
		}
		g.handle.HasLease(c.now)
		c.nodes[id].in.Ops = append(c.nodes[id].in.Ops, Op{Command: setCommand("k", "v"), Reply: func(r entry.Reply) {
			if r.Err == nil {
				acked = max(acked, r.Result.Receipt.Index)
			}
		}})
		conf := g.applied.Conf
		switch {
		case g.conf.pending || g.conf.moving || conf.GetVoters()[0] == 2 && len(conf.GetVotersOutgoing()) == 0:
		case len(conf.GetVotersOutgoing()) == 0:
			_ = c.nodes[id].h.ProposeConf(0, &pb.ConfChangeV2{
				Transition: pb.ConfChangeTransitionJointExplicit.Enum(), Changes: []*pb.ConfChangeSingle{
					confChange(pb.ConfChangeAddNode, 2), confChange(pb.ConfChangeRemoveNode, 1),
				}}, nil)
		case m.handsOver && id == 1:
			_ = c.nodes[id].h.Transfer(0, 2)
		default:
			_ = c.nodes[id].h.ProposeConf(0, &pb.ConfChangeV2{}, nil)
		}
	}
	check := func() {
		t.Helper()
		for id := kv.NodeID(1); id <= 2; id++ {
			g, o := c.group(id), c.group(3-id)
			if g == nil || g.handle.LeaseUntil() <= c.now {
				continue
			}
			if g.handle.Applied() < acked {
				t.Fatalf("%+v, turn %d: node %d reads alone at index %d, and %d is acknowledged", m, turns, id,
					g.handle.Applied(), acked)
			}
			if o != nil && o.leads() && o.raft.term > g.raft.term {
				t.Fatalf("%+v, turn %d: node %d reads alone in term %d, and the other one leads in term %d", m, turns,
					id, g.raft.term, o.raft.term)
			}
		}
	}
	for range 2000 {
		idle := true
		for id := kv.NodeID(1); id <= 2; id++ {
			if in := &c.nodes[id].in; !in.Tick && len(in.Messages)+len(in.Finished)+len(in.Orders)+len(in.Ops) == 0 {
				continue
			}
			idle = false
			if id == 1 {
				if turns++; turns == m.crash {
					c.crashes(1, m.disk)
				}
			}
			c.turn(id)
			check()
		}
		if !idle {
			continue
		}
		if two := c.group(2); two != nil && two.ready() && two.alone() {
			if left++; left == 1 {
				moved = turns
			}
			if left > 2*ElectionTicks { // and node 1 had the time to do harm
				if acked == 0 || two.applied.Index < acked {
					t.Fatalf("%+v: node 2 has index %d, and %d was acknowledged", m, two.applied.Index, acked)
				}
				return moved
			}
		}
		c.now += DefaultTick
		for id := kv.NodeID(1); id <= 2; id++ {
			drive(id)
			c.nodes[id].in.Tick = true
		}
	}
	t.Fatalf("%+v: the replica has not moved; node 1 has %v, node 2 has %v", m, c.group(1).applied.Conf,
		c.group(2).applied.Conf)
	return 0
}

// A node that starts again takes a group for its own when it is the only voter by the configuration that its disk has
// applied. That one may be old: a crash takes what was applied. Wherever node 1 ends while its replica moves, and
// whatever its disk has kept, it never leads beside node 2.
func TestWhoWasAloneOnceDoesNotComeBackAlone(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]move{
		"it leaves": {}, "it hands over": {handsOver: true}, "it leaves, and is slow": {lags: true},
		"it hands over, and is slow": {handsOver: true, lags: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			turns := m.play(t)
			for m.disk = range closed + 1 {
				if m.lags && m.disk != synced {
					break // nothing to catch up with
				}
				for m.crash = 1; m.crash <= turns+2; m.crash++ {
					t.Run(fmt.Sprint(m.disk, m.crash), func(t *testing.T) { m.play(t) })
				}
			}
			t.Logf("%d turns", turns)
		})
	}
}
