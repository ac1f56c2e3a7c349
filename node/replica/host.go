package replica

import (
	"fmt"
	pb "go.etcd.io/raft/v3/raftpb"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
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
	Reply func(entry.Reply)
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
	Staged   *data.Staged
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
	Frames    []Frame     // may leave at once
	Snapshots []*Shipment // to be streamed, each reported when it has ended
	More      bool        // work is left that waits for nothing: call Turn again soon
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
	draining  bool // leaderships are handed over
	departing bool // they were, and no write is taken that others could take
	purging   int  // purges under way
	purgeAt   int  // group that was last looked at for one
	recall    recall
	err       error // first broken invariant; the node stops
	open      *Job  // what the next job will hold
	inFlight  bool
	growth    growth
	// uncommitted is how many bytes of proposals wait in all groups, applied or lost.
	uncommitted int
	promised    int // bytes of the largest frame of the last job
	apply       *data.Apply
	frames      frames
	shipping    shipping
	arrivals    arrivals
	dirty       []*group // groups whose Ready must be looked at
	// What the turn was given and has not looked at yet. Whoever takes a request owns its answer:
	// at every moment it is here, in its group, or among the answers that are on their way out, so
	// that also a turn that ends in a panic leaves none without an answer, and none with two.
	takenOps   []Op
	takenReads []ReadOp
	// replies and after are released when the turn's effects can be read.
	replies, spareReplies []answer
	readReplies           []readAnswer
	after                 []func()
	leaving               []answer     // being released
	leavingReads          []readAnswer // likewise
	touched               []*group     // have effects in apply
	committed             []*group     // have entries to apply, in this order
	applying              int          // bytes of entries applied in this turn, and of values that they touched
	stats                 Stats
	steadiness            steadiness
}

// NewHost loads the replicas that the DB holds. It starts nothing.
func NewHost(cfg Config) (*Host, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("replica host: %w", err)
	}
	h := &Host{cfg: full, groups: map[kv.PartitionID]*group{}, frames: frames{limit: full.Limits.FrameBytes}}
	h.frames.tellable = h.tellable
	h.beginRecall()
	h.table.Store(&handles{})
	h.shipping.init(h)
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
	h.takenOps, h.takenReads = in.Ops, in.Reads
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
		h.shipping.report(r)
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
	h.takeReads()
	h.takeOps()
	more := h.drain()
	h.commitApply()
	if h.err == nil {
		h.release()
	}
	// an answer may have proposed more
	out = Output{Frames: h.frames.take(h.position()), Snapshots: h.shipping.launch(), More: more || len(h.dirty) > 0}
	return out, h.err
}

