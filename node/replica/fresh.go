package replica

import (
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// How old the state of a replica may be is told without comparing the clocks of two nodes, and
// without counting anything that is on its way as just said: a process that stood still reads what
// waited for it long afterwards.
//
// A leader stamps each heartbeat, and an answer brings the stamp back: its maker followed at that
// moment or later. When a majority did, nobody else led before, and the leader's state has all that
// was acknowledged by then (followed).
//
// A follower stamps each answer. When the leader knows that nobody else led before that stamp was
// made (confirm), the next heartbeat brings it back with the commit index of the present: once that
// is applied, the follower's state has all that was acknowledged by the moment of its stamp, and that
// moment is one of its own clock (caughtUp).

// stamp names a moment, which nobody but this process can read.
func (h *Host) stamp(at time.Duration) uint64 { return uint64(at) + h.cfg.Incarnation }

// moment reads a stamp that came back. false: there is none, or this process did not make it.
func (h *Host) moment(stamp uint64) (time.Duration, bool) {
	at := time.Duration(stamp - h.cfg.Incarnation)
	return at, stamp != 0 && h.clock.started <= at && at <= h.clock.Boot
}

// A heartbeat and its answer have two stamps: the sender's, and the receiver's that came back. They
// travel in the places of log term and index, which the library leaves empty in both, so a node whose
// version knows of no stamps reads over them. It sends 0, which is none, and is told nothing.
func putStamps(m *pb.Message, own, back uint64) { m.LogTerm, m.Index = &own, &back }

func stampsOf(m *pb.Message) (own, back uint64) { return m.GetLogTerm(), m.GetIndex() }

// freshness is what a replica knows of how old its state is, beside what its handle says.
type freshness struct {
	obeyed obeyed
	behind pending // the state of this moment is not reached yet; index 0: it is
}

// obeyed is the last heartbeat of a leader that this replica took, in the term in which it did.
type obeyed struct {
	term  uint64
	at    time.Duration // boot time, of this node
	stamp uint64        // the leader's
}

// report is what a leader does with the stamps of one follower.
type report struct {
	stamp uint64        // the newest that waits to be confirmed, 0: none
	at    time.Duration // boot time, of this node, at which it had come
	sure  uint64        // the newest that was confirmed, 0: none
}

// confirm looks whether a majority followed after the follower's stamp had come. The follower itself
// did when it made the stamp, and so does the leader.
func (g *group) confirm(r *replicaInfo) {
	if r.report.stamp != 0 && g.ready() && g.followedSince(r.id) >= r.report.at {
		r.report.sure, r.report.stamp = r.report.stamp, 0
	}
}

// followedSince is the latest moment of this leader's boot clock at or after which a majority is known
// to have followed it; this replica and one other count as of now.
func (g *group) followedSince(other kv.ReplicaID) time.Duration {
	c, now := g.applied.Conf, g.h.clock.Boot
	at := g.known.followedBy(c.GetVoters(), g.id, other, now)
	if out := c.GetVotersOutgoing(); len(out) > 0 {
		at = min(at, g.known.followedBy(out, g.id, other, now))
	}
	return at
}

// followed notes, on the leader, how fresh the state is. Before an entry of its own term is applied it
// may lack what former leaders acknowledged.
func (g *group) followed() {
	if g.ready() {
		g.handle.freshen(g.followedSince(g.id))
	}
}

// stampHeartbeat completes a heartbeat that leaves.
func (g *group) stampHeartbeat(m *pb.Message) {
	if !g.leads() || m.GetTerm() != g.raft.term {
		return
	}
	back := uint64(0)
	if r := g.known.find(kv.ReplicaID(m.GetTo())); r != nil && g.ready() {
		g.confirm(r)
		back = r.report.sure
	}
	putStamps(m, g.h.stamp(g.h.clock.Boot), back)
}

// stampAnswer completes the answer to a heartbeat.
func (g *group) stampAnswer(m *pb.Message) {
	if g.fresh.obeyed.stamp != 0 && m.GetTerm() == g.fresh.obeyed.term {
		putStamps(m, g.h.stamp(g.fresh.obeyed.at), g.fresh.obeyed.stamp)
	}
}

// heardHeartbeat takes the stamps of a heartbeat after the library has taken it. The library's own
// term counts: in this turn it may have gone on already.
func (g *group) heardHeartbeat(m Message) {
	own, back := stampsOf(m.Raft)
	if g.raft.BasicStatus().GetTerm() == m.Raft.GetTerm() {
		g.fresh.obeyed = obeyed{m.Raft.GetTerm(), g.h.clock.Boot, own}
	}
	if at, ok := g.h.moment(back); stalenessFromArrival {
		g.fresh.caughtUp(g.handle, m.Committed, g.h.clock.Boot)
	} else if ok {
		g.fresh.caughtUp(g.handle, m.Committed, at)
	}
}

// heardAnswer takes the stamps of an answer to a heartbeat of this term's leader.
func (g *group) heardAnswer(m Message) {
	r, s := g.known.find(m.From), g.raft.BasicStatus()
	if r == nil || !g.leads() || m.Raft.GetTerm() != g.raft.term || s.GetTerm() != g.raft.term {
		return
	}
	own, back := stampsOf(m.Raft)
	if at, ok := g.h.moment(back); ok {
		r.followed = max(r.followed, at)
	}
	// One that waits is kept: if each answer replaced it, none might ever be confirmed.
	if g.confirm(r); r.report.stamp == 0 && own != 0 {
		r.report.stamp, r.report.at = own, g.h.clock.Boot
		g.confirm(r)
	}
}

// caughtUp notes how fresh the state of a follower is: as of a moment, as soon as it has all that the
// leader had committed after it.
func (f *freshness) caughtUp(h *Handle, committed uint64, at time.Duration) {
	switch {
	case h.Applied() >= committed:
		h.freshen(at)
	case f.behind.index == 0, f.behind.index == committed && f.behind.at < at:
		f.behind = pending{committed, at}
	}
}

// reached follows when more is applied.
func (f *freshness) reached(h *Handle, applied uint64) {
	if f.behind.index != 0 && applied >= f.behind.index {
		h.freshen(f.behind.at)
		f.behind = pending{}
	}
}

// pending is a moment whose state is reached when an index is applied.
type pending struct {
	index uint64
	at    time.Duration
}

// freshen notes that the state has all that was acknowledged by a boot time.
func (h *Handle) freshen(at time.Duration) {
	if int64(at) > h.fresh.Load() {
		h.fresh.Store(int64(at))
	}
}

// freshEnough is how old a state may be said to be without waking a group that rests: about what it is of one that is
// awake.
const freshEnough = ElectionTicks * DefaultTick

// Staleness is how old the local state may be: it has every write that was acknowledged so long
// before now. That holds whatever waited, or was lost, on its way, as long as this node's boot clock runs
// at about the right rate. It is 0 while the replica has a lease. false: nothing is known, since no leader was
// heard since the process started, or none of a version that tells.
func (h *Handle) Staleness(now Now) (time.Duration, bool) {
	fresh := h.fresh.Load()
	if int64(now.Boot) < h.leaseUntil.Load() || leaderIsFresh && h.leader.Load().Self {
		return 0, true
	}
	age := max(0, now.Boot-time.Duration(fresh))
	if fresh != 0 && age > freshEnough && !h.asked.Swap(true) {
		h.old.Store(true)
	}
	return age, fresh != 0
}

// unfollow forgets all answers: they were of another term.
func (k *known) unfollow() {
	for i := range k.infos {
		k.infos[i].followed, k.infos[i].report = 0, report{}
	}
}

// followedBy is the latest boot time at or after which a majority of voters is known to have followed;
// 0: none. self and other did now.
func (k *known) followedBy(voters []uint64, self, other kv.ReplicaID, now time.Duration) time.Duration {
	at := make([]time.Duration, 0, 8)
	for _, id := range voters {
		switch r := k.find(kv.ReplicaID(id)); {
		case kv.ReplicaID(id) == self || kv.ReplicaID(id) == other:
			at = append(at, now)
		case r != nil:
			at = append(at, r.followed)
		default:
			at = append(at, 0)
		}
	}
	slices.Sort(at)
	return at[(len(at)-1)/2]
}
