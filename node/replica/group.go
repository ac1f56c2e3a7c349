package replica

import (
	"fmt"
	pb "go.etcd.io/raft/v3/raftpb"
	"math"
	"slices"
	"time"

	"pxkv/node/kv"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// group is one replica with its Raft state machine. Only the goroutine of the turns touches
// it; others see its Handle.
type group struct {
	h      *Host
	p      kv.PartitionID
	id     kv.ReplicaID
	store  *raftlog.Replica
	handle *Handle
	raft   raftState
	orphan orphan
	// applied is the state machine's bookkeeping, including the effects that wait in the
	// turn's apply batch.
	applied  state.Applied
	machine  StateMachine
	hashes   hashes
	trust    trust
	clock    groupClock
	known    known
	writes   writes
	reads    reads
	conf     confState
	purging  purging
	incoming incoming
	fresh    freshness
	work     work
	news     news
	takeover takeover
	rest     rest
}

// work is what the turns have to do for a group.
type work struct {
	dirty   bool // its Ready must be looked at
	touched bool // effects wait in the turn's apply batch
	// committed is what the library gave out to apply and no turn has applied yet, in order. While
	// there is some the group is in the queue of Host.applying, and no snapshot may be offered to the library:
	// it would take over the snapshot's configuration, and older changes must not follow that.
	committed []*pb.Message
}

const longAgo = time.Duration(math.MinInt64 / 4)

func newGroup(h *Host, store *raftlog.Replica) (*group, error) {
	g := &group{
		h: h, p: store.Partition(), id: store.ID(), store: store,
		handle:  &Handle{Partition: store.Partition(), ID: store.ID(), old: &h.resting.asked},
		machine: h.cfg.Machine(store.Partition()),
		applied: store.Applied(),
		raft:    raftState{promised: longAgo},
	}
	g.handle.leader.Store(&Leadership{})
	index := g.applied.Index
	if confTwice && index > 1 {
		if e, err := store.Entries(index, index+1, math.MaxUint64); err == nil && len(e) == 1 &&
			e[0].GetType() == pb.EntryConfChangeV2 {
			index--
		}
	}
	g.setVoid(store.Void())
	if g.trust.void {
		h.cfg.Logger.Warn("the state of this replica is void; it is rebuilt from its leader", "partition", g.p.String(),
			"replica", uint64(g.id))
	}
	g.known.become(g.applied.Replicas)
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

// campaignAlone spares a group with one voter the election timeout. It asks nobody and waits for no promise that it may
// have made before it started, though the configuration is the one applied here, and not always the last. What is wrong
// with that harms nobody:
//
//   - The applied configuration is older than the group's. The first change of the voters after it, J, may not even be
//     known here to be committed. Whoever counts by J needs this replica, in one half of a joint configuration or as
//     one of two voters: to commit anything of its own term, before which it acknowledges and reads nothing, and so to
//     commit the next change. A leader that has applied J tells with each append that it is committed, and the disk
//     takes that with the append (see append in ready.go). So who has acknowledged anything to such a leader knows of J
//     after a crash, and the library refuses to campaign before J is applied.
//   - It is newer than a leader's that has not applied it yet. That one ended its lease before anybody could learn that
//     the change is committed (see outgrown).
//
// In a configuration that is its leader's as well the only voter is the leader, and has promised nothing to others.
func (g *group) campaignAlone() {
	if g.alone() && !g.trust.void {
		if err := g.raft.Campaign(); err != nil {
			g.h.cfg.Logger.Warn("campaign failed", "partition", g.p.String(), "err", err)
		}
		g.h.groups.mark(g)
	}
}

// lastIndex is where its log ends. The library's interface returns an error that there never is.
func (g *group) lastIndex() uint64 {
	last, _ := g.store.LastIndex()
	return last
}

// alone reports whether this replica is the only voter.
func (g *group) alone() bool {
	c := g.applied.Conf
	return len(c.GetVoters()) == 1 && c.GetVoters()[0] == uint64(g.id) && len(c.GetVotersOutgoing()) == 0
}

// fromLeader lists what only a leader sends.
func fromLeader(t pb.MessageType) bool {
	return t == pb.MsgApp || t == pb.MsgHeartbeat || t == pb.MsgSnap
}

// step hands the library a message from another replica, unless a promise forbids it.
func (g *group) step(m Message) {
	if g.trust.rebuilding {
		return
	}
	t := m.Raft.GetType()
	if t != pb.MsgHeartbeat && t != pb.MsgHeartbeatResp { // see heardRest
		g.wakeBy(m.From, fromLeader(t) && m.Raft.GetTerm() == g.raft.term)
	}
	if t == pb.MsgVote || t == pb.MsgPreVote {
		if !g.mayVote(m.Raft) {
			return
		}
		g.hearCandidate(m.Raft)
	}
	g.known.hear(m.From, m.FromNode, g.h.clock.Boot)
	if last := g.lastIndex(); t == pb.MsgHeartbeat && m.Raft.GetCommit() > last {
		g.h.fail(fmt.Errorf("%w: partition %s: this replica once acknowledged index %d, and its log ends at %d; "+
			"start this node with an empty data directory", ErrOutdated, g.p, m.Raft.GetCommit(), last))
		return
	}
	if !g.trust.vouched || g.trust.void && t == pb.MsgTimeoutNow {
		return
	}
	if fromLeader(t) && m.Raft.GetTerm() >= g.raft.term {
		g.hearRound(m.Raft)
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
	if g.keepTakeover(m.Raft) {
		return
	}
	_ = g.raft.Step(m.Raft)
	g.acknowledged(m.Raft)
	switch t {
	case pb.MsgHeartbeat:
		g.heardHeartbeat(m)
		g.heardRest(m)
	case pb.MsgHeartbeatResp:
		g.heardAnswer(m)
		g.heardRest(m)
	}
	g.h.groups.look(g)
}

// stepSelf hands the library the completion of a storage write.
func (g *group) stepSelf(m *pb.Message) {
	_ = g.raft.Step(m)
	g.h.groups.mark(g)
}

// active reports whether a replica was heard from lately. The library's own RecentActive
// starts anew with each quorum check, so it flickers.
func (g *group) active(id kv.ReplicaID) bool {
	ago, ok := g.since(id)
	return id == g.id || ok && ago < 5*ElectionTicks*g.h.cfg.Tick
}

// answers reports whether a replica was heard from just now, and could lead.
func (g *group) answers(id kv.ReplicaID) bool {
	ago, ok := g.since(id)
	return ok && ago <= answerTicks*g.h.cfg.Tick && !g.isVoid(id)
}

// publish lets others know how far the readable state is.
func (g *group) publish() {
	g.handle.timeMS.Store(g.applied.TimeMS)
	g.handle.applied.Store(g.applied.Index)
	g.handle.shows(g.applied.Index)
	g.fresh.reached(g.handle, g.applied.Index)
}

// installed brings the group to the state of a snapshot that is now on disk.
func (g *group) installed() {
	if g.incoming.staging == nil {
		return
	}
	g.incoming.staging = nil
	g.applied = g.store.Applied()
	ap := g.applied
	if g.trust.void && !g.trust.rebuilding { // the library had accepted it before the state was condemned
		g.setVoid(false)
	}
	g.known.become(ap.Replicas)
	g.setDoubt(nil)
	g.hashes.forget()
	g.remember(ap)
	if g.trust.rebuilding {
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
	g.writes.flights = slices.DeleteFunc(g.writes.flights, func(f flight) bool {
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
	g.writes.refuse(g.h, why)
	g.writes.flights, g.writes.unplaced = append(g.writes.flights, g.writes.unplaced...), nil
	g.writes.lose(g.h)
	g.incoming.discard()
}
