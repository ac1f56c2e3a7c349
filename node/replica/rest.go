package replica

import (
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"pxkv/node/kv"
)

// A group in which nothing happens rests: its time goes slower. The library gets one tick in restTicks, on the leader
// and on its followers alike, so that all that it counts in ticks stays in proportion, and there are as many times
// fewer heartbeats. Else a node with a thousand idle groups would do nothing but hear from each of them, seven times a
// second, that it is idle.
//
// A leader of whose group nothing was wanted for a while says with its heartbeats that it would rest. Each follower
// that has all that there is agrees with its answer, and rests itself. The leader rests when all have agreed. A node
// whose version knows of no rest reads over the question, never agrees, and so keeps its groups awake.
//
// What its heartbeats told the others beside that is told from node to node meanwhile: Liveness, as often as a group
// that is awake has heartbeats, to whom nothing else is said. So whoever is lost is missed as soon, and all that rests
// on it wakes.
//
// Anything wakes a group: a write, a read, a change of its replicas, any other word of any of them, all for which a
// turn has something to do. Nothing that is promised rests on it: leases and votes go by the time of the clock, and a
// group that rests has no lease. A follower that should be awake and is not (what woke the leader was lost on its way,
// say) is so for restsFor at most.

const (
	// DefaultRestAfter is how many ticks nothing must have happened in a group before it rests.
	DefaultRestAfter = 3 * ElectionTicks
	// restTicks is how many ticks pass for one of a resting group.
	restTicks = 32
	// restPhases is in how many of those ticks some groups have theirs: in few, since a tick in which nothing is said
	// costs nobody anything, and in some, so that not all is said at once.
	restPhases = 4
	// restsFor is how many ticks a follower rests after its leader last asked it to. The next heartbeat may be late, by
	// as much as its node loses of its ticks under load (see Host.tick), or be lost. That none has come is noticed with
	// the next slow tick.
	restsFor = 2*heartbeatTicks*restTicks + ElectionTicks
)

// rest is what a group knows of its rest.
type rest struct {
	on    bool
	awake bool   // it is among those in groups.awake, also when it rests since this tick
	since uint64 // tick at which something last happened
	until uint64 // tick up to which a follower may rest, as its leader said; 0: it has not said that it rests
	// What was so at the last look.
	term, last uint64
	lead       kv.ReplicaID
}

// resting is what a Host knows of its groups that rest.
type resting struct {
	// nodes are those that they need: they are told that this one is there, and their silence wakes. Now and then they
	// are gathered anew, so that there may be some more.
	nodes []needed
	asked atomic.Bool // a reader found a state that is old: see Handle.asked
}

// needed is a node that a group at rest needs.
type needed struct {
	node kv.NodeID
	told uint64 // tick in which it was last told anything
	live bool   // namely, that this node is there
	says bool   // that is being said in this turn
}

// due reports whether it is to be told that this node is there. Where something else is said from time to time, as the
// answers to a heartbeat, that may be so in this tick as well: it is waited for.
func (n *needed) due(tick uint64) bool {
	return tick-n.told >= heartbeatTicks && n.live || tick-n.told > heartbeatTicks
}

// told notes who was told something in a turn.
func (r *resting) told(frames []Frame, tick uint64) {
	for i := range r.nodes {
		n := &r.nodes[i]
		if slices.ContainsFunc(frames, func(f Frame) bool { return f.To == n.node }) {
			n.told, n.live = tick, n.says
		}
		n.says = false
	}
}

// stir notes that something has happened, so that the group is awake.
func (g *group) stir() {
	g.rouse()
	g.rest.since, g.rest.until = g.h.clock.ticks, 0
	for i := range g.known.infos {
		g.known.infos[i].rests = false
	}
}

// rouse ends the rest here.
func (g *group) rouse() {
	if !g.rest.on {
		return
	}
	g.rest.on = false
	g.h.groups.isAwake(g)
	if !g.leads() {
		return
	}
	for i := range g.known.infos { // they were heard when their nodes were
		r := &g.known.infos[i]
		if at, ok := g.h.recall.heard[r.node]; ok && r.spoke {
			r.heard = max(r.heard, at)
		}
	}
}

