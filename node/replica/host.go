package replica

import (
	"fmt"
	pb "go.etcd.io/raft/v3/raftpb"
	"runtime/debug"
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
	Packs     bool   // there are packed values in Command
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

// Disconnection says that the connection with a node has just broken, or that none comes about.
type Disconnection struct {
	Node kv.NodeID
	// Silent: nothing came from it, and nothing said that its process has ended. It may be this node that is cut off.
	Silent bool
}

// Input is what has arrived since the last turn.
type Input struct {
	Finished     []*Job // committed jobs, in order
	Tick         bool
	Messages     []Message
	Snapshots    []ArrivedSnapshot
	Reports      []SnapshotReport
	Unreachable  []kv.NodeID // frames for them are being lost
	Disconnected []Disconnection
	Orders       []func(*Host)
	Ops          []Op
	Reads        []ReadOp
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
	cfg        Config
	groups     groups
	clock      hostClock
	answers    answers
	intake     intake
	jobs       jobs
	applying   applying
	changes    changes
	frames     frames // of this turn, that promise nothing
	readCtx    uint64 // of the last round
	purges     purges
	departure  departure
	shipping   shipping
	arrivals   arrivals
	recall     recall
	steadiness steadiness
	failover   failover
	resting    resting
	witnesses  witnesses
	stats      Stats
	err        error // first broken invariant; the node stops
}

// NewHost loads the replicas that the DB holds. It starts nothing.
func NewHost(cfg Config) (*Host, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("replica host: %w", err)
	}
	h := &Host{cfg: full, frames: frames{limit: full.Limits.FrameBytes}}
	h.groups.init()
	h.intake.limits = &h.cfg.Limits
	h.frames.tellable = h.tellable
	h.beginRecall()
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
func (h *Host) Handle(p kv.PartitionID) *Handle { return h.groups.table.Load().get(p) }

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
	h.answers.ops, h.answers.reads = in.Ops, in.Reads
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
	for _, d := range in.Disconnected {
		h.disconnected(d)
	}
	// Messages before the tick: after a pause the leader's word may be waiting in the queue,
	// and an election must not be called over its head.
	if in.Tick {
		h.tick()
	}
	for _, order := range in.Orders {
		order(h)
	}
	h.stand()
	h.takeReads()
	h.takeOps()
	more := h.drain()
	h.commitApply()
	h.tellChanges()
	if h.err == nil {
		h.answers.release()
	}
	// an answer may have proposed more
	out = Output{Frames: h.frames.take(h.position()), Snapshots: h.shipping.launch(),
		More: more || len(h.groups.dirty) > 0}
	h.resting.told(out.Frames, h.clock.ticks)
	return out, h.err
}

func (h *Host) begin(now Now) {
	if !h.clock.turn(now) {
		return
	}
	for _, g := range h.groups.ordered {
		if g.trust.vouched {
			g.campaignAlone()
		}
	}
	h.vouchAll()
	h.Ask(h.Unvouched())
}

// fail remembers the first broken invariant.
func (h *Host) fail(err error) {
	if h.err == nil {
		h.err = err
	}
}

// drain looks at the Ready of every group that something happened to, and applies what is
// committed, as much as one turn may. Only that waits for a later turn: appends, votes, heartbeats
// and snapshots never do. It reports whether there is more to do.
func (h *Host) drain() bool {
	h.applying.spent = 0
	var again []*group
	for h.err == nil && (len(h.groups.dirty) > 0 || h.mayApply()) {
		work := h.groups.dirty
		h.groups.dirty = nil
		for _, g := range work {
			g.work.dirty = false
			if snapshotOverBudget && h.applying.spent > h.cfg.Limits.ApplyBytes {
				g.incoming.discard()
				again = append(again, g)
				continue
			}
			if h.err == nil && g.drain() {
				again = append(again, g)
			}
		}
		if h.err == nil && h.mayApply() {
			h.applying.next().applyCommitted(false)
		}
	}
	for _, g := range again {
		h.groups.look(g)
	}
	return len(again)+len(h.applying.queue) > 0
}

// receive hands a message from another node to the replica it is meant for.
func (h *Host) receive(m Message) {
	h.steadiness.hear(m.FromNode, h.clock.ticks)
	h.failover.hear(m.FromNode)
	h.hearPosition(m.FromNode, m.Position)
	switch m.Kind {
	case Recall:
		h.answerRecall(m)
		return
	case Recalled:
		h.hearRecalled(m)
		return
	case Liveness:
		return
	}
	g := h.groups.of[m.Partition]
	if g == nil {
		if m.Kind != RaftMessage || !fromLeader(m.Raft.GetType()) {
			return
		}
		if g = h.adopt(m.Partition, m.To); g == nil {
			return
		}
	}
	if g.id != m.To && m.Kind != Probe { // for a former or a future replica of this partition here
		if m.To > g.id && m.Kind == RaftMessage && fromLeader(m.Raft.GetType()) {
			g.known.caller = m.FromNode
		}
		return
	}
	switch m.Kind {
	case RaftMessage:
		g.step(m)
	case Probe:
		g.answerProbe(m)
	case Gone:
		g.heardGone()
	case Awake:
		g.wakeBy(m.From, true)
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
	if !g.trust.vouched {
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
	g.trust.vouched = h.cfg.Fresh || h.clock.running && h.recall.waiting == 0 && len(h.recall.answered) > 0
	h.recall.trusted = h.recall.trusted || g.trust.vouched
	h.groups.add(g)
	return g, nil
}

// destroy deletes a replica and leaves a tombstone, so that no message revives it.
func (h *Host) destroy(g *group) {
	h.commitApply() // its effects must not come after its end
	g.close(kv.Errorf(kv.NotLeader, "partition %s moved away", g.p))
	g.handle.gone.Store(true)
	h.job().batch.Destroy(g.store)
	h.groups.remove(g)
	h.applying.drop(g)
	h.job().cleared = true
	h.cfg.Logger.Info("replica deleted", "partition", g.p.String(), "replica", uint64(g.id))
}

func (h *Host) unreachable(node kv.NodeID) {
	for _, g := range h.groups.ordered {
		if g.raft.role != raft.StateLeader {
			continue
		}
		for _, r := range g.known.replicas {
			if r.Node == node {
				g.raft.ReportUnreachable(uint64(r.ID))
			}
		}
	}
}

// Shutdown ends every write and read that is still waiting, once: with an unknown outcome where it
// may be in the log. No turn may follow. It may be called after a turn that failed, too.
func (h *Host) Shutdown() {
	stopping := kv.Errorf(kv.Unavailable, "node is shutting down")
	h.answers.refuse(stopping)
	for _, g := range h.groups.ordered {
		g.close(stopping)
	}
	if h.err != nil {
		h.answers.disown()
	}
	h.answers.release()
}

// Bootstrap makes this node the only voter of a partition. It may be called only on a node
// that is in no cluster, before the first turn; CommitNow then writes it to disk.
//
// seed, when not nil, puts the partition's first data into the same batch.
func (h *Host) Bootstrap(p kv.PartitionID, id kv.ReplicaID, seed func(*persist.Batch, *raftlog.Replica)) error {
	if h.groups.of[p] != nil {
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
