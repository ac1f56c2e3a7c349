package replica

import (
	"fmt"
	"math"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist"
)

// group is one replica with its Raft state machine. Only the goroutine of the turns touches
// it; others see its Handle.
type group struct {
	h     *Host
	p     kv.PartitionID
	id    kv.ReplicaID
	store *persist.Replica
	rn    *raft.RawNode
	// applied is the state machine's bookkeeping, including the effects that wait in the
	// turn's apply batch.
	applied persist.Applied
	machine StateMachine
	kv      *KV // the machine, where it holds users' keys
	clock   groupClock
	purging bool // a purge is on its way
	handle  *Handle
	dirty   bool

	replicas []kv.Replica             // who is behind each id of the applied configuration
	known    known                    // the same, and ids heard of only by message
	hard     *pb.HardState            // as last handed to the disk
	term     uint64                   // current, also before it is on disk
	commit   uint64                   //
	lead     kv.ReplicaID             // 0: unknown
	role     raft.StateType           //
	ledSince uint64                   // tick at which it came to lead
	contact  time.Duration            // boot time of the last message from a leader
	hashes   [hashHistory]appliedHash // ring, by index
	staged   *persist.Staged          // handed to the library, not yet accepted
	staging  *persist.Staged          // accepted, being installed
	ops      []Op                     // of this turn, to propose
	unplaced []flight                 // proposed, index not known yet
	flights  []flight                 // in the log, by index
	reads    readQueue                //
	lease    lease                    //
	conf     confState                //
	behind   pending                  // the state of this moment is not reached yet; index 0: it is
	probed   uint64                   // tick at which a probe was last answered
	touched  bool                     // effects wait in the turn's apply batch
}

// appliedHash is the running hash after one index.
type appliedHash struct{ index, hash uint64 }

const longAgo = time.Duration(math.MinInt64 / 4)

func newGroup(h *Host, store *persist.Replica) (*group, error) {
	g := &group{
		h: h, p: store.Partition(), id: store.ID(), store: store,
		handle:  &Handle{Partition: store.Partition(), ID: store.ID()},
		machine: h.cfg.Machine(store.Partition()),
		contact: longAgo,
		applied: store.Applied(),
	}
	g.kv, _ = g.machine.(*KV)
	g.handle.leader.Store(&Leadership{})
	index := g.applied.Index
	if planted.confTwice && index > 1 {
		if e, err := store.Entries(index, index+1, math.MaxUint64); err == nil && len(e) == 1 && e[0].GetType() == pb.EntryConfChangeV2 {
			index--
		}
	}
	hard, _, err := store.InitialState()
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	g.hard = &pb.HardState{Term: new(hard.GetTerm()), Vote: new(hard.GetVote()), Commit: new(hard.GetCommit())}
	g.term, g.commit = hard.GetTerm(), hard.GetCommit()
	g.setReplicas(g.applied.Replicas)
	g.remember(g.applied)
	if err := g.machine.Reload(); err != nil {
		return nil, fmt.Errorf("load state machine: %w", err)
	}
	if g.rn, err = raft.NewRawNode(h.cfg.raft(g.id, store, index)); err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	g.publish()
	g.publishLeader()
	return g, nil
}

func (g *group) leads() bool { return g.role == raft.StateLeader }

// ready reports whether an entry of this leader's own term is applied: only then does its
// state reflect everything that former leaders acknowledged.
func (g *group) ready() bool { return g.leads() && g.applied.Term == g.term }

// campaignAlone spares a group with one voter the election timeout: it has made no promise
// to anyone else.
func (g *group) campaignAlone() {
	c := g.applied.Conf
	if len(c.GetVoters()) == 1 && c.GetVoters()[0] == uint64(g.id) && len(c.GetVotersOutgoing()) == 0 {
		if err := g.rn.Campaign(); err != nil {
			g.h.cfg.Logger.Warn("campaign failed", "partition", g.p.String(), "err", err)
		}
		g.h.markDirty(g)
	}
}

func (g *group) setReplicas(rs []kv.Replica) {
	g.replicas, g.known = rs, g.known.of(rs)
}

// fromLeader lists what only a leader sends.
func fromLeader(t pb.MessageType) bool {
	return t == pb.MsgApp || t == pb.MsgHeartbeat || t == pb.MsgSnap
}

// step hands the library a message from another replica, unless a promise forbids it.
func (g *group) step(m Message) {
	t := m.Raft.GetType()
	if (t == pb.MsgVote || t == pb.MsgPreVote) && !g.mayVote(m.Raft) {
		return
	}
	g.known.hear(m.From, m.FromNode, g.h.now.Boot, len(g.replicas))
	if last, _ := g.store.LastIndex(); t == pb.MsgHeartbeat && m.Raft.GetCommit() > last {
		g.h.fail(fmt.Errorf("partition %s: this replica once acknowledged index %d, and its log ends at %d: the data directory is an old copy or has lost data; start this node with an empty data directory", g.p, m.Raft.GetCommit(), last))
		return
	}
	if fromLeader(t) && m.Raft.GetTerm() >= g.term {
		g.contact = g.h.now.Boot
		if t == pb.MsgHeartbeat {
			g.caughtUp(m.Committed)
			g.clock.hear(m.TimeMS, g.h.now.Boot)
			g.handle.clock.Store(g.clock.ns - int64(g.clock.at))
		}
	}
	// Errors mean that the library has no use for the message: an answer from a replica that
	// left the configuration, for example.
	_ = g.rn.Step(m.Raft)
	g.h.markDirty(g)
}

