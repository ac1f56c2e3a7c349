package replica

import (
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/state"
)

// applying is what a turn makes of committed entries, and what it leaves to later ones.
type applying struct {
	batch   *data.Apply // the effects so far; nil: none
	touched []*group    // have effects in it
	queue   []*group    // have entries to apply, in this order
	spent   int         // bytes of entries applied in this turn, and of values that they touched
}

// next takes the group out of the queue whose turn it is.
func (a *applying) next() *group {
	g := a.queue[0]
	a.queue = a.queue[1:]
	return g
}

// drop forgets what a group has to apply.
func (a *applying) drop(g *group) { a.queue = deleteGroup(a.queue, g) }

// mayApply reports whether something is to be applied, and this turn may still begin it.
func (h *Host) mayApply() bool { return len(h.applying.queue) > 0 && h.roomToApply() }

func (h *Host) roomToApply() bool { return h.applying.spent <= h.cfg.Limits.ApplyBytes }

// queueApply takes entries to apply, as soon as a turn has room for them.
func (g *group) queueApply(m *pb.Message) {
	if g.trust.void {
		g.passOver(m)
		return
	}
	if snapshotOverBudget {
		g.applyEntries(m, true)
		return
	}
	if len(g.work.committed) == 0 {
		g.h.applying.queue = append(g.h.applying.queue, g)
	}
	g.work.committed = append(g.work.committed, m)
}

// applyCommitted applies what is queued: all of it, or as much as the turn has room for, one entry at
// least. What is left waits behind the other groups.
func (g *group) applyCommitted(all bool) {
	h := g.h
	for len(g.work.committed) > 0 && h.err == nil && (all || h.roomToApply()) {
		m := g.work.committed[0]
		if g.applyEntries(m, all); len(m.Entries) == 0 && len(g.work.committed) > 0 { // else it is void now
			g.work.committed = g.work.committed[1:]
		}
	}
	if len(g.work.committed) > 0 {
		h.applying.queue = append(h.applying.queue, g)
		return
	}
	g.work.committed = nil
	h.groups.mark(g) // there may be more, now that room was made
}

// applyEntries executes committed entries into the turn's apply batch, and takes them out of m: all, or
// as many as the turn has room for, but one at least. When none is left the library hears that they are
// applied.
func (g *group) applyEntries(m *pb.Message, all bool) {
	h := g.h
	if h.applying.batch == nil {
		h.applying.batch = h.cfg.DB.NewApply()
	}
	ap, wasReady := g.applied, g.ready()
	for n := 0; len(m.Entries) > 0 && (all || n == 0 || h.roomToApply()); n++ {
		e := m.Entries[0]
		if confTwice && e.GetIndex() == ap.Index && e.GetType() == pb.EntryConfChangeV2 {
			ap.Index--
		}
		if e.GetIndex() != ap.Index+1 {
			h.fail(fmt.Errorf("partition %s: entry %d follows applied index %d", g.p, e.GetIndex(), ap.Index))
			return
		}
		ap.Index, ap.Term = e.GetIndex(), e.GetTerm()
		out, err := g.applyEntry(&ap, e)
		if err != nil && g.damaged(e.GetIndex(), err) {
			return
		}
		if err != nil {
			h.fail(fmt.Errorf("partition %s, index %d: %w", g.p, e.GetIndex(), err))
			return
		}
		g.applied = ap
		m.Entries = m.Entries[1:]
		h.applying.spent += len(e.GetData()) + 64 + int(out.Touched)
		h.stats.Applied.Add(1)
		h.stats.Touched.Add(out.Touched)
		g.remember(ap)
		g.resolve(e, out.Replies)
	}
	h.applying.batch.SetApplied(g.store, ap)
	g.touch()
	g.news.due = g.news.due || !wasReady && g.ready()
	if len(m.Entries) == 0 {
		for _, r := range m.Responses {
			_ = g.raft.Step(r)
		}
		g.takeOver()
		g.appliedNews()
	}
	g.reads.applied(g, ap.Index)
	if g.reads.queued() {
		h.groups.mark(g)
	}
}

func (g *group) applyEntry(ap *state.Applied, e *pb.Entry) (entry.Outcome, error) {
	switch {
	case e.GetType() == pb.EntryConfChangeV2:
		return entry.Outcome{}, g.applyConf(ap, e)
	case e.GetType() != pb.EntryNormal:
		return entry.Outcome{}, fmt.Errorf("%w: entry type %v", entry.ErrUnreadable, e.GetType())
	case len(e.GetData()) == 0:
		return entry.Outcome{}, nil // a new leader's first entry
	}
	payload, err := entry.Decode(e.GetData())
	if err != nil {
		return entry.Outcome{}, err
	}
	if own, ok := g.hashes.at(payload.CheckIndex); ok && own != payload.CheckHash {
		if divergedLeaderWins {
			return entry.Outcome{}, fmt.Errorf("this replica differs from its leader at index %d (hash %016x here, "+
				"%016x there)", payload.CheckIndex, own, payload.CheckHash)
		}
		g.suspect()
	}
	ap.TimeMS = max(ap.TimeMS, payload.TimeMS)
	switch {
	case payload.Barrier:
		return entry.Outcome{Replies: []entry.Reply{{}}}, nil
	case payload.PurgeMS != 0:
		return entry.Outcome{Replies: []entry.Reply{{}}}, g.applyPurge(ap, &payload)
	}
	return g.machine.Apply(g.h.applying.batch, g.p, ap, &payload, g.writes.awaits(e))
}

// touch notes that the group has effects in the turn's apply batch.
func (g *group) touch() {
	if !g.work.touched {
		g.work.touched = true
		g.h.applying.touched = append(g.h.applying.touched, g)
	}
}

// publishApplied follows when they can be read.
func (g *group) publishApplied() {
	g.work.touched = false
	g.publish()
	g.handle.ended.Add(1)
	g.machine.Committed()
}

// commitApply makes the effects gathered so far readable.
func (h *Host) commitApply() {
	a := h.applying.batch
	if h.err != nil || a == nil {
		return
	}
	h.applying.batch = nil
	for _, g := range h.applying.touched {
		g.handle.begun.Add(1)
		g.handle.shows(g.applied.Index)
	}
	// Between Begin and End the cache neither keeps nor serves these keys: a reader that saw
	// the new value must not be followed by one that sees the old.
	a.Touched(func(p kv.PartitionID, key []byte, _ *data.Record) { h.cfg.Cache.Begin(p, key) })
	err := a.Commit()
	a.Touched(func(p kv.PartitionID, key []byte, now *data.Record) {
		var it *kv.Item
		// What is packed is unpacked by the first read: the turn does not wait for that.
		kept := err == nil && now != nil && now.Value.Packing == kv.NotPacked
		if g := h.groups.of[p]; kept && g != nil && g.leads() {
			it = new(now.Item())
		}
		h.cfg.Cache.End(p, key, it)
	})
	if err != nil {
		h.fail(fmt.Errorf("apply committed entries: %w", err))
		return
	}
	for _, g := range h.applying.touched {
		g.publishApplied()
	}
	clear(h.applying.touched)
	h.applying.touched = h.applying.touched[:0]
}
