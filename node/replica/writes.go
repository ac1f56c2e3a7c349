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
	bytes       int  // of the proposal, counted in Host.uncommitted; 0: not yet
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
	case h.departure.over && g.hasHeirs() && !planted.handOverSkipped:
		refuse(kv.Errorf(kv.Unavailable, "partition %s: the node is stopping", g.p))
	default:
		g.ops = append(g.ops, op)
		h.groups.mark(g)
	}
}

// propose makes as few entries as possible of the turn's commands: one, unless they are
// larger than an entry should be.
func (g *group) propose() {
	for len(g.ops) > 0 {
		n, size := 1, g.ops[0].Size()
		for n < len(g.ops) && (g.merging == 0 || n < g.merging) && merges(&g.ops[0], &g.ops[n]) &&
			size+g.ops[n].Size() <= g.h.cfg.Limits.EntryBytes {
			size += g.ops[n].Size()
			n++
		}
		f := flight{ops: g.ops[:n:n], shared: g.ops[0].barrier()}
		if !g.leads() {
			g.ops = g.ops[n:]
			f.fail(g.h, g.notLeader())
			continue
		}
		if g.doubt != nil {
			g.ops = g.ops[n:]
			f.fail(g.h, g.disputed())
			continue
		}
		if why := g.h.intake.noRoom(); why != nil {
			g.h.stats.Held.Add(1)
			g.ops = g.ops[n:]
			f.fail(g.h, why)
			continue
		}
		entry := g.encode(f.ops, size)
		// From here on it may be in the log, also when the library panics.
		g.ops = g.ops[n:]
		g.unplaced = append(g.unplaced, f)
		if err := g.rn.Propose(entry); err != nil {
			// Dropped by the library: too much is uncommitted, or leadership is being handed over.
			if !planted.refusedSilently {
				f.fail(g.h, kv.Errorf(kv.Unavailable, "partition %s takes no writes right now: %v", g.p, err))
			}
			if !planted.refusedInFlight {
				g.unplaced = g.unplaced[:len(g.unplaced)-1]
				continue
			}
		}
		g.unplaced[len(g.unplaced)-1].bytes = len(entry)
		g.h.intake.uncommitted += len(entry)
		g.h.intake.grow(len(entry))
		g.h.stats.Proposed.Add(1)
		g.h.stats.Commands.Add(int64(n))
	}
	g.ops = nil
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

// encode makes an entry of what may share one; size is that of its commands in bytes.
func (g *group) encode(ops []Op, size int) []byte {
	p := entry.Payload{TimeMS: g.time(), TouchBytes: int64(g.h.cfg.Limits.TouchBytes)}
	if at := g.hashes[g.applied.Index%hashHistory]; at.index == g.applied.Index {
		p.CheckIndex, p.CheckHash = at.index, at.hash
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
	}
	b := p.AppendTo(make([]byte, 0, size+64))
	for i := range ops {
		b = append(b, ops[i].Command...)
	}
	return b
}

// learnMerging makes the next entries of fewer commands when some of one were put off, and of more again
// when none was: else what is left of a large entry would go through the log once for each few of it.
func (g *group) learnMerging(replies []entry.Reply) {
	done := 0
	for i := range replies {
		if !replies[i].PutOff {
			done++
		}
	}
	switch {
	case done < len(replies):
		g.merging = done
	case g.merging > 0 && done >= g.merging:
		if g.merging *= 2; g.merging > mostMerging {
			g.merging = 0
		}
	}
}

// mostMerging is from how many commands on their number is no concern any more.
const mostMerging = 1 << 14

// awaits reports whether somebody here waits for the results of an entry.
func (g *group) awaits(e *pb.Entry) bool {
	return slices.ContainsFunc(g.flights, func(f flight) bool {
		return f.index == e.GetIndex() && f.term == e.GetTerm()
	})
}

// resolve answers the proposals that an applied entry decides: with its results the one that this
// entry is. One of an older term at its index or above certainly never happens: whoever leads from
// now on has this entry in its log, and terms in a log never go down. The flights are not in order:
// after a leader lost its leadership and won it again, it may have flights of both its terms at one
// index, and older ones at higher indexes.
func (g *group) resolve(e *pb.Entry, replies []entry.Reply) {
	if len(g.flights) == 0 {
		return
	}
	lost := kv.Errorf(kv.Unavailable, "partition %s changed its leader before the write was replicated", g.p)
	kept := g.flights[:0]
	for _, f := range g.flights {
		switch {
		case f.index > e.GetIndex() && (f.term >= e.GetTerm() || planted.purgeSlotLeaks):
			kept = append(kept, f)
		case f.index < e.GetIndex():
			f.fail(g.h, kv.ErrUnknown()) // cannot be: its own index was applied before
		case f.index > e.GetIndex() || f.term != e.GetTerm() || len(replies) != f.answers():
			f.fail(g.h, lost)
		case g.doubt != nil:
			f.fail(g.h, kv.ErrUnknown()) // it is done, and what is told of it may be wrong
		default:
			g.h.intake.uncommitted -= f.bytes
			g.learnMerging(replies)
			for i, op := range f.ops {
				r := replies[0]
				if !f.shared {
					r = replies[i]
				}
				if r.PutOff && !planted.putOffForgotten {
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
	clear(g.flights[len(kept):])
	g.flights = kept
}

// abandonAfter is for how long the answer to a write is kept waiting after its leader has lost its
// leadership: longer than the default time of a request.
const abandonAfter = 15 * time.Second

// abandon answers the writes that were proposed here and that no other leader has placed or dropped
// for long, as it is without a majority: their outcome is unknown. Until they are answered they count
// against what a node may have under way, for all of its groups.
func (g *group) abandon() {
	if g.leads() || len(g.flights) == 0 || g.ledAt == 0 {
		g.ledAt = g.h.clock.Boot
		return
	}
	if g.h.clock.Boot-g.ledAt < abandonAfter || planted.flightsKept {
		return
	}
	for _, f := range g.flights {
		f.fail(g.h, kv.ErrUnknown())
	}
	g.flights = nil
}