// wake is stir for what the leader may not know of: a follower that has said that it rests tells it that it does not,
// so that there are heartbeats for it. It is called for all that makes work for a group (see groups.mark).
func (g *group) wake() {
	if g.rest.until != 0 && g.raft.lead != 0 && g.raft.lead != g.id {
		g.say(g.raft.lead, Awake, appliedHash{})
	}
	g.stir()
}

// wakeBy is wake for what another replica said: the leader of the present knows what it has said itself. Whoever was it
// once does not speak for it.
func (g *group) wakeBy(from kv.ReplicaID, present bool) {
	if present && from == g.raft.lead {
		g.stir()
	} else {
		g.wake()
	}
}

// release wakes the followers of a leader that leads no more, and knows of none that does: they would wait for its next
// heartbeat.
func (g *group) release() {
	for _, r := range g.known.infos {
		if r.rested {
			g.say(r.id, Awake, appliedHash{})
		}
	}
}

// tickGroups lets time pass for all groups that are awake, and for those at rest whose turn it is.
func (h *Host) tickGroups() {
	// The list changes while it is walked, as groups fall asleep, wake and are deleted.
	h.groups.walked = append(h.groups.walked[:0], h.groups.awake...)
	const every = restTicks / restPhases
	if h.clock.ticks%every == 0 {
		phase := h.clock.ticks / every % restPhases
		for p := kv.PartitionID(phase); int(p) < h.groups.size(); p += restPhases {
			if g := h.groups.of[p]; g != nil && g.rest.on {
				g.tick()
			}
		}
	}
	for _, g := range h.groups.walked {
		g.tick()
	}
	clear(h.groups.walked)
	h.groups.awake = slices.DeleteFunc(h.groups.awake, func(g *group) bool {
		g.rest.awake = !g.rest.on
		return g.rest.on
	})
}

// tickRest wakes those who have lost somebody, or are asked how old they are, and keeps up what lets others rest.
func (h *Host) tickRest() {
	r := &h.resting
	r.nodes = slices.DeleteFunc(r.nodes, func(n needed) bool {
		if !h.misses(n.node) || sleepsOn {
			return false
		}
		h.wakeThose(func(g *group) bool { return g.rest.on && slices.Contains(g.needs(), n.node) })
		return true
	})
	if r.asked.Swap(false) {
		h.wakeThose(func(g *group) bool { return g.handle.asked.Swap(false) })
	}
	if h.clock.ticks%restTicks == 0 {
		r.nodes = nil
		for _, g := range h.groups.ordered {
			if g.rest.on {
				h.rest(g)
			}
		}
	}
	for i := range r.nodes {
		if n := &r.nodes[i]; n.due(h.clock.ticks) {
			n.says = true
			h.frames.add(n.node, &Message{Kind: Liveness})
		}
	}
}

// wakeThose wakes some groups.
func (h *Host) wakeThose(which func(*group) bool) {
	for _, g := range h.groups.ordered {
		if which(g) {
			g.wake()
		}
	}
}

// AllRest reports whether no group rests less than it may: only the meta group never does. woken tells whether one was
// awake in between.
func (h *Host) AllRest() (rest bool, woken uint64) {
	return !slices.ContainsFunc(h.groups.awake, func(g *group) bool { return g.p != kv.Meta }), h.groups.woken
}

// misses reports whether another node has fallen silent.
func (h *Host) misses(node kv.NodeID) bool {
	heard, ok := h.steadiness.heard[node]
	return !ok || h.clock.ticks-heard > answerTicks || h.failover.has(node)
}

// needs lists the nodes of which a group at rest needs to hear: those of all others a leader, the leader's a follower.
func (g *group) needs() (nodes []kv.NodeID) {
	for _, r := range g.known.replicas {
		if r.ID != g.id && (g.leads() || r.ID == g.raft.lead) {
			nodes = append(nodes, r.Node)
		}
	}
	return nodes
}

// rest notes on whom a group that rests depends.
func (h *Host) rest(g *group) {
	for _, n := range g.needs() {
		if !slices.ContainsFunc(h.resting.nodes, func(known needed) bool { return known.node == n }) {
			h.resting.nodes = append(h.resting.nodes, needed{node: n})
		}
	}
}

