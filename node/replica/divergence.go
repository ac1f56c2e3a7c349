package replica

import (
	"slices"

	"pxkv/node/kv"
	"pxkv/persist/state"
)

// Replicas that have applied the same entries have the same state, unless memory, a disk or the
// program failed one of them. Each carries a running hash over its effects. A leader tells its own
// with each entry that it proposes, and with some of its heartbeats. Whoever sees that another one
// had a different hash at the same index knows that one of the two is wrong, and not which. It then
// is in doubt: it leads nobody to an answer, and asks all others of its group what theirs was at one
// index. Each judges itself alone:
//
//   - A majority of the voters had what this one has: it is right, and goes on.
//   - A majority had something else, all the same: it is the odd one out, and its state is void.
//     See void.go for what becomes of it.
//   - All have answered, and no majority agrees (with two voters it cannot): nobody knows who is
//     right. None serves, until an operator has decided.
//
// A hash that once differs does so at every later index, for each is made of the one before.

const (
	askTicks      = 3                 // between two questions of one in doubt
	patienceTicks = 5 * ElectionTicks // until an operator is told who does not answer
	checkTicks    = 64                // between two checks of a group in which nothing is written
	maxQuestions  = 32                // that wait until their index is applied
)

// appliedHash is the running hash after one index.
type appliedHash struct{ index, hash uint64 }

// doubt is what a replica knows that has seen another hash than its own.
type doubt struct {
	since   uint64      // tick
	own     appliedHash // what the others are asked for, and what it is here
	asked   uint64      // tick at which that was chosen
	answers []verdict
	told    bool // the operator, that nobody can decide yet
}

// verdict is what one replica had at the index that was asked for.
type verdict struct {
	id   kv.ReplicaID
	hash uint64
}

// question is what another replica had at an index that is not applied here yet.
type question struct {
	from    kv.ReplicaID
	theirs  appliedHash
	answers bool // it waits for an answer
}

// hashes are those that this replica had at the last indexes, and what others ask of later ones.
type hashes struct {
	ring      [hashHistory]appliedHash // by index
	questions []question               // about indexes that are not applied here yet
}

// at is the running hash that this replica had at an index, if it still knows.
func (h *hashes) at(index uint64) (hash uint64, ok bool) {
	at := h.ring[index%hashHistory]
	return at.hash, at.index == index && index != 0
}

// forget is for a state that another one replaces. Questions wait for its indexes.
func (h *hashes) forget() { h.ring = [hashHistory]appliedHash{} }

// wait keeps a question until its index is applied; one of each kind from each replica.
func (h *hashes) wait(q question) {
	h.questions = slices.DeleteFunc(h.questions, func(o question) bool {
		return o.from == q.from && o.answers == q.answers
	})
	if len(h.questions) < maxQuestions {
		h.questions = append(h.questions, q)
	}
}

func (g *group) remember(ap state.Applied) {
	g.hashes.ring[ap.Index%hashHistory] = appliedHash{ap.Index, ap.Hash}
	if len(g.hashes.questions) == 0 {
		return
	}
	questions := g.hashes.questions
	g.hashes.questions = nil
	for _, q := range questions {
		g.compare(q)
	}
}

// compare looks at what another replica had at an index: now, or when it is applied here.
func (g *group) compare(q question) {
	if g.trust.void || q.theirs.index == 0 || q.theirs.hash == 0 {
		return // it says nothing
	}
	own, ok := g.hashes.at(q.theirs.index)
	switch {
	case ok:
		if q.answers {
			g.say(q.from, Compared, appliedHash{q.theirs.index, own})
		}
		if own != q.theirs.hash {
			g.suspect()
		}
	case q.theirs.index > g.applied.Index:
		g.hashes.wait(q)
	}
}

func (g *group) say(to kv.ReplicaID, kind MessageKind, at appliedHash) {
	g.h.frames.add(g.known.node(to), &Message{
		Kind: kind, Partition: g.p, From: g.id, To: to, Index: at.index, Hash: at.hash,
	})
}

// checks reports whether a leader's heartbeats of this tick tell its hash, where it has applied all that
// is committed: soon after it came to lead, and now and then, for groups in which nothing is written.
func (g *group) checks() bool {
	now := g.h.clock.ticks
	return g.rest.on || now-g.raft.ledSince < 4*heartbeatTicks || (now+uint64(g.p))%checkTicks < heartbeatTicks
}

// suspect begins the doubt.
func (g *group) suspect() {
	if g.trust.doubt != nil || g.trust.void || divergedLeaderWins {
		return
	}
	g.doubtState()
	g.h.cfg.Logger.Warn("replicas of this partition differ; asking all of them which one is wrong, and serving "+
		"nothing of it meanwhile", "partition", g.p.String(), "replica", uint64(g.id), "index", g.applied.Index)
	g.ask()
}

// doubtState lets nobody have anything of a state that may be wrong.
func (g *group) doubtState() {
	g.setDoubt(&doubt{since: g.h.clock.ticks})
	g.endLease()
	g.reads.dropAll(g, g.disputed())
	g.h.shipping.hold(g)
}

// Differing lists, from any goroutine, the partitions of which this node's replica is in doubt, and
// those of which it is void.
func (h *Host) Differing() (inDoubt, void []kv.PartitionID) {
	t := h.groups.table.Load()
	for _, r := range append(slices.Clone(t.data), t.meta) {
		switch {
		case r == nil:
		case r.void.Load()%2 == 1:
			void = append(void, r.Partition)
		case r.doubt.Load():
			inDoubt = append(inDoubt, r.Partition)
		}
	}
	return inDoubt, void
}

