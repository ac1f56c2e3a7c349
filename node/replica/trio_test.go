package replica

import (
	"bytes"
	pb "go.etcd.io/raft/v3/raftpb"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/persist"
	"pxkv/persist/data"
	"pxkv/persist/state"
)

// trio is three hosts with one group of three, stepped by hand for one exact interleaving. For
// random ones there is node/sim.
type trio struct {
	t     *testing.T
	nodes map[kv.NodeID]*trioNode
	now   time.Duration
	wall  map[kv.NodeID]int64 // Unix milliseconds at the start, 1 where it says nothing
	cut   map[kv.NodeID]bool  // nothing reaches it, and nothing comes from it
	loses func(Message) bool  // whether a message is lost; nil: none is
	// held are the snapshots that have left and wait to be delivered, where holds says so.
	holds bool
	held  []heldShipment
}

type trioNode struct {
	fs    *vfs.MemFS
	db    *persist.DB
	h     *Host
	in    Input
	again bool // it may have promised something before it started
}

type heldShipment struct {
	from, to kv.NodeID
	ship     *Shipment
	staged   *data.Staged
}

func newTrio(t *testing.T) *trio {
	t.Helper()
	return newTrioOf(t, &pb.ConfState{Voters: []uint64{1, 2, 3}})
}

// newTrioOf returns one whose group has this configuration; a node whose replica is not in it does nothing.
func newTrioOf(t *testing.T, conf *pb.ConfState) *trio {
	t.Helper()
	c := &trio{t: t, nodes: map[kv.NodeID]*trioNode{}, cut: map[kv.NodeID]bool{}, now: time.Hour}
	var replicas []kv.Replica
	for id := kv.NodeID(1); id <= 3; id++ {
		if InConf(conf, kv.ReplicaID(id)) {
			replicas = append(replicas, kv.Replica{ID: kv.ReplicaID(id), Node: id})
		}
	}
	for id := kv.NodeID(1); id <= 3; id++ {
		c.nodes[id] = &trioNode{fs: vfs.NewCrashableMem()}
		c.start(id, func(db *persist.DB) {
			b := db.NewBatch()
			if InConf(conf, kv.ReplicaID(id)) {
				b.Create(0, kv.ReplicaID(id), &state.Applied{Index: 1, Term: 1, Conf: conf, Replicas: replicas})
			}
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			_ = n.db.Close()
		}
	})
	return c
}

// start begins a node's process.
func (c *trio) start(id kv.NodeID, before func(*persist.DB)) {
	c.t.Helper()
	n := c.nodes[id]
	n.db, n.in = openDB(c.t, n.fs), Input{}
	before(n.db)
	h, err := NewHost(Config{
		Node: id, Incarnation: uint64(id), DB: n.db, Policy: nowhere{}, Fresh: !n.again,
		Machine: func(kv.PartitionID) StateMachine { return &machine.KV{} },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	n.h = h
}

// restart ends it in order and begins another one.
func (c *trio) restart(id kv.NodeID) {
	c.t.Helper()
	if err := c.nodes[id].db.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.start(id, func(*persist.DB) {})
}

// comesBack is a restart after which the node knows that it is one.
func (c *trio) comesBack(id kv.NodeID) {
	c.t.Helper()
	c.nodes[id].again = true
	c.restart(id)
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
	for _, s := range out.Snapshots {
		c.ship(id, s)
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
		if c.cut[from] || c.cut[f.To] {
			continue
		}
		ms, err := DecodeFrame(nil, from, f.Data)
		if err != nil {
			c.t.Fatal(err)
		}
		if c.loses != nil {
			ms = slices.DeleteFunc(ms, c.loses)
		}
		c.nodes[f.To].in.Messages = append(c.nodes[f.To].in.Messages, ms...)
	}
}

// ship takes a snapshot of now to its receiver, at once or when deliver is called.
func (c *trio) ship(from kv.NodeID, s *Shipment) {
	c.t.Helper()
	snapshot, err := c.nodes[from].db.OpenSnapshot(s.Request.Partition)
	if err != nil {
		c.t.Fatal(err)
	}
	defer snapshot.Close()
	stream := new(bytes.Buffer)
	if _, err := snapshot.WriteTo(stream); err != nil {
		c.t.Fatal(err)
	}
	staged, err := c.nodes[s.Request.ToNode].db.StageSnapshot(s.Request.Partition, stream)
	if err != nil {
		c.t.Fatal(err)
	}
	c.held = append(c.held, heldShipment{from, s.Request.ToNode, s, staged})
	if !c.holds {
		c.deliver()
	}
}

func (c *trio) deliver() {
	for _, s := range c.held {
		to, from := &c.nodes[s.to].in, &c.nodes[s.from].in
		to.Snapshots = append(to.Snapshots, ArrivedSnapshot{
			Request: s.ship.Request, FromNode: s.from, Staged: s.staged,
		})
		from.Reports = append(from.Reports, SnapshotReport{Shipment: s.ship})
	}
	c.held = nil
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
			if in := &c.nodes[id].in; len(
				in.Messages)+len(
				in.Snapshots)+len(in.Reports)+len(in.Finished)+len(in.Orders)+len(in.Ops)+len(in.Reads) > 0 {
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
	g := c.nodes[1].h.groups.of[0]
	c.order(1, func(h *Host) {
		_ = g.raft.Campaign()
		h.groups.mark(g)
	})
	c.settle()
	if !g.ready() {
		c.t.Fatal("replica 1 does not lead")
	}
	return g
}