// rests looks, with each of its ticks, whether the group rests.
func (g *group) rests() bool {
	switch {
	case g.isBusy(), g.rest.on && g.leads() && g.lacksAnswers():
		g.wake()
	case g.rest.on && g.leads():
	case agreesAndStaysAwake && !g.leads() && g.h.clock.ticks < g.rest.until:
	case g.leads() && g.offersRest() && g.allRest(), !g.leads() && g.h.clock.ticks < g.rest.until:
		g.rest.on = true
		g.h.rest(g)
	case g.rest.until != 0:
		g.wake()
	}
	return g.rest.on
}

// isBusy reports whether something has happened in the group since the last look, or is under way.
func (g *group) isBusy() bool {
	r, last := &g.rest, g.lastIndex()
	if g.raft.term != r.term || g.raft.lead != r.lead || last != r.last {
		r.term, r.lead, r.last = g.raft.term, g.raft.lead, last
		return true
	}
	switch conf := g.applied.Conf; {
	case g.p == kv.Meta, g.raft.lead == 0, g.raft.commit != last, g.applied.Index != last:
	case len(conf.GetVotersOutgoing()) > 0, g.conf.pending, g.conf.moving, g.takeover.m != nil:
	case g.trust.void, g.trust.doubt != nil, g.incoming.busy():
	case g.reads.count > 0, len(g.writes.flights) > 0, g.purging.underWay:
	case g.handle.leaseUntil.Load() > int64(g.h.clock.Boot):
	case g.leads() && (g.h.departure.asked || g.h.diskHangs()):
	case g.unwanted():
	default:
		return false
	}
	return true
}

// offersRest reports whether a leader asks its followers to rest.
func (g *group) offersRest() bool {
	return g.leads() && g.h.clock.ticks-g.rest.since >= uint64(g.h.cfg.RestAfter) && g.rest.last == g.raft.commit
}

// allRest reports whether all the others have said so, and none of them lacks anything.
func (g *group) allRest() bool {
	for i := range g.known.infos {
		if r := &g.known.infos[i]; r.id != g.id && !r.rests && InConf(g.applied.Conf, r.id) {
			return false
		}
	}
	whole := true
	g.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		whole = whole && (kv.ReplicaID(id) == g.id || pr.State == tracker.StateReplicate && pr.Match == g.rest.last)
	})
	return whole
}

// lacksAnswers reports whether a replica has not answered three heartbeats of this leader at rest, though its node is
// there.
func (g *group) lacksAnswers() bool {
	return slices.ContainsFunc(g.known.infos, func(r replicaInfo) bool {
		return r.id != g.id && InConf(g.applied.Conf, r.id) &&
			g.h.clock.Boot-r.heard > answerTicks*restTicks*g.h.cfg.Tick
	})
}

// heardRest takes what a heartbeat, or the answer to one, says of rest.
func (g *group) heardRest(m Message) {
	if g.leads() {
		if m.Raft.GetTerm() != g.raft.term {
			return // it agreed with a former leader, or knows of a later one
		}
		if r := g.known.find(m.From); r != nil {
			r.rests, r.rested = m.Rests && g.offersRest(), m.Rests
		}
		if !m.Rests && g.rest.on {
			g.stir()
		}
		return
	}
	last := g.lastIndex()
	if !m.Rests || m.From != g.raft.lead || m.Raft.GetTerm() != g.raft.term || g.raft.role != raft.StateFollower ||
		m.Committed != last || g.raft.commit != last || g.applied.Index != last {
		g.rest.until = 0
		g.rouse()
		return
	}
	g.rest.until = g.h.clock.ticks + restsFor
}

// since returns how long ago a replica was heard; false: never. Of one that rests its node tells.
func (g *group) since(id kv.ReplicaID) (time.Duration, bool) {
	ago, ok := g.known.since(id, g.h.clock.Boot)
	if ok && g.rest.on && g.leads() {
		if at, heard := g.h.recall.heard[g.known.node(id)]; heard {
			ago = min(ago, g.h.clock.Boot-at)
		}
	}
	return ago, ok
}