// caughtUp notes how fresh the state is: as of now, when it holds all that the leader says is
// committed; else as soon as it does, as of now.
func (g *group) caughtUp(committed uint64) {
	switch {
	case g.handle.Applied() >= committed:
		g.handle.fresh.Store(int64(g.h.now.Boot))
		g.behind = pending{}
	case g.behind.index == 0:
		g.behind = pending{committed, g.h.now.Boot}
	}
}

// pending is a moment whose state is reached when an index is applied.
type pending struct {
	index uint64
	at    time.Duration
}

// mayVote holds the promise behind leases: whoever answered a leader's heartbeat helps no
// other candidate until the lease which that answer earned has ended. A restart forgets when
// that was, so a node that has just started votes for nobody for a whole election timeout.
// The library alone promises less: it counts ticks, which are not time, and forgets at restart.
func (g *group) mayVote(m *pb.Message) bool {
	h := g.h
	if h.now.Boot-h.started < ElectionTicks*h.cfg.Tick && !h.cfg.Fresh && !planted.voteAfterRestart {
		return false
	}
	const transfer = "CampaignTransfer" // the library's mark of an election the leader asked for
	if string(m.GetContext()) == transfer || planted.voteAfterRestart {
		return true
	}
	return h.now.Boot-g.contact >= leaseTicks*h.cfg.Tick // no less for drift: leases are shorter by that
}

// stepSelf hands the library the completion of a storage write.
func (g *group) stepSelf(m *pb.Message) {
	_ = g.rn.Step(m)
	g.h.markDirty(g)
}

// active reports whether a replica was heard from lately. The library's own RecentActive
// starts anew with each quorum check, so it flickers.
func (g *group) active(id kv.ReplicaID) bool {
	ago, ok := g.known.since(id, g.h.now.Boot)
	return id == g.id || ok && ago < 5*ElectionTicks*g.h.cfg.Tick
}

// answers reports whether a replica was heard from just now.
func (g *group) answers(id kv.ReplicaID) bool {
	ago, ok := g.known.since(id, g.h.now.Boot)
	return ok && ago <= answerTicks*g.h.cfg.Tick
}

// setLeader notes who leads, and ends what belongs to the former leadership.
func (g *group) setLeader(term uint64, lead kv.ReplicaID, role raft.StateType) {
	if term == g.term && lead == g.lead && role == g.role {
		return
	}
	g.endLease()
	g.reads.dropAll(g, kv.Errorf(kv.NotLeader, "partition %s has a new leader", g.p))
	if term != g.term || role != g.role {
		g.conf = confState{}
		if role == raft.StateLeader {
			g.ledSince = g.h.ticks
			for _, id := range g.applied.Conf.GetVoters() { // until they had a chance to answer, no voter is silent
				g.known.hear(kv.ReplicaID(id), 0, g.h.now.Boot, len(g.replicas))
			}
		}
	}
	g.term, g.lead, g.role = term, lead, role
	if g.leads() {
		g.time() // readers judge deadlines by it
	}
	g.publishLeader()
}

func (g *group) publishLeader() {
	g.handle.leader.Store(&Leadership{Term: g.term, Replica: g.lead, Node: g.leaderNode(), Self: g.leads()})
}

func (g *group) leaderNode() kv.NodeID {
	if g.leads() {
		return g.h.cfg.Node
	}
	return g.known.node(g.lead)
}

// notLeader is the answer to who asks the wrong replica.
func (g *group) notLeader() *kv.Error {
	e := kv.Errorf(kv.NotLeader, "partition %s is led elsewhere", g.p)
	e.Leader = g.leaderNode()
	return e
}

// touch notes that the group has effects in the turn's apply batch.
func (g *group) touch() {
	if !g.touched {
		g.touched = true
		g.h.touched = append(g.h.touched, g)
	}
}

// publishApplied follows when they can be read.
func (g *group) publishApplied() {
	g.touched = false
	g.publish()
	g.machine.Committed()
}

// publish lets others know how far the readable state is.
func (g *group) publish() {
	g.handle.timeMS.Store(g.applied.TimeMS)
	g.handle.applied.Store(g.applied.Index)
	if g.behind.index != 0 && g.applied.Index >= g.behind.index {
		g.handle.fresh.Store(int64(g.behind.at))
		g.behind = pending{}
	}
}

func (g *group) remember(ap persist.Applied) {
	g.hashes[ap.Index%hashHistory] = appliedHash{ap.Index, ap.Hash}
}

// installed brings the group to the state of a snapshot that is now on disk.
func (g *group) installed() {
	if g.staging == nil {
		return
	}
	g.staging = nil
	g.applied = g.store.Applied()
	ap := g.applied
	g.setReplicas(ap.Replicas)
	g.hashes = [hashHistory]appliedHash{}
	g.remember(ap)
	if err := g.machine.Reload(); err != nil {
		g.h.fail(fmt.Errorf("partition %s: load installed snapshot: %w", g.p, err))
		return
	}
	g.publish()
	g.machine.Committed()
	g.endLease()
	g.publishLeader()
	g.flights = slices.DeleteFunc(g.flights, func(f flight) bool {
		if f.index <= ap.Index {
			f.fail(g.h, kv.ErrUnknown()) // applied or not: the snapshot does not tell
		}
		return f.index <= ap.Index
	})
}

// close ends everything that waits, when the replica goes or the node stops. Writes in the
// log may yet be applied by other replicas; commands that were not proposed certainly not.
func (g *group) close(why *kv.Error) {
	g.endLease()
	g.reads.dropAll(g, why)
	for _, op := range g.ops {
		g.h.reply(op, Reply{Err: why})
	}
	for _, f := range append(g.flights, g.unplaced...) {
		f.fail(g.h, kv.ErrUnknown())
	}
	g.ops, g.flights, g.unplaced = nil, nil, nil
	if g.staged != nil {
		g.staged.Discard()
		g.staged = nil
	}
}
