package replica

import (
	"cmp"
	"math"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// When a process dies, its connections break at once. Its followers need not wait then until random election
// timeouts have passed. Each forgets its leader, so that the library lets it grant votes, and one of them stands for
// election as soon as no promise to that leader binds it any more (see mayVote). That the leader lives after all
// does no harm: the others, which hear it, grant no votes, and its next word makes the follower follow again.
//
// All groups that a node led lose it in one moment. So that votes do not split, the live voters of a group stand one
// after the other, in ring order; and a node stands for a bounded number of groups at a time.

const (
	// turnTicks is how much later than the one before it a voter stands, in ring order.
	turnTicks = 2
	// votingTicks is how long the answer to whoever has asked for votes is awaited.
	votingTicks = 3
	// orphanTicks is for how long a group asks for votes by this. From then on, as before, it is what the library
	// draws: whoever could be elected at once has been.
	orphanTicks = 2 * ElectionTicks
)

// failover are the groups here whose leader was lost with its node, and that know of no other yet.
type failover struct {
	lost    map[kv.NodeID]Disconnection // nothing was heard since
	orphans []*group                    // those that have asked for votes last are last
}

// orphan is what a group remembers since it lost its leader.
type orphan struct {
	since uint64        // tick
	term  uint64        // as it was at the last look
	until time.Duration // boot time up to which it waits for others
	asked uint64        // tick at which it last asked for votes
	asks  bool          // asked is valid
}

// hear notes that a node is there.
func (f *failover) hear(node kv.NodeID) {
	if len(f.lost) > 0 {
		delete(f.lost, node)
	}
}

// lose notes that the connection with a node broke.
func (f *failover) lose(d Disconnection) {
	if f.lost == nil || len(f.lost) >= maxHeard {
		f.lost = map[kv.NodeID]Disconnection{}
	}
	f.lost[d.Node] = d
}

// has reports whether the connection with a node broke, and nothing was heard of it since.
func (f *failover) has(node kv.NodeID) bool { _, lost := f.lost[node]; return lost }

// disconnected takes the leaders on a node for lost.
func (h *Host) disconnected(d Disconnection) {
	h.unreachable(d.Node)
	h.failover.lose(d)
	n := 0
	for _, g := range h.groups.ordered {
		if g.trust.vouched && !g.trust.rebuilding && g.loseLeader(d.Node) {
			n++
		}
	}
	if n > 0 {
		h.cfg.Logger.Info("the connection with the leader of some groups broke: they look for another one", "node",
			h.cfg.Names.Of(d.Node), "groups", n)
	}
}

// loseLeader makes an orphan of a group that follows a leader on a node, and reports whether it does.
func (g *group) loseLeader(node kv.NodeID) bool {
	s := g.raft.BasicStatus() // a message of this turn may have told of another one
	if s.RaftState != raft.StateFollower || s.Lead == 0 || g.known.node(kv.ReplicaID(s.Lead)) != node {
		return false
	}
	_ = g.raft.ForgetLeader()
	g.setLeader(s.GetTerm(), 0, raft.StateFollower)
	g.orphan = orphan{since: g.h.clock.ticks, term: g.raft.term, until: g.h.clock.Boot}
	if f := &g.h.failover; !slices.Contains(f.orphans, g) {
		f.orphans = append(f.orphans, g)
	}
	g.h.groups.mark(g)
	return true
}

// stand lets orphans ask for votes, as many at a time as may be.
func (h *Host) stand() {
	f := &h.failover
	if len(f.orphans) == 0 {
		return
	}
	asking := 0
	f.orphans = slices.DeleteFunc(f.orphans, func(g *group) bool {
		if !h.groups.has(g) || !g.isOrphan() {
			return true
		}
		g.watchVoting()
		if g.isAsking() {
			asking++
		}
		return false
	})
	if h.departure.asked || h.diskHangs() {
		return
	}
	var asked []*group
	for _, g := range f.orphans {
		if asking+len(asked) >= h.cfg.Limits.Campaigns {
			break
		}
		if g.mayStand() {
			g.orphan.asked, g.orphan.asks = h.clock.ticks, true
			_ = g.raft.Campaign()
			h.groups.mark(g)
			asked = append(asked, g)
		}
	}
	if len(asked) > 0 {
		f.orphans = slices.DeleteFunc(f.orphans, func(g *group) bool { return slices.Contains(asked, g) })
		f.orphans = append(f.orphans, asked...)
	}
}

// isOrphan reports whether the group has found no leader since it lost one, as far as is known here.
func (g *group) isOrphan() bool {
	return g.raft.lead == 0 && !g.trust.rebuilding && g.h.clock.ticks-g.orphan.since < orphanTicks
}

// watchVoting notices by the term that somebody is just being elected.
func (g *group) watchVoting() {
	if g.raft.term != g.orphan.term {
		g.orphan.term = g.raft.term
		g.awaitVoting()
	}
}

// awaitVoting leaves it to others for a while to be elected, or to this replica, which has asked for votes.
func (g *group) awaitVoting() { g.orphan.until = g.h.clock.Boot + votingTicks*g.h.cfg.Tick }

// hearCandidate lets whoever asks for the vote of this orphan, and can get it, ask the others as well.
func (g *group) hearCandidate(m *pb.Message) {
	last := g.lastIndex()
	term, _ := g.store.Term(last)
	if m.GetLogTerm() > term || m.GetLogTerm() == term && m.GetIndex() >= last {
		g.awaitVoting()
	}
}

// isAsking reports whether the answers to what it asked may be on their way.
func (g *group) isAsking() bool {
	return g.orphan.asks && g.orphan.asked == g.h.clock.ticks ||
		g.raft.role == raft.StateCandidate && g.h.clock.Boot < g.orphan.until
}

// mayStand reports whether an orphan is to ask for votes now: its turn has come since nothing binds it any more. Not
// everybody has lost the connection at the same moment: who still believes in the leader says nothing, and is asked
// again with the next tick.
func (g *group) mayStand() bool {
	if g.isAsking() || g.trust.void || g.bound() {
		return false
	}
	from, turn := g.orphan.until, g.turnToStand()
	if !leaseNotAwaited {
		from = max(from, g.raft.promised+leaseTicks*g.h.cfg.Tick)
	}
	// Last, whether a message of this turn has told of a leader.
	return turn >= 0 && g.h.clock.Boot >= from+time.Duration(turn)*turnTicks*g.h.cfg.Tick &&
		g.raft.BasicStatus().Lead == 0
}

// isCutOff reports whether this replica hears of no leader, and all others have fallen silent: they may have one.
func (g *group) isCutOff() bool {
	return g.raft.lead == 0 && !slices.ContainsFunc(g.known.replicas, func(r kv.Replica) bool {
		return r.ID != g.id && !g.h.failover.lost[r.Node].Silent
	})
}

// turnToStand is how many other voters are to stand before this one, in ring order, of those whose node was not
// lost; below 0, it is none itself.
func (g *group) turnToStand() int {
	conf := g.applied.Conf
	var voters []kv.Replica
	for _, r := range g.known.replicas {
		x := uint64(r.ID)
		votes := slices.Contains(conf.GetVoters(), x) || slices.Contains(conf.GetVotersOutgoing(), x)
		if votes && (r.ID == g.id || !g.h.failover.has(r.Node)) {
			voters = append(voters, r)
		}
	}
	ring := g.h.cfg.Policy.Nodes(g.p)
	place := func(r kv.Replica) int { // whoever is about to go comes last
		if i := slices.Index(ring, r.Node); i >= 0 {
			return i
		}
		return math.MaxInt
	}
	slices.SortFunc(voters, func(a, b kv.Replica) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.ID, b.ID))
	})
	return slices.IndexFunc(voters, func(r kv.Replica) bool { return r.ID == g.id })
}