func (h *Host) begin(now Now) {
	if !h.running {
		h.running, h.started, h.lastTick = true, now.Boot, now.Boot
		h.now = now
		for _, g := range h.ordered {
			if g.vouched {
				g.campaignAlone()
			}
		}
		h.vouchAll()
		h.Ask(h.Unvouched())
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

// drain looks at the Ready of every group that something happened to, and applies what is
// committed, as much as one turn may. Only that waits for a later turn: appends, votes, heartbeats
// and snapshots never do. It reports whether there is more to do.
func (h *Host) drain() bool {
	h.applying = 0
	var again []*group
	for h.err == nil && (len(h.dirty) > 0 || h.mayApply()) {
		work := h.dirty
		h.dirty = nil
		for _, g := range work {
			g.dirty = false
			if planted.snapshotOverBudget && h.applying > h.cfg.Limits.ApplyBytes {
				g.discardStaged()
				again = append(again, g)
				continue
			}
			if h.err == nil && g.drain() {
				again = append(again, g)
			}
		}
		if h.err == nil && h.mayApply() {
			g := h.committed[0]
			h.committed = h.committed[1:]
			g.applyCommitted(false)
		}
	}
	for _, g := range again {
		h.markDirty(g)
	}
	return len(again)+len(h.committed) > 0
}

// mayApply reports whether something is to be applied, and this turn may still begin it.
func (h *Host) mayApply() bool {
	return len(h.committed) > 0 && h.roomToApply()
}

func (h *Host) roomToApply() bool { return h.applying <= h.cfg.Limits.ApplyBytes }

// commitApply makes the effects gathered so far readable.
func (h *Host) commitApply() {
	a := h.apply
	if h.err != nil || a == nil {
		return
	}
	h.apply = nil
	for _, g := range h.touched {
		g.handle.begun.Add(1)
		g.handle.shows(g.applied.Index)
	}
	// Between Begin and End the cache neither keeps nor serves these keys: a reader that saw
	// the new value must not be followed by one that sees the old.
	a.Touched(func(p kv.PartitionID, key []byte, _ *data.Record) { h.cfg.Cache.Begin(p, key) })
	err := a.Commit()
	a.Touched(func(p kv.PartitionID, key []byte, now *data.Record) {
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
	h.steadiness.hear(m.FromNode, h.ticks)
	h.hearPosition(m.FromNode, m.Position)
	switch m.Kind {
	case Recall:
		h.answerRecall(m)
		return
	case Recalled:
		h.hearRecalled(m)
		return
	}
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
	case Compare, Compared, Void:
		g.hear(m)
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
	if !g.vouched {
		h.recall.waiting++
	}
	h.cfg.Logger.Debug("new replica", "partition", p.String(), "replica", uint64(id))
	return g
}

func (h *Host) addGroup(r *raftlog.Replica) (*group, error) {
	g, err := newGroup(h, r)
	if err != nil {
		return nil, fmt.Errorf("partition %s, replica %d: %w", r.Partition(), r.ID(), err)
	}
	// it has promised nothing yet
	g.vouched = h.cfg.Fresh || h.running && h.recall.waiting == 0 && len(h.recall.answered) > 0
	h.recall.trusted = h.recall.trusted || g.vouched
	h.groups[g.p] = g
	i, _ := slices.BinarySearchFunc(h.ordered, g.p, func(g *group, p kv.PartitionID) int {
		return int(int64(g.p) - int64(p))
	})
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
	h.ordered = deleteGroup(h.ordered, g)
	h.dirty = deleteGroup(h.dirty, g)
	h.committed = deleteGroup(h.committed, g)
	h.table.Store(h.table.Load().with(g.p, nil))
	h.job().cleared = true
	h.cfg.Logger.Info("replica deleted", "partition", g.p.String(), "replica", uint64(g.id))
}

func deleteGroup(from []*group, g *group) []*group {
	return slices.DeleteFunc(from, func(o *group) bool { return o == g })
}

func (h *Host) unreachable(node kv.NodeID) {
	for _, g := range h.ordered {
		if g.role != raft.StateLeader {
			continue
		}
		for _, r := range g.replicas {
			if r.Node == node {
				g.rn.ReportUnreachable(uint64(r.ID))
			}
		}
	}
}

// Shutdown ends every write and read that is still waiting, once: with an unknown outcome where it
// may be in the log. No turn may follow. It may be called after a turn that failed, too.
func (h *Host) Shutdown() {
	stopping := kv.Errorf(kv.Unavailable, "node is shutting down")
	if planted.turnPanicHangs {
		h.takenOps, h.takenReads, h.leaving, h.leavingReads = nil, nil, nil, nil
	}
	for _, op := range h.takenOps {
		h.reply(op, entry.Reply{Err: stopping})
	}
	for _, op := range h.takenReads {
		h.replyRead(op, stopping)
	}
	h.takenOps, h.takenReads = nil, nil
	for _, g := range h.ordered {
		g.close(stopping)
	}
	h.replies, h.readReplies = append(h.replies, h.leaving...), append(h.readReplies, h.leavingReads...)
	if h.err != nil {
		h.disown()
	}
	h.release()
}

// Bootstrap makes this node the only voter of a partition. It may be called only on a node
// that is in no cluster, before the first turn; CommitNow then writes it to disk.
//
// seed, when not nil, puts the partition's first data into the same batch.
func (h *Host) Bootstrap(p kv.PartitionID, id kv.ReplicaID, seed func(*persist.Batch, *raftlog.Replica)) error {
	if h.groups[p] != nil {
		return fmt.Errorf("partition %s is there already", p)
	}
	initial := &state.Applied{
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
