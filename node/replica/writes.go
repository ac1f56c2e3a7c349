package replica

import (
	"encoding/binary"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// flight is a proposal on its way through the log: the commands that one entry holds. The
// entry's index and term identify it for ever.
type flight struct {
	index, term uint64
	ops         []Op
	shared      bool // the entry has one reply for all ops
}

func (f *flight) fail(h *Host, err *kv.Error) {
	for _, op := range f.ops {
		h.reply(op, Reply{Err: err})
	}
}

// reply hands an answer out at the end of the turn, when what it tells of can be read.
func (h *Host) reply(op Op, r Reply) {
	h.replies = append(h.replies, answer{op.Reply, r})
}

// answer is a Reply on its way out.
type answer struct {
	to    func(Reply)
	reply Reply
}

// release hands out what waited for the turn's effects. Answers may make more of both.
func (h *Host) release() {
	for len(h.replies) > 0 || len(h.readReplies) > 0 || len(h.after) > 0 {
		replies, reads, after := h.replies, h.readReplies, h.after
		h.replies, h.readReplies, h.after = h.spareReplies[:0], nil, nil
		for _, f := range after {
			f()
		}
		for _, a := range replies {
			a.to(a.reply)
		}
		for _, a := range reads {
			a.to(a.err)
		}
		clear(replies)
		h.spareReplies = replies
	}
}

// disown turns the answers of a turn that failed into what is true of them: its effects were
// perhaps not made.
func (h *Host) disown() {
	for i := range h.replies {
		if h.replies[i].reply.Err == nil {
			h.replies[i].reply = Reply{Err: kv.ErrUnknown()}
		}
	}
	for i := range h.readReplies {
		h.readReplies[i].err = kv.Errorf(kv.Unavailable, "node is stopping")
	}
	h.after = nil
}

// Propose takes a write from within a turn, for OnTick and orders.
func (h *Host) Propose(op Op) { h.takeOps([]Op{op}) }

func (h *Host) takeOps(ops []Op) {
	for _, op := range ops {
		g := h.groups[op.Partition]
		switch {
		case g == nil:
			h.reply(op, Reply{Err: kv.Errorf(kv.NotLeader, "no replica of partition %s on this node", op.Partition)})
		case !g.leads():
			h.reply(op, Reply{Err: g.notLeader()})
		default:
			g.ops = append(g.ops, op)
			h.markDirty(g)
		}
	}
}

// propose makes as few entries as possible of the turn's commands: one, unless they are
// larger than an entry should be.
func (g *group) propose() {
	ops := g.ops
	g.ops = nil
	for len(ops) > 0 {
		n, size := 1, opSize(&ops[0])
		for n < len(ops) && merges(&ops[0], &ops[n]) && size+opSize(&ops[n]) <= maxEntryBytes {
			size += opSize(&ops[n])
			n++
		}
		batch := ops[:n:n]
		ops = ops[n:]
		if !g.leads() {
			(&flight{ops: batch}).fail(g.h, g.notLeader())
			continue
		}
		if err := g.rn.Propose(g.encode(batch, size)); err != nil {
			// Dropped by the library: too much is uncommitted, or leadership is being handed over.
			(&flight{ops: batch}).fail(g.h, kv.Errorf(kv.Unavailable, "partition %s takes no writes right now: %v", g.p, err))
			continue
		}
		g.unplaced = append(g.unplaced, flight{ops: batch, shared: batch[0].barrier()})
		g.h.stats.Proposed.Add(1)
		g.h.stats.Commands.Add(int64(n))
	}
}

// merges reports whether an entry can hold both.
func merges(x, y *Op) bool {
	return x.Command != nil && y.Command != nil || x.barrier() && y.barrier()
}

func (op *Op) barrier() bool { return op.Command == nil && op.Raw == nil && op.PurgeMS == 0 }

func opSize(op *Op) int {
	if op.Raw != nil {
		return len(op.Raw)
	}
	return len(op.Command)
}

func (g *group) encode(ops []Op, size int) []byte {
	ap := g.applied
	p := Payload{TimeMS: g.time()}
	if at := g.hashes[ap.Index%hashHistory]; at.index == ap.Index {
		p.CheckIndex, p.CheckHash = at.index, at.hash
	}
	b := make([]byte, 0, size+64)
	switch {
	case ops[0].Raw != nil:
		return append(p.header(b, payloadRaw), ops[0].Raw...)
	case ops[0].PurgeMS != 0:
		b = binary.AppendVarint(p.header(b, payloadPurge), ops[0].PurgeMS)
		return binary.AppendUvarint(b, purgeKeys)
	case ops[0].barrier():
		return p.header(b, payloadBarrier)
	}
	b = p.header(b, payloadCommands)
	b = binary.AppendUvarint(b, uint64(len(ops)))
	for i := range ops {
		b = append(b, ops[i].Command...)
	}
	return b
}

// awaits reports whether somebody here waits for the results of an entry.
func (g *group) awaits(e *pb.Entry) bool {
	return slices.ContainsFunc(g.flights, func(f flight) bool { return f.index == e.GetIndex() && f.term == e.GetTerm() })
}

// resolve answers the proposals that waited at an applied index: with its results the one
// that this entry is; any other was overwritten by another leader's entry, and certainly never
// happens. The flights are not in order: after a leader lost its leadership and won it again,
// it may have flights of both its terms at one index, and older ones at higher indexes.
func (g *group) resolve(e *pb.Entry, replies []Reply) {
	kept := g.flights[:0]
	for _, f := range g.flights {
		switch {
		case f.index > e.GetIndex():
			kept = append(kept, f)
		case f.index < e.GetIndex():
			f.fail(g.h, kv.ErrUnknown()) // cannot be: its own index was applied before
		case f.term != e.GetTerm() || len(replies) != len(f.ops) && !f.shared:
			f.fail(g.h, kv.Errorf(kv.Unavailable, "partition %s changed its leader before the write was replicated", g.p))
		default:
			for i, op := range f.ops {
				r := replies[0]
				if !f.shared {
					r = replies[i]
				}
				receipt := kv.Receipt{Partition: g.p, Index: e.GetIndex()}
				r.Result.Receipt = receipt
				if r.Transaction != nil {
					r.Transaction.Receipt = receipt
				}
				g.h.reply(op, r)
			}
		}
	}
	clear(g.flights[len(kept):])
	g.flights = kept
}
