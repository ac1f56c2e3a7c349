package replica

import (
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

const (
	crowdedShare  = 16            // of the limit is kept of a log when the disk is full
	probeTicks    = ElectionTicks // between two probes of a replica that may be obsolete
	truncateTicks = 5             // between two looks at a group's log size
	purgeTicks    = 8             // between two looks at what has expired
	measureTicks  = 7             // between two looks at all groups for the sake of gauges, half a second
)

// tick lets time pass for every group, once. A tick that follows its predecessor too closely
// is dropped: after a stall a ticker delivers one at once and the next on schedule, and an
// election must not come earlier than leases assume.
func (h *Host) tick() {
	if h.clock.sinceTick() < h.cfg.Tick*9/10 {
		return
	}
	h.steadiness.measure(h)
	h.clock.tick()
	h.tickRecall()
	h.tickRest()
	h.tickGroups()
	if h.clock.ticks%purgeTicks == 0 {
		h.purge()
	}
	h.shipping.tick()
	if h.departure.asked || h.diskHangs() && !slowDiskLeads {
		h.handOver()
	}
	if h.cfg.OnTick != nil {
		h.cfg.OnTick(h)
	}
	if h.clock.ticks%measureTicks == 0 {
		h.stats.measure(h)
	}
}

// tick lets time pass for a group. One that rests has many times fewer ticks.
func (g *group) tick() {
	h := g.h
	if !g.trust.vouched || g.trust.rebuilding {
		h.groups.mark(g)
		return
	}
	now := h.clock.ticks + uint64(g.p) // so that not all groups do at once what is done now and then
	if now%probeTicks == 0 {
		g.probe()
	}
	g.rests()
	h.groups.look(g)
	g.tickDoubt()
	if g.trust.void {
		g.tickVoid()
	}
	g.raft.Tick()
	g.renewLease()
	g.abandon()
	if g.leads() {
		g.time() // so that it follows the wall clock, and readers know it
		g.followed()
	}
	if (g.conf.pending || g.conf.moving) && h.clock.ticks-g.conf.since > confPatience {
		g.conf = confState{}
	}
	if now%truncateTicks == 0 {
		g.truncate()
	}
}

// TickLength is how far apart the ticks are that the driver gives it.
func (h *Host) TickLength() time.Duration { return h.cfg.Tick }

// Ticks returns how many ticks have passed.
func (h *Host) Ticks() uint64 { return h.clock.ticks }

// Now returns the time of the turn that is under way.
func (h *Host) Now() Now { return h.clock.Now }

// truncate cuts the log when it has grown too large, never above what is applied, nor above what the
// library knows to be applied: it hears that of all entries which it handed out together, perhaps some
// turns later, and looks once more at those that it takes for unapplied before it campaigns. While a
// follower that is alive still needs entries they are kept, up to four times the limit: after
// that it gets a snapshot.
func (g *group) truncate() {
	if g.trust.doubt != nil {
		return // who is behind can say which replica is right as long as it catches up from the log
	}
	size, limit := g.store.LogBytes(), g.h.cfg.Limits.logBytes(len(g.h.groups.ordered))
	if g.h.cfg.DB.Crowded() {
		limit /= crowdedShare
	}
	if size <= limit {
		return
	}
	first, _ := g.store.FirstIndex()
	last := g.lastIndex()
	applied := g.applied.Index
	if !logCutAhead {
		applied = min(applied, g.raft.BasicStatus().Applied)
	}
	if applied <= first {
		return
	}
	// Keep about a quarter of the limit for followers that are only a little behind.
	keep := uint64(limit/4) * (last - first + 1) / uint64(size)
	to := applied - min(keep, applied-first)
	if g.leads() {
		to = g.keepForFollowers(to, size, limit)
	}
	if to <= first {
		return
	}
	if err := g.h.job().batch.Truncate(g.store, to); err != nil {
		g.h.fail(err)
	}
}

// keepForFollowers holds back what followers that are alive still need: up to four times the
// limit. For one that a snapshot is on its way to, or that catches up after one, it is sixteen times,
// or as much as the snapshot has: without the log behind it a snapshot is worth nothing, and as long
// as the log is no longer than what was sent, a follower that gets more than is written catches
// up. Nothing is kept for one that waits for its snapshot or cannot be sent any.
func (g *group) keepForFollowers(to uint64, size, limit int64) uint64 {
	progress, _ := g.h.Progress(g.p)
	for id, pr := range progress {
		f := g.h.shipping.of(g, id)
		switch {
		case id == g.id || !pr.Active:
		case snapshotLogNotKept && f != nil:
		case f != nil && f.stage >= underWay:
			// What counts is the log behind this one: the rest may be there for another that is filled as well.
			if from := max(f.index, pr.Match); f.bytesBehind(from) < max(16*limit, f.carried) {
				to = min(to, from)
			}
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
	for _, r := range g.known.replicas {
		if !asked[r.Node] {
			asked[r.Node] = true
			g.h.frames.add(r.Node, m)
		}
	}
	for _, n := range append(g.h.cfg.Policy.Nodes(g.p), g.known.caller) {
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
	out := func() bool {
		conf := g.applied.Conf
		if goneBeforeJointLeft {
			conf = &pb.ConfState{Voters: conf.GetVoters(), Learners: conf.GetLearners()}
		}
		return g.ready() && !InConf(conf, m.From) && m.From != g.id
	}
	if !out() || g.known.probed == g.h.clock.ticks {
		return // one barrier a tick is enough for all who ask
	}
	g.known.probed = g.h.clock.ticks
	tell := func(r entry.Reply) {
		if r.Err == nil && out() {
			g.h.frames.add(m.FromNode, &Message{Kind: Gone, Partition: g.p, From: g.id, To: m.From})
		}
	}
	if goneTooEarly {
		tell(entry.Reply{})
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
