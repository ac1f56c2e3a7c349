package replica

import (
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

// flight is a proposal on its way through the log: the commands that one entry holds. The
// entry's index and term identify it for ever.
type flight struct {
	index, term uint64
	ops         []Op
	shared      bool // the entry has one reply for all ops
	bytes       int  // of the proposal, counted in intake.uncommitted; 0: not yet
}

// answers is how many replies the entry has.
func (f *flight) answers() int {
	if f.shared {
		return 1
	}
	return len(f.ops)
}

func (f *flight) fail(h *Host, err *kv.Error) {
	h.intake.uncommitted -= f.bytes
	for _, op := range f.ops {
		h.answers.reply(op, entry.Reply{Err: err})
	}
}

// writes are those of a group that wait for an answer.
type writes struct {
	ops      []Op          // of this turn, to propose
	unplaced []flight      // proposed, index not known yet
	flights  []flight      // in the log, by index
	merging  int           // commands that one entry is made of at most; 0: any number
	ledAt    time.Duration // boot time of the last tick in which the group led here or awaited no flight
	heardAt  time.Duration // likewise, in which it was not cut off
}

// waiting counts them.
func (w *writes) waiting() int {
	n := len(w.ops)
	for _, f := range append(w.flights[:len(w.flights):len(w.flights)], w.unplaced...) {
		n += len(f.ops)
	}
	return n
}

// refuse answers those that are not proposed: they are certainly not done.
func (w *writes) refuse(h *Host, why *kv.Error) {
	for _, op := range w.ops {
		h.answers.reply(op, entry.Reply{Err: why})
	}
	w.ops = nil
}

// lose answers those in the log: nobody here will learn what becomes of them.
func (w *writes) lose(h *Host) {
	for _, f := range w.flights {
		f.fail(h, kv.ErrUnknown())
	}
	w.flights = nil
}

// place tells the proposals of this Ready at which index they landed: a leader appends
// nothing but its own proposals, in order, so they are the entries of its term with data.
func (w *writes) place(term uint64, entries []*pb.Entry) {
	for _, e := range entries {
		if len(w.unplaced) == 0 {
			return
		}
		if e.GetTerm() == term && e.GetType() == pb.EntryNormal && len(e.GetData()) > 0 {
			f := w.unplaced[0]
			f.index, f.term = e.GetIndex(), e.GetTerm()
			w.flights = append(w.flights, f)
			w.unplaced = w.unplaced[1:]
		}
	}
}

// learn makes the next entries of fewer commands when some of one were put off, and of more again
// when none was: else what is left of a large entry would go through the log once for each few of it.
func (w *writes) learn(replies []entry.Reply) {
	done := 0
	for i := range replies {
		if !replies[i].PutOff {
			done++
		}
	}
	switch {
	case done < len(replies):
		w.merging = done
	case w.merging > 0 && done >= w.merging:
		if w.merging *= 2; w.merging > mostMerging {
			w.merging = 0
		}
	}
}

// mostMerging is from how many commands on their number is no concern any more.
const mostMerging = 1 << 14

// awaits reports whether somebody here waits for the results of an entry.
func (w *writes) awaits(e *pb.Entry) bool {
	return slices.ContainsFunc(w.flights, func(f flight) bool {
		return f.index == e.GetIndex() && f.term == e.GetTerm()
	})
}

// Propose takes a write from within a turn, for OnTick and orders.
func (h *Host) Propose(op Op) { h.takeOp(op) }

// takeOps hands what the turn was given to its groups.
func (h *Host) takeOps() {
	for op, ok := h.answers.nextOp(); ok; op, ok = h.answers.nextOp() {
		h.takeOp(op)
	}
}

func (h *Host) takeOp(op Op) {
	g := h.groups.of[op.Partition]
	refuse := func(why *kv.Error) { h.answers.reply(op, entry.Reply{Err: why}) }
	switch {
	case g == nil:
		refuse(kv.Errorf(kv.NotLeader, "no replica of partition %s on this node", op.Partition))
	case !g.leads():
		refuse(g.notLeader())
	case h.departure.over && g.hasHeirs() && !handOverSkipped:
		refuse(kv.Errorf(kv.Unavailable, "partition %s: the node is stopping", g.p))
	default:
		g.writes.ops = append(g.writes.ops, op)
		h.groups.mark(g)
	}
}

// propose makes as few entries as possible of the turn's commands: one, unless they are
// larger than an entry should be.
func (g *group) propose() {
	w := &g.writes
	for len(w.ops) > 0 {
		f := flight{ops: w.oneEntry(g.h.cfg.Limits.EntryBytes), shared: w.ops[0].barrier()}
		if why := g.refusal(); why != nil {
			w.ops = w.ops[len(f.ops):]
			f.fail(g.h, why)
			continue
		}
		data := g.encode(f.ops)
		// From here on it may be in the log, also when the library panics.
		w.ops = w.ops[len(f.ops):]
		w.unplaced = append(w.unplaced, f)
		if err := g.raft.Propose(data); err != nil {
			// Dropped by the library: too much is uncommitted, or leadership is being handed over.
			if !refusedSilently {
				f.fail(g.h, kv.Errorf(kv.Unavailable, "partition %s takes no writes right now: %v", g.p, err))
			}
			if !refusedInFlight {
				w.unplaced = w.unplaced[:len(w.unplaced)-1]
				continue
			}
		}
		w.unplaced[len(w.unplaced)-1].bytes = len(data)
		g.h.intake.uncommitted += len(data)
		g.h.intake.grow(len(data))
		g.h.stats.Proposed.Add(1)
		g.h.stats.Commands.Add(int64(len(f.ops)))
	}
	w.ops = nil
}

// refusal says why the group takes no write now, nil when it does.
func (g *group) refusal() *kv.Error {
	switch {
	case !g.leads():
		return g.notLeader()
	case g.trust.doubt != nil:
		return g.disputed()
	}
	why := g.h.intake.noRoom()
	if why != nil {
		g.h.stats.Held.Add(1)
	}
	return why
}

// oneEntry returns those of the first writes of the turn that share an entry of so many bytes.
func (w *writes) oneEntry(limit int) []Op {
	n, size := 1, w.ops[0].Size()
	for n < len(w.ops) && (w.merging == 0 || n < w.merging) && merges(&w.ops[0], &w.ops[n]) {
		if size += w.ops[n].Size(); size > limit {
			break
		}
		n++
	}
	return w.ops[:n:n]
}

// merges reports whether an entry can hold both.
func merges(x, y *Op) bool {
	return x.Command != nil && y.Command != nil || x.barrier() && y.barrier()
}

func (op *Op) barrier() bool { return op.Command == nil && op.Raw == nil && op.PurgeMS == 0 }

// Size is how many bytes of commands it brings to the log.
func (op *Op) Size() int {
	if op.Raw != nil {
		return len(op.Raw)
	}
	return len(op.Command)
}

// encode makes an entry of what shares one.
func (g *group) encode(ops []Op) []byte {
	size := 64
	for i := range ops {
		size += ops[i].Size()
	}
	p := entry.Payload{TimeMS: g.time(), TouchBytes: int64(g.h.cfg.Limits.TouchBytes)}
	if hash, ok := g.hashes.at(g.applied.Index); ok {
		p.CheckIndex, p.CheckHash = g.applied.Index, hash
	}
	switch first := &ops[0]; {
	case first.Raw != nil:
		p.Raw = first.Raw
	case first.PurgeMS != 0:
		p.PurgeMS, p.Count = first.PurgeMS, g.h.cfg.Limits.PurgeKeys
	case first.barrier():
		p.Barrier = true
	default:
		p.Count = len(ops)
		p.Packs = slices.ContainsFunc(ops, func(op Op) bool { return op.Packs })
	}
	b := p.AppendTo(make([]byte, 0, size))
	for i := range ops {
		b = append(b, ops[i].Command...)
	}
	return b
}

// resolve answers the proposals that an applied entry decides: with its results the one that this
// entry is. One of an older term at its index or above certainly never happens: whoever leads from
// now on has this entry in its log, and terms in a log never go down. The flights are not in order:
// after a leader lost its leadership and won it again, it may have flights of both its terms at one
// index, and older ones at higher indexes.
func (g *group) resolve(e *pb.Entry, replies []entry.Reply) {
	if len(g.writes.flights) == 0 {
		return
	}
	lost := kv.Errorf(kv.Unavailable, "partition %s changed its leader before the write was replicated", g.p)
	kept := g.writes.flights[:0]
	for _, f := range g.writes.flights {
		switch {
		case f.index > e.GetIndex() && (f.term >= e.GetTerm() || purgeSlotLeaks):
			kept = append(kept, f)
		case f.index < e.GetIndex():
			f.fail(g.h, kv.ErrUnknown()) // cannot be: its own index was applied before
		case f.index > e.GetIndex() || f.term != e.GetTerm() || len(replies) != f.answers():
			f.fail(g.h, lost)
		case g.trust.doubt != nil:
			f.fail(g.h, kv.ErrUnknown()) // it is done, and what is told of it may be wrong
		default:
			g.h.intake.uncommitted -= f.bytes
			g.writes.learn(replies)
			for i, op := range f.ops {
				r := replies[0]
				if !f.shared {
					r = replies[i]
				}
				if r.PutOff && !putOffForgotten {
					g.h.stats.PutOff.Add(1)
					g.h.takeOp(op) // certainly not done: in another entry, or by another leader
					continue
				}
				receipt := kv.Receipt{Partition: g.p, Index: e.GetIndex()}
				r.Result.Receipt = receipt
				if r.Transaction != nil {
					r.Transaction.Receipt = receipt
				}
				g.h.answers.reply(op, r)
			}
		}
	}
	clear(g.writes.flights[len(kept):])
	g.writes.flights = kept
}

// abandonAfter is for how long the answer to a write is kept waiting after its leader has lost its
// leadership: longer than the default time of a request.
const abandonAfter = 15 * time.Second

// cutOffTicks is for how long a replica that is cut off keeps the answers to writes waiting: the others may have
// elected a leader, of which it will hear nothing.
const cutOffTicks = ElectionTicks

// abandon answers the writes that were proposed here and that no other leader has placed or dropped
// for long, as it is without a majority: their outcome is unknown. Until they are answered they count
// against what a node may have under way, for all of its groups.
func (g *group) abandon() {
	w, now := &g.writes, g.h.clock.Boot
	idle := g.leads() || len(w.flights) == 0 || w.ledAt == 0
	if idle {
		w.ledAt = now
	}
	if idle || !g.isCutOff() {
		w.heardAt = now
	}
	if (now-w.ledAt < abandonAfter && now-w.heardAt < cutOffTicks*g.h.cfg.Tick) || flightsKept {
		return
	}
	w.lose(g.h)
}
