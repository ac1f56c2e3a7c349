package replica

import (
	"pxkv/node/kv"
)

const (
	probeTicks    = ElectionTicks // between two probes of a replica that may be obsolete
	truncateTicks = 5             // between two looks at a group's log size
	purgeTicks    = 8             // between two looks at what has expired
)

// tick lets time pass for every group, once. A tick that follows its predecessor too closely
// is dropped: after a stall a ticker delivers one at once and the next on schedule, and an
// election must not come earlier than leases assume.
func (h *Host) tick() {
	if h.now.Boot-h.lastTick < h.cfg.Tick*9/10 {
		return
	}
	h.lastTick = h.now.Boot
	h.ticks++
	// The list changes while it is walked when a replica is deleted.
	for _, g := range append([]*group(nil), h.ordered...) {
		g.rn.Tick()
		h.markDirty(g)
		g.renewLease()
		if g.leads() {
			g.time() // so that it follows the wall clock, and readers know it
		}
		if (g.conf.pending || g.conf.moving) && h.ticks-g.conf.since > confPatience {
			g.conf = confState{}
		}
		if (h.ticks+uint64(g.p))%truncateTicks == 0 {
			g.truncate()
		}
		if (h.ticks+uint64(g.p))%probeTicks == 0 {
			g.probe()
		}
	}
	if h.ticks%purgeTicks == 0 {
		h.purge()
	}
	if h.draining {
		h.handOver()
	}
	if h.cfg.OnTick != nil {
		h.cfg.OnTick(h)
	}
	h.stats.measure(h)
}

// Ticks returns how many ticks have passed.
func (h *Host) Ticks() uint64 { return h.ticks }

// Now returns the time of the turn that is under way.
func (h *Host) Now() Now { return h.now }

// truncate cuts the log when it has grown too large, never above what is applied. While a
// follower that is alive still needs entries they are kept, up to four times the limit: after
// that it gets a snapshot.
func (g *group) truncate() {
	size, limit := g.store.LogBytes(), g.h.logLimit()
	if size <= limit {
		return
	}
	first, _ := g.store.FirstIndex()
	last, _ := g.store.LastIndex()
	applied := g.applied.Index
	if applied <= first {
		return
	}
	// Keep about a quarter of the limit for followers that are only a little behind.
	keep := uint64(limit/4) * (last - first + 1) / uint64(size)
	to := applied - min(keep, applied-first)
	if g.leads() {
		to = g.keepForFollowers(to, size)
	}
	if to <= first {
		return
	}
	if err := g.h.job().batch.Truncate(g.store, to); err != nil {
		g.h.fail(err)
	}
}

// logLimit is the size in bytes at which a group's log is cut.
func (h *Host) logLimit() int64 {
	if h.cfg.LogBytes != 0 {
		return h.cfg.LogBytes
	}
	return min(max(nodeLogBytes/int64(len(h.ordered)), leastLogBytes), mostLogBytes)
}

// keepForFollowers holds back what followers that are alive still need: up to four times the
// limit, and sixteen times while a snapshot is on its way, which is worth nothing when the log
// after it is gone by the time it arrives.
func (g *group) keepForFollowers(to uint64, size int64) uint64 {
	limit := g.h.logLimit()
	progress, _ := g.h.Progress(g.p)
	for id, pr := range progress {
		switch {
		case id == g.id || !pr.Active:
		case pr.Snapshot > 0 && size < 16*limit:
			to = min(to, pr.Snapshot)
		case pr.Snapshot == 0 && size < 4*limit:
			to = min(to, pr.Match)
		}
	}
	return to
}

// probe asks whether this replica is still wanted, when the placement does not name it.
func (g *group) probe() {
	if g.leads() || !g.unwanted() {
		return
	}
	asked := map[kv.NodeID]bool{g.h.cfg.Node: true, 0: true}
	m := &Message{Kind: Probe, Partition: g.p, From: g.id}
	for _, r := range g.replicas {
		if !asked[r.Node] {
			asked[r.Node] = true
			g.h.frames.add(r.Node, m)
		}
	}
	for _, n := range g.h.cfg.Policy.Nodes(g.p) {
		if !asked[n] {
			asked[n] = true
			g.h.frames.add(n, m)
		}
	}
}

// answerProbe tells a replica that it is out of the configuration, so that it may delete
// itself. Only a leader that a majority has just confirmed knows that: an older configuration
// may have forgotten, or not yet met, the asker.
//
// And only when the asker can no longer be needed. Whoever crashes may have forgotten that the
// joint configuration was left, and then cannot be elected without the replicas that went. So
// the confirmation is a barrier: an entry proposed after the configuration was applied. Every
// replica that acknowledges it wrote, in the same batch, a commit index that covers the change.
// When it is committed, a majority of the present voters will remember.
func (g *group) answerProbe(m Message) {
	out := func() bool { return g.ready() && !InConf(g.applied.Conf, m.From) && m.From != g.id }
	if !out() || g.probed == g.h.ticks {
		return // one barrier a tick is enough for all who ask
	}
	g.probed = g.h.ticks
	tell := func(r Reply) {
		if r.Err == nil && out() {
			g.h.frames.add(m.FromNode, &Message{Kind: Gone, Partition: g.p, From: g.id, To: m.From})
		}
	}
	if planted.goneTooEarly {
		tell(Reply{})
		return
	}
	g.h.Propose(Op{Partition: g.p, Reply: tell})
}

// heardGone deletes a replica that neither its group nor the placement knows any more.
func (g *group) heardGone() {
	if g.unwanted() {
		g.h.destroy(g)
	}
}

// unwanted reports whether the placement does not name this replica any more. One that this
// node's placement has not heard of yet is not meant: that placement is too old to judge, and an
// id that was once deleted here is of no use to the newer one.
func (g *group) unwanted() bool {
	return g.h.cfg.Policy.Issued(g.id) && !g.h.cfg.Policy.Assigned(g.p, g.id)
}

// Drain hands every leadership of this node over, and every one that it gains meanwhile.
func (h *Host) Drain() { h.draining = true }

// Leading counts the groups that this node leads and that have another voter to lead them.
func (h *Host) Leading() int {
	n := 0
	for _, g := range h.ordered {
		if g.leads() && len(g.applied.Conf.GetVoters()) > 1 {
			n++
		}
	}
	return n
}

// Awaited counts the groups that another replica leads by now and whose log holds writes
// that were proposed here: their outcome will be learned as soon as they are applied here.
func (h *Host) Awaited() int {
	n := 0
	for _, g := range h.ordered {
		if !g.leads() && len(g.flights) > 0 {
			n++
		}
	}
	return n
}

// handOver asks the best follower of each led group to take over.
func (h *Host) handOver() {
	for _, g := range h.ordered {
		if !g.leads() || g.conf.moving {
			continue
		}
		progress, _ := h.Progress(g.p)
		var best kv.ReplicaID
		for _, id := range g.applied.Conf.GetVoters() {
			pr := progress[kv.ReplicaID(id)]
			if kv.ReplicaID(id) != g.id && g.answers(kv.ReplicaID(id)) && pr.Snapshot == 0 && (best == 0 || pr.Match > progress[best].Match) {
				best = kv.ReplicaID(id)
			}
		}
		if best != 0 {
			_ = h.Transfer(g.p, best)
		}
	}
}
