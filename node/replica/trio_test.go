package replica

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist"
)

// trio is three hosts with one group of three, stepped by hand for one exact interleaving. For
// random ones there is node/sim.
type trio struct {
	t     *testing.T
	nodes map[kv.NodeID]*trioNode
	now   time.Duration
	wall  map[kv.NodeID]int64 // Unix milliseconds at the start, 1 where it says nothing
}

type trioNode struct {
	h  *Host
	in Input
}

func newTrio(t *testing.T) *trio {
	t.Helper()
	c := &trio{t: t, nodes: map[kv.NodeID]*trioNode{}, now: time.Hour}
	for id := kv.NodeID(1); id <= 3; id++ {
		db := openDB(t, vfs.NewMem())
		t.Cleanup(func() { _ = db.Close() })
		b := db.NewBatch()
		b.Create(0, kv.ReplicaID(id), &persist.Applied{
			Index: 1, Term: 1, Conf: &pb.ConfState{Voters: []uint64{1, 2, 3}},
			Replicas: []kv.Replica{{ID: 1, Node: 1}, {ID: 2, Node: 2}, {ID: 3, Node: 3}},
		})
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		h, err := NewHost(Config{
			Node: id, Incarnation: uint64(id), DB: db, Policy: nowhere{}, Fresh: true,
			Machine: func(kv.PartitionID) StateMachine { return &KV{} },
		})
		if err != nil {
			t.Fatal(err)
		}
		c.nodes[id] = &trioNode{h: h}
	}
	return c
}

// turn lets one node take what has arrived for it, and its disk write at once.
func (c *trio) turn(id kv.NodeID) {
	c.t.Helper()
	n := c.nodes[id]
	in := n.in
	n.in = Input{}
	out, err := n.h.Turn(Now{Boot: c.now, WallMS: c.wallMS(id)}, &in)
	if err != nil {
		c.t.Fatalf("node %d: %v", id, err)
	}
	c.send(id, out.Frames)
	if j := n.h.TakeJob(); j != nil {
		if err := j.Commit(); err != nil {
			c.t.Fatal(err)
		}
		c.send(id, j.Frames())
		n.in.Finished = append(n.in.Finished, j)
	}
	if out.More {
		c.order(id, func(*Host) {})
	}
}

func (c *trio) wallMS(id kv.NodeID) int64 {
	return max(1, c.wall[id]) + (c.now - time.Hour).Milliseconds()
}

func (c *trio) send(from kv.NodeID, fs []Frame) {
	for _, f := range fs {
		ms, err := DecodeFrame(nil, from, f.Data)
		if err != nil {
			c.t.Fatal(err)
		}
		c.nodes[f.To].in.Messages = append(c.nodes[f.To].in.Messages, ms...)
	}
}

func (c *trio) order(id kv.NodeID, f func(*Host)) {
	c.nodes[id].in.Orders = append(c.nodes[id].in.Orders, f)
}

// settle takes turns until nobody has anything to do.
func (c *trio) settle() {
	c.t.Helper()
	for range 200 {
		idle := true
		for id := kv.NodeID(1); id <= 3; id++ {
			if in := &c.nodes[id].in; len(in.Messages)+len(in.Finished)+len(in.Orders)+len(in.Ops)+len(in.Reads) > 0 {
				idle = false
				c.turn(id)
			}
		}
		if idle {
			return
		}
	}
	c.t.Fatal("not settled in 200 turns")
}

func (c *trio) tick() {
	c.now += DefaultTick
	for id := kv.NodeID(1); id <= 3; id++ {
		c.nodes[id].in.Tick = true
		c.turn(id)
	}
	c.settle()
}

// elect makes replica 1 the leader.
func (c *trio) elect() *group {
	c.t.Helper()
	g := c.nodes[1].h.groups[0]
	c.order(1, func(h *Host) {
		_ = g.rn.Campaign()
		h.markDirty(g)
	})
	c.settle()
	if !g.ready() {
		c.t.Fatal("replica 1 does not lead")
	}
	return g
}
