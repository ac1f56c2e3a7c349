package replica

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist"
)

// Now is the time of a turn.
type Now struct {
	Boot   time.Duration // since some fixed moment; it also runs while the system sleeps
	WallMS int64         // Unix milliseconds
}

// Op is a write on its way to one partition. One of Command, Raw and PurgeMS is set at most;
// with none it is a barrier, which changes nothing but the group's time. Barriers of one turn
// share an entry.
type Op struct {
	Partition kv.PartitionID
	Command   []byte // an encoded and valid kv.Command or kv.Transaction, not changed any more
	Raw       []byte // a command of the meta group
	PurgeMS   int64  // purge what has expired up to then, Unix milliseconds
	// Reply is called exactly once, on the goroutine of a turn: it must not block.
	Reply func(Reply)
}

// ReadOp asks for the right to read the local state of a partition linearizably.
type ReadOp struct {
	Partition kv.PartitionID
	// Reply is called exactly once, on the goroutine of a turn. With a nil error the local
	// state now reflects every write acknowledged before the ReadOp was made.
	Reply func(err *kv.Error)
}

// ArrivedSnapshot is a snapshot stream that was received and staged whole.
type ArrivedSnapshot struct {
	Request  SnapshotRequest // as the sender described it
	FromNode kv.NodeID
	Staged   *persist.Staged
}

// SnapshotRequest asks the driver to send a snapshot of a partition. The driver opens one of
// the current state, whatever index the library asked for: it can only be newer.
type SnapshotRequest struct {
	Partition kv.PartitionID
	From, To  kv.ReplicaID
	ToNode    kv.NodeID
	Term      uint64
}

// SnapshotReport tells the Host how a SnapshotRequest ended. Every request must be reported,
// or the follower waits for ever.
type SnapshotReport struct {
	Request SnapshotRequest
	Failed  bool
}

// Input is what has arrived since the last turn.
type Input struct {
	Finished    []*Job // committed jobs, in order
	Tick        bool
	Messages    []Message
	Snapshots   []ArrivedSnapshot
	Reports     []SnapshotReport
	Unreachable []kv.NodeID
	Orders      []func(*Host)
	Ops         []Op
	Reads       []ReadOp
}

// Output is what a turn wants to leave the node.
type Output struct {
	Frames    []Frame // may leave at once
	Snapshots []SnapshotRequest
	More      bool // work is left that waits for nothing: call Turn again soon
}

// Host owns the replicas of one node. All methods but Handle belong to the goroutine of the
// turns.
type Host struct {
	cfg     Config
	table   atomic.Pointer[handles]
	groups  map[kv.PartitionID]*group
	ordered []*group // by partition, so that every turn is the same in every replay

	now       Now
	started   time.Duration // boot time of the first turn
	running   bool          // a turn has begun, so started is valid
	lastTick  time.Duration
	ticks     uint64
	readCtx   uint64
	draining  bool
	purging   int   // purges under way
	purgeAt   int   // group that was last looked at for one
	err       error // first broken invariant; the node stops
	open      *Job  // what the next job will hold
	inFlight  bool
	promised  int // bytes of the largest frame of the last job
	apply     *persist.Apply
	frames    frames
	snapshots []SnapshotRequest
	dirty     []*group // groups whose Ready must be looked at
	// replies and after are released when the turn's effects can be read.
	replies, spareReplies []answer
	readReplies           []readAnswer
	after                 []func()
	offered               []*group // got a snapshot in this turn
	touched               []*group // have effects in apply
	applying              int      // bytes of entries applied in this turn
	stats                 Stats
}