// disputed is the answer to who asks a replica in doubt.
func (g *group) disputed() *kv.Error {
	return kv.Errorf(kv.Unavailable,
		"the replicas of partition %s differ, and it is not known yet which of them is right: see the log of its nodes",
		g.p)
}

// ask asks all others what their hash was. The index is the newest one here: those that are ahead
// still know it, and the others will come to it. It stays the same until all had time to answer.
func (g *group) ask() {
	d, now := g.trust.doubt, g.h.clock.ticks
	if d.own.index == 0 || now-d.asked >= 2*ElectionTicks && d.own.index != g.applied.Index {
		hash, ok := g.hashes.at(g.applied.Index)
		if !ok {
			return
		}
		d.own, d.asked, d.answers = appliedHash{g.applied.Index, hash}, now, nil
	}
	for _, r := range g.known.replicas {
		if r.ID != g.id {
			g.say(r.ID, Compare, d.own)
		}
	}
}

// hear takes what another replica says of its state.
func (g *group) hear(m Message) {
	if !g.trust.vouched || g.trust.rebuilding {
		return
	}
	g.wake()
	g.known.hear(m.From, m.FromNode, g.h.clock.Boot)
	if m.Kind != Void {
		g.known.void(m.From, 0) // one that is void compares nothing: it is rebuilt
	}
	switch m.Kind {
	case Compare:
		g.compare(question{m.From, appliedHash{m.Index, m.Hash}, true})
	case Compared:
		g.heardHash(m)
	case Void:
		g.heardVoid(m)
	}
}

// heardHash takes an answer.
func (g *group) heardHash(m Message) {
	d := g.trust.doubt
	if d == nil {
		g.compare(question{from: m.From, theirs: appliedHash{m.Index, m.Hash}})
		return
	}
	if m.Index == d.own.index && !slices.ContainsFunc(d.answers, func(v verdict) bool { return v.id == m.From }) {
		d.answers = append(d.answers, verdict{m.From, m.Hash})
		g.judge()
	}
}

// tickDoubt asks again, and judges anew: the configuration may have changed.
func (g *group) tickDoubt() {
	if g.trust.doubt == nil {
		return
	}
	if (g.h.clock.ticks-g.trust.doubt.since)%askTicks == 0 {
		g.ask()
	}
	g.judge()
}

// judge decides what follows from the answers so far.
func (g *group) judge() {
	d := g.trust.doubt
	conf := g.applied.Conf
	had := func(id uint64) (uint64, bool) {
		if id == uint64(g.id) {
			return d.own.hash, true
		}
		i := slices.IndexFunc(d.answers, func(v verdict) bool { return uint64(v.id) == id })
		if i < 0 {
			return 0, false
		}
		return d.answers[i].hash, true
	}
	majority := func(has func(id uint64) bool) bool {
		for _, voters := range [][]uint64{conf.GetVoters(), conf.GetVotersOutgoing()} {
			n := 0
			for _, id := range voters {
				if has(id) {
					n++
				}
			}
			if len(voters) > 0 && n <= len(voters)/2 {
				return false
			}
		}
		return true
	}
	agreed := func(hash uint64) bool {
		return majority(func(id uint64) bool { h, ok := had(id); return ok && h == hash })
	}
	var differ, silent []string // nodes
	for _, r := range g.known.replicas {
		switch h, ok := had(uint64(r.ID)); {
		case g.isVoid(r.ID):
		case !ok && (slices.Contains(conf.GetVoters(), uint64(r.ID)) ||
			slices.Contains(conf.GetVotersOutgoing(), uint64(r.ID))):
			silent = append(silent, g.h.cfg.Names.Of(r.Node))
		case ok && h != d.own.hash:
			differ = append(differ, g.h.cfg.Names.Of(r.Node))
		}
	}
	waited := g.h.clock.ticks - d.since
	// Whoever is void already, by its own judgement or an operator's, does not contradict. All others had the time
	// for that: one of them has caused the doubt.
	undisputed := waited >= askTicks && len(differ) == 0 && majority(func(id uint64) bool {
		h, ok := had(id)
		return ok && h == d.own.hash || g.isVoid(kv.ReplicaID(id))
	})
	log := g.h.cfg.Logger.With("partition", g.p.String(), "replica", uint64(g.id), "index", d.own.index)
	switch {
	case agreed(d.own.hash), undisputed:
		// A leader is waited for. Any other goes on asking for a while, so that those who are wrong
		// surely hear of it.
		if g.leads() || len(silent) == 0 || waited >= patienceTicks {
			g.setDoubt(nil)
			log.Warn("this replica is right: a majority agrees with it", "wrong", differ, "silent", silent)
		}
	case slices.ContainsFunc(d.answers, func(v verdict) bool { return agreed(v.hash) }):
		g.condemn()
	case d.told || len(silent) > 0 && waited < patienceTicks:
	case len(silent) == 0:
		d.told = true
		log.Error("replicas of this partition differ, and no majority of them agrees, so nobody can know which one "+
			"is right: none of them serves until you have decided and given one up with \"pxkv rebuild\"; do not "+
			"delete any data directory, and see \"Replicas differ\" in docs/operations.md", "differ", differ)
	default:
		d.told = true
		log.Error("replicas of this partition differ, and too few of them answer to know which one is right: none of "+
			"them serves until the others are back; start their nodes, and do not delete any data directory", "differ",
			differ, "silent", silent)
	}
}
