package replica

import (
	"fmt"
	pb "go.etcd.io/raft/v3/raftpb"
	"math"
	"slices"
	"time"

	"go.etcd.io/raft/v3"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// group is one replica with its Raft state machine. Only the goroutine of the turns touches
// it; others see its Handle.
type group struct {
	h     *Host
	p     kv.PartitionID
	id    kv.ReplicaID
	store *raftlog.Replica
	rn    *raft.RawNode
	// applied is the state machine's bookkeeping, including the effects that wait in the
	// turn's apply batch.
	applied state.Applied
	machine StateMachine
	clock   groupClock
	purging bool   // a purge is on its way, one of those that Host.purging counts
	purges  int    // proposed by this replica
	vouched bool   // the others remember nothing that this replica has forgotten: see vouch
	doubt   *doubt // nil: none
	void    bool   // the state is not to be believed: see void.go
	led     uint64 // tick at which a void replica knew of a leader last
	// rebuilding: a snapshot is being installed in the place of a void state. The group takes nothing
	// in and gives nothing out meanwhile.
	rebuilding bool
	rebuiltBy  SnapshotRequest
	questions  []question // of others, about indexes that are not applied here yet
	handle     *Handle
	dirty      bool

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
	staged   *data.Staged             // handed to the library, not yet accepted
	staging  *data.Staged             // accepted, being installed
	ops      []Op                     // of this turn, to propose
	merging  int                      // commands that one entry is made of at most; 0: any number
	unplaced []flight                 // proposed, index not known yet
	flights  []flight                 // in the log, by index
	ledAt    time.Duration            // boot time of the last tick in which it led or awaited no flight
	reads    readQueue                //
	lease    lease                    //
	conf     confState                //
	obeyed   obeyed                   //
	behind   pending                  // the state of this moment is not reached yet; index 0: it is
	probed   uint64                   // tick at which a probe was last answered
	touched  bool                     // effects wait in the turn's apply batch
	// committed is what the library gave out to apply and no turn has applied yet, in order. While
	// there is some the group is in Host.committed, and no snapshot may be offered to the library:
	// it would take over the snapshot's configuration, and older changes must not follow that.
	committed []*pb.Message
}

const longAgo = time.Duration(math.MinInt64 / 4)

func newGroup(h *Host, store *raftlog.Replica) (*group, error) {
	g := &group{
		h: h, p: store.Partition(), id: store.ID(), store: store,
		handle:  &Handle{Partition: store.Partition(), ID: store.ID()},
		machine: h.cfg.Machine(store.Partition()),
		contact: longAgo,
		applied: store.Applied(),
	}
	g.handle.leader.Store(&Leadership{})
	index := g.applied.Index
	if planted.confTwice && index > 1 {
		if e, err := store.Entries(index, index+1, math.MaxUint64); err == nil && len(e) == 1 &&
			e[0].GetType() == pb.EntryConfChangeV2 {
			index--
		}
	}
	g.setVoid(store.Void())
	if g.void {
		h.cfg.Logger.Warn("the state of this replica is void; it is rebuilt from its leader", "partition", g.p.String(),
			"replica", uint64(g.id))
	}
	g.setReplicas(g.applied.Replicas)
	g.remember(g.applied)
	if err := g.machine.Reload(); err != nil {
		return nil, fmt.Errorf("load state machine: %w", err)
	}
	if err := g.startRaft(index); err != nil {
		return nil, err
	}
	g.publish()
	g.publishLeader()
	return g, nil
}

// leads reports whether this replica leads its group and answers for it. One whose state is void does not
// answer, also while it bears the leadership: see carry.
func (g *group) leads() bool { return g.role == raft.StateLeader && !g.void }

// ready reports whether an entry of this leader's own term is applied: only then does its
// state reflect everything that former leaders acknowledged. One in doubt about its state is not.
func (g *group) ready() bool { return g.leads() && g.applied.Term == g.term && g.doubt == nil }

// campaignAlone spares a group with one voter the election timeout: it has made no promise
// to anyone else.
func (g *group) campaignAlone() {
	if g.alone() && !g.void {
		if err := g.rn.Campaign(); err != nil {
			g.h.cfg.Logger.Warn("campaign failed", "partition", g.p.String(), "err", err)
		}
		g.h.groups.mark(g)
	}
}

// alone reports whether this replica is the only voter.
func (g *group) alone() bool {
	c := g.applied.Conf
	return len(c.GetVoters()) == 1 && c.GetVoters()[0] == uint64(g.id) && len(c.GetVotersOutgoing()) == 0
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
	if g.rebuilding {
		return
	}
	t := m.Raft.GetType()
	if (t == pb.MsgVote || t == pb.MsgPreVote) && !g.mayVote(m.Raft) {
		return
	}
	g.known.hear(m.From, m.FromNode, g.h.clock.Boot, len(g.replicas))
	if last, _ := g.store.LastIndex(); t == pb.MsgHeartbeat && m.Raft.GetCommit() > last {
		g.h.fail(fmt.Errorf("%w: partition %s: this replica once acknowledged index %d, and its log ends at %d; "+
			"start this node with an empty data directory", ErrOutdated, g.p, m.Raft.GetCommit(), last))
		return
	}
	if !g.vouched || g.void && t == pb.MsgTimeoutNow {
		return
	}
	if fromLeader(t) && m.Raft.GetTerm() >= g.term {
		g.contact = g.h.clock.Boot
		if t == pb.MsgHeartbeat {
			g.compare(question{from: m.From, theirs: appliedHash{m.Committed, m.Raft.GetRejectHint()}})
			g.clock.hear(m.TimeMS, g.h.clock.Boot)
			g.handle.clock.Store(g.clock.ns - int64(g.clock.at))
		}
	}
	if n := entryBytes(m.Raft); n > 0 {
		if g.h.intake.crowded() || g.fills() {
			g.h.stats.Held.Add(1)
			return // the leader sends it again; heartbeats are taken and answered meanwhile
		}
		g.h.intake.grow(n)
	}
	// Errors mean that the library has no use for the message: an answer from a replica that
	// left the configuration, for example.
	_ = g.rn.Step(m.Raft)
	switch t {
	case pb.MsgHeartbeat:
		g.heardHeartbeat(m)
	case pb.MsgHeartbeatResp:
		g.heardAnswer(m)
	}
	g.h.groups.mark(g)
}

// mayVote holds the promise behind leases: whoever answered a leader's heartbeat helps no
// other candidate until the lease which that answer earned has ended. A restart forgets when
// that was, so a node that has just started votes for nobody for a whole election timeout.
// The library alone promises less: it counts ticks, which are not time, and forgets at restart.
func (g *group) mayVote(m *pb.Message) bool {
	h := g.h
	if h.clock.uptime() < ElectionTicks*h.cfg.Tick && !h.cfg.Fresh && !planted.voteAfterRestart {
		return false
	}
	const transfer = "CampaignTransfer" // the library's mark of an election the leader asked for
	if string(m.GetContext()) == transfer || planted.voteAfterRestart {
		return true
	}
	return h.clock.Boot-g.contact >= leaseTicks*h.cfg.Tick // no less for drift: leases are shorter by that
}

// stepSelf hands the library the completion of a storage write.
func (g *group) stepSelf(m *pb.Message) {
	_ = g.rn.Step(m)
	g.h.groups.mark(g)
}

// active reports whether a replica was heard from lately. The library's own RecentActive
// starts anew with each quorum check, so it flickers.
func (g *group) active(id kv.ReplicaID) bool {
	ago, ok := g.known.since(id, g.h.clock.Boot)
	return id == g.id || ok && ago < 5*ElectionTicks*g.h.cfg.Tick
}

// answers reports whether a replica was heard from just now, and could lead.
func (g *group) answers(id kv.ReplicaID) bool {
	ago, ok := g.known.since(id, g.h.clock.Boot)
	return ok && ago <= answerTicks*g.h.cfg.Tick && !g.isVoid(id)
}

// setLeader notes who leads, and ends what belongs to the former leadership.
func (g *group) setLeader(term uint64, lead kv.ReplicaID, role raft.StateType) {
	if term == g.term && lead == g.lead && role == g.role {
		return
	}
	g.endLease()
	g.reads.dropAll(g, kv.Errorf(kv.NotLeader, "partition %s has a new leader", g.p))
	if term != g.term || role != g.role {
		if !planted.purgeSlotLeaks {
			g.endPurge()
		}
		g.conf = confState{}
		if role == raft.StateLeader {
			g.ledSince = g.h.clock.ticks
			g.known.unfollow()
			for _, id := range g.applied.Conf.GetVoters() { // until they had a chance to answer, no voter is silent
				g.known.hear(kv.ReplicaID(id), 0, g.h.clock.Boot, len(g.replicas))
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
	switch {
	case g.leads():
		return g.h.cfg.Node
	case g.lead == g.id:
		return 0 // it bears the leadership, and serves nobody
	}
	return g.known.node(g.lead)
}

// notLeader is the answer to who asks the wrong replica.
func (g *group) notLeader() *kv.Error {
	leader := g.leaderNode()
	e := kv.Errorf(kv.NotLeader, "partition %s has no leader that this replica knows", g.p)
	if leader != 0 {
		e.Text = fmt.Sprintf("partition %s is led by node %s", g.p, g.h.cfg.Names.Of(leader))
	}
	e.Leader = leader
	return e
}

// publish lets others know how far the readable state is.
func (g *group) publish() {
	g.handle.timeMS.Store(g.applied.TimeMS)
	g.handle.applied.Store(g.applied.Index)
	g.handle.shows(g.applied.Index)
	g.reached()
}

// installed brings the group to the state of a snapshot that is now on disk.
func (g *group) installed() {
	if g.staging == nil {
		return
	}
	g.staging = nil
	g.applied = g.store.Applied()
	ap := g.applied
	if g.void && !g.rebuilding { // the library had accepted it before the state was condemned
		g.setVoid(false)
	}
	g.setReplicas(ap.Replicas)
	g.setDoubt(nil)
	g.hashes = [hashHistory]appliedHash{}
	g.remember(ap)
	if g.rebuilding {
		if err := g.revive(); err != nil {
			g.h.fail(fmt.Errorf("partition %s: start again from a snapshot: %w", g.p, err))
			return
		}
	}
	if err := g.machine.Reload(); err != nil {
		g.h.fail(fmt.Errorf("partition %s: load installed snapshot: %w", g.p, err))
		return
	}
	g.publish()
	g.handle.ended.Add(1)
	g.machine.Committed()
	g.endLease()
	g.publishLeader()
	g.flights = slices.DeleteFunc(g.flights, func(f flight) bool {
		switch {
		case f.index <= ap.Index:
			f.fail(g.h, kv.ErrUnknown()) // applied or not: the snapshot does not tell
		case f.term < ap.Term:
			// see resolve
			f.fail(g.h, kv.Errorf(kv.Unavailable, "partition %s changed its leader before the write was replicated",
				g.p))
		default:
			return false
		}
		return true
	})
}

// close ends everything that waits, when the replica goes or the node stops. Writes in the
// log may yet be applied by other replicas; commands that were not proposed certainly not.
func (g *group) close(why *kv.Error) {
	g.endPurge()
	g.endLease()
	g.reads.dropAll(g, why)
	for _, op := range g.ops {
		g.h.answers.reply(op, entry.Reply{Err: why})
	}
	for _, f := range append(g.flights, g.unplaced...) {
		f.fail(g.h, kv.ErrUnknown())
	}
	g.ops, g.flights, g.unplaced = nil, nil, nil
	g.discardStaged()
}