// NewHost loads the replicas that the DB holds. It starts nothing.
func NewHost(cfg Config) (*Host, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("replica host: %w", err)
	}
	h := &Host{cfg: full, groups: map[kv.PartitionID]*group{}}
	h.table.Store(&handles{})
	stored, err := full.DB.Replicas()
	if err != nil {
		return nil, fmt.Errorf("load replicas: %w", err)
	}
	for _, r := range stored {
		if _, err := h.addGroup(r); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Handle returns what is known of this node's replica of p, or nil when it has none. It may
// be called from any goroutine.
func (h *Host) Handle(p kv.PartitionID) *Handle { return h.table.Load().get(p) }

// Turn takes one step. It returns an error when the node must stop: an invariant is broken
// or the disk cannot be trusted.
func (h *Host) Turn(now Now, in *Input) (out Output, err error) {
	// The Raft library and the log panic when an invariant is broken. That is this node's last
	// turn, and its reason must be told in one line rather than in a trace alone.
	defer func() {
		if r := recover(); r != nil {
			h.fail(fmt.Errorf("broken invariant: %v\n%s", r, debug.Stack()))
			err = h.err
		}
	}()
	h.begin(now)
	for _, j := range in.Finished {
		h.finish(j)
	}
	for _, m := range in.Messages {
		h.receive(m)
	}
	for _, s := range in.Snapshots {
		h.receiveSnapshot(s)
	}
	for _, r := range in.Reports {
		h.report(r)
	}
	for _, n := range in.Unreachable {
		h.unreachable(n)
	}
	// Messages before the tick: after a pause the leader's word may be waiting in the queue,
	// and an election must not be called over its head.
	if in.Tick {
		h.tick()
	}
	for _, order := range in.Orders {
		order(h)
	}
	h.takeReads(in.Reads)
	h.takeOps(in.Ops)
	more := h.drain()
	h.discardRefused()
	h.commitApply()
	if h.err == nil {
		h.release()
	}
	out = Output{Frames: h.frames.take(), Snapshots: h.snapshots, More: more || len(h.dirty) > 0} // an answer may have proposed more
	h.snapshots = nil
	return out, h.err
}

func (h *Host) begin(now Now) {
	if !h.running {
		h.running, h.started, h.lastTick = true, now.Boot, now.Boot
		for _, g := range h.ordered {
			g.campaignAlone()
		}
	}
	h.now = now
}

// fail remembers the first broken invariant.
func (h *Host) fail(err error) {
	if h.err == nil {
		h.err = err
	}
}

func (h *Host) markDirty(g *group) {
	if !g.dirty {
		g.dirty = true
		h.dirty = append(h.dirty, g)
	}
}

// drain looks at the Ready of every group that something happened to. It reports whether
// some group has more to do.
func (h *Host) drain() bool {
	h.applying = 0
	var again []*group
	for len(h.dirty) > 0 {
		work := h.dirty
		h.dirty = nil
		for _, g := range work {
			g.dirty = false
			if h.err == nil && (h.applying > maxApplyPerTurn || g.drain()) {
				again = append(again, g)
			}
		}
	}
	for _, g := range again {
		h.markDirty(g)
	}
	return len(again) > 0
}

// commitApply makes the effects gathered so far readable.
func (h *Host) commitApply() {
	a := h.apply
	if h.err != nil || a == nil {
		return
	}
	h.apply = nil
	// Between Begin and End the cache neither keeps nor serves these keys: a reader that saw
	// the new value must not be followed by one that sees the old.
	a.Touched(func(p kv.PartitionID, key []byte, _ *persist.Record) { h.cfg.Cache.Begin(p, key) })
	err := a.Commit()
	a.Touched(func(p kv.PartitionID, key []byte, now *persist.Record) {
		var it *kv.Item
		if g := h.groups[p]; err == nil && now != nil && g != nil && g.leads() {
			it = new(now.Item())
		}
		h.cfg.Cache.End(p, key, it)
	})
	if err != nil {
		h.fail(fmt.Errorf("apply committed entries: %w", err))
		return
	}
	for _, g := range h.touched {
		g.publishApplied()
	}
	clear(h.touched)
	h.touched = h.touched[:0]
}

// receive hands a message from another node to the replica it is meant for.
func (h *Host) receive(m Message) {
	g := h.groups[m.Partition]
	if g == nil {
		if m.Kind != RaftMessage || !fromLeader(m.Raft.GetType()) {
			return
		}
		if g = h.adopt(m.Partition, m.To); g == nil {
			return
		}
	}
	if g.id != m.To && m.Kind != Probe {
		return // for a former or a future replica of this partition here
	}
	switch m.Kind {
	case RaftMessage:
		g.step(m)
	case Probe:
		g.answerProbe(m)
	case Gone:
		g.heardGone()
	}
}

// adopt makes an empty learner for a replica id that the meta group gave this node and that
// was not deleted here before. A group is never born by a message alone.
func (h *Host) adopt(p kv.PartitionID, id kv.ReplicaID) *group {
	if !h.cfg.Policy.Assigned(p, id) || id <= h.cfg.DB.Tombstone(p) {
		return nil
	}
	r := h.job().batch.Create(p, id, nil)
	if r == nil {
		return nil
	}
	g, err := h.addGroup(r)
	if err != nil {
		h.fail(err)
		return nil
	}
	h.cfg.Logger.Debug("new replica", "partition", p.String(), "replica", uint64(id))
	return g
}

func (h *Host) addGroup(r *persist.Replica) (*group, error) {
	g, err := newGroup(h, r)
	if err != nil {
		return nil, fmt.Errorf("partition %s, replica %d: %w", r.Partition(), r.ID(), err)
	}
	h.groups[g.p] = g
	i, _ := slices.BinarySearchFunc(h.ordered, g.p, func(g *group, p kv.PartitionID) int { return int(int64(g.p) - int64(p)) })
	h.ordered = slices.Insert(h.ordered, i, g)
	h.table.Store(h.table.Load().with(g.p, g.handle))
	return g, nil
}

// destroy deletes a replica and leaves a tombstone, so that no message revives it.
func (h *Host) destroy(g *group) {
	h.commitApply() // its effects must not come after its end
	g.close(kv.Errorf(kv.NotLeader, "partition %s moved away", g.p))
	g.handle.gone.Store(true)
	h.job().batch.Destroy(g.store)
	delete(h.groups, g.p)
	h.ordered = slices.DeleteFunc(h.ordered, func(o *group) bool { return o == g })
	h.dirty = slices.DeleteFunc(h.dirty, func(o *group) bool { return o == g })
	h.table.Store(h.table.Load().with(g.p, nil))
	h.job().cleared = true
	h.cfg.Logger.Info("replica deleted", "partition", g.p.String(), "replica", uint64(g.id))
}

func (h *Host) unreachable(node kv.NodeID) {
	for _, g := range h.ordered {
		if !g.leads() {
			continue
		}
		for _, r := range g.replicas {
			if r.Node == node {
				g.rn.ReportUnreachable(uint64(r.ID))
			}
		}
	}
}

// Shutdown ends every write and read that is still waiting: their outcome is unknown. No
// turn may follow.
func (h *Host) Shutdown() {
	if h.err != nil {
		h.disown()
	}
	for _, g := range h.ordered {
		g.close(kv.Errorf(kv.Unavailable, "node is shutting down"))
	}
	h.release()
}

// Bootstrap makes this node the only voter of a partition. It may be called only on a node
// that is in no cluster, before the first turn; CommitNow then writes it to disk.
//
// seed, when not nil, puts the partition's first data into the same batch.
func (h *Host) Bootstrap(p kv.PartitionID, id kv.ReplicaID, seed func(*persist.Batch, *persist.Replica)) error {
	if h.groups[p] != nil {
		return fmt.Errorf("partition %s is there already", p)
	}
	initial := &persist.Applied{
		Index: 1, Term: 1,
		Conf:     &pb.ConfState{Voters: []uint64{uint64(id)}},
		Replicas: []kv.Replica{{ID: id, Node: h.cfg.Node}},
	}
	r := h.job().batch.Create(p, id, initial)
	if r == nil {
		return fmt.Errorf("partition %s: replica id %d was used before", p, id)
	}
	if seed != nil {
		seed(h.job().batch, r)
	}
	_, err := h.addGroup(r)
	return err
}
