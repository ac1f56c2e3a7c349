package replica

import (
	"encoding/binary"
	"time"

	"go.etcd.io/raft/v3"

	"pxkv/node/kv"
)

// Linearizable reads without a lease take one ReadIndex round, shared by all reads that wait
// in the group; the round also earns the lease that lets the next reads skip it.
//
// The lease is our own, not the library's: it is counted from before the round was sent, so
// every voter of a majority has heard from this leader at or after that moment and helps no
// other candidate for an election timeout from then on (see mayVote).

// lease is the leader's right to read alone.
type lease struct {
	// gen changes whenever leases end; a round that began under another gen earns none.
	gen uint64
	// deadTerm is a term that gives no lease any more, because leadership was being handed over.
	deadTerm uint64
	// conf is the index of the last change of the configuration that came to the log.
	conf uint64
}

// round is one ReadIndex request under way.
type round struct {
	ctx   [16]byte
	began time.Duration
	gen   uint64
	term  uint64
	ops   []ReadOp
}

// waitingRead knows its index and waits until it is applied.
type waitingRead struct {
	index uint64
	ops   []ReadOp
}

// reads are those that wait in a group, and the lease that spares the next ones that.
type reads struct {
	queue   []ReadOp
	rounds  []round
	waiting []waitingRead
	count   int // reads in all three
	lease   lease
}

func (q *reads) queued() bool { return len(q.queue) > 0 }

func (h *Host) takeReads() {
	for op, ok := h.answers.nextRead(); ok; op, ok = h.answers.nextRead() {
		g := h.groups.of[op.Partition]
		switch {
		case g == nil:
			h.answers.replyRead(op, kv.Errorf(kv.NotLeader, "no replica of partition %s on this node", op.Partition))
		case !g.leads():
			h.answers.replyRead(op, g.notLeader())
		case g.trust.doubt != nil:
			h.answers.replyRead(op, g.disputed())
		case g.reads.count >= h.cfg.Limits.WaitingReads:
			h.answers.replyRead(op, kv.Errorf(kv.Unavailable, "partition %s has %d reads waiting", g.p, g.reads.count))
		default:
			g.reads.queue = append(g.reads.queue, op)
			g.reads.count++
			h.groups.mark(g)
		}
	}
}

// issueReads starts a round for the reads in the queue.
func (g *group) issueReads() {
	if len(g.reads.queue) > 0 && g.ready() && len(g.reads.rounds) < g.h.cfg.Limits.ReadRounds {
		g.startRound()
	}
}

// startRound asks the library for a ReadIndex under a context that was never used before: an
// answer to an older one must not count.
func (g *group) startRound() {
	r := round{began: g.h.clock.Boot, gen: g.reads.lease.gen, term: g.raft.term, ops: g.reads.queue}
	g.reads.queue = nil
	g.h.readCtx++
	binary.BigEndian.PutUint64(r.ctx[:], g.h.cfg.Incarnation)
	binary.BigEndian.PutUint64(r.ctx[8:], g.h.readCtx)
	g.reads.rounds = append(g.reads.rounds, r)
	g.raft.ReadIndex(r.ctx[:])
	g.h.stats.ReadRounds.Add(1)
}

// confirmed takes the library's word that a majority followed this leader after the round
// began.
func (g *group) confirmed(s raft.ReadState) {
	for i := range g.reads.rounds {
		r := &g.reads.rounds[i]
		if string(r.ctx[:]) != string(s.RequestCtx) {
			continue
		}
		done := g.reads.rounds[i]
		g.reads.rounds = append(g.reads.rounds[:i:i], g.reads.rounds[i+1:]...)
		if done.term == g.raft.term && g.leads() {
			g.extendLease(&done)
		}
		if len(done.ops) > 0 {
			g.reads.waiting = append(g.reads.waiting, waitingRead{s.Index, done.ops})
			g.reads.applied(g, g.applied.Index)
		}
		return
	}
}

// extendLease publishes a lease at the end of the turn, after the turn's effects are
// readable, unless it ended meanwhile.
func (g *group) extendLease(r *round) {
	if g.h.cfg.QuorumReads || g.reads.lease.gen != r.gen || g.reads.lease.deadTerm == g.raft.term || !g.ready() ||
		g.outgrown() {
		return
	}
	until, gen := int64(r.began+g.h.cfg.leaseLength()), r.gen
	g.h.answers.after = append(g.h.answers.after, func() {
		if g.reads.lease.gen == gen && until > g.handle.leaseUntil.Load() {
			g.handle.leaseUntil.Store(until)
		}
	})
}

// outgrown reports whether the configuration by which this leader counts is not the group's any more: a later one is
// committed, and not applied here yet. Others may have applied it, and be elected by it. Any two majorities of the two
// meet in a voter that keeps to its promise, unless the later one has only one voter: when that starts again it
// asks nobody, and has forgotten what it promised (campaignAlone). So no lease may last from the moment at which others
// can learn that the change is committed.
func (g *group) outgrown() bool {
	at := g.reads.lease.conf
	return g.applied.Index < at && at <= g.raft.commit && !leaseUntilApplied
}

// endLease ends the lease at once, and that of every round under way.
func (g *group) endLease() {
	g.reads.lease.gen++
	g.handle.leaseUntil.Store(0)
}

// renewLease keeps the lease of a group that is being read. An idle group has none and pays
// nothing for it: its next read takes one round.
func (g *group) renewLease() {
	if !g.ready() || g.reads.lease.deadTerm == g.raft.term || len(g.reads.rounds) >= g.h.cfg.Limits.ReadRounds ||
		g.h.cfg.QuorumReads {
		return
	}
	left := time.Duration(g.handle.leaseUntil.Load()) - g.h.clock.Boot
	if left > g.h.cfg.leaseLength()*2/3 || !g.handle.used.Swap(false) {
		return
	}
	g.startRound()
	g.h.groups.mark(g)
}

// applied releases the reads whose index is now in the state.
func (q *reads) applied(g *group, index uint64) {
	kept := q.waiting[:0]
	for _, w := range q.waiting {
		if w.index > index {
			kept = append(kept, w)
			continue
		}
		for _, op := range w.ops {
			g.h.answers.replyRead(op, nil)
		}
		q.count -= len(w.ops)
	}
	q.waiting = kept
}

// requeue starts the rounds under way anew. A changed configuration may leave one without an
// answer for ever: the library no longer takes those of a replica that went, and asks nobody
// again when only one voter is left.
func (q *reads) requeue() {
	for _, r := range q.rounds {
		q.queue = append(q.queue, r.ops...)
	}
	q.rounds = nil
}

// dropAll ends all reads: the library forgets its own part when leadership changes.
func (q *reads) dropAll(g *group, err *kv.Error) {
	drop := func(ops []ReadOp) {
		for _, op := range ops {
			g.h.answers.replyRead(op, err)
		}
	}
	drop(q.queue)
	for _, r := range q.rounds {
		drop(r.ops)
	}
	for _, w := range q.waiting {
		drop(w.ops)
	}
	count := q.count
	*q = reads{lease: q.lease}
	if readsNotGivenBack {
		q.count = count
	}
}
