package replica

import (
	"maps"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// Witness is what a node says of a member that is to be replaced.
type Witness struct {
	Silence time.Duration    `json:"silence"` // since it last heard it, or since it began to listen
	Spares  []kv.PartitionID `json:"spares"`  // groups that it leads, and that have a majority without it
	Needs   []kv.PartitionID `json:"needs"`   // groups that it leads, and that have none
	// Gone: it has said itself that it has ended and that its memory went with it.
	Gone bool `json:"gone,omitzero"`
	// Hears are the other members that it has heard lately: each may lead in a moment, and must have given its word
	// too. Older versions do not say.
	Hears []kv.NodeID `json:"hears,omitzero"`
}

// WordBinds is for how long a node keeps to what it said of another one that has fallen silent: no replica there comes
// to vote meanwhile, nor to be needed since others have no vote any more. Else that one could be back, be filled and be
// needed before it is written down that it is given up, and the disk with that vote is refused for ever then. Whoever
// asks decides by answers that are half as old at most, so that the other half is left for the decision to be
// committed. A process that has started again does not know what was said before, and relies on nobody for as long.
const WordBinds = 5 * time.Second

// lately is within how many ticks one was heard that counts as there.
const lately = 2 * ElectionTicks

// witnesses is of whom this node has said, and until when, that they can be done without.
type witnesses map[kv.NodeID]time.Duration

// Witness says what this node knows of another one, which has said itself that it is gone, or has not. Of itself it
// says that it lives, and of no group that it spares it.
func (h *Host) Witness(of kv.NodeID, gone bool) Witness {
	if of == h.cfg.Node {
		return Witness{}
	}
	w := Witness{Silence: h.Silence(of), Gone: gone}
	if gone || w.Silence > answerTicks*h.cfg.Tick { // else it is alive, and nobody gives it up
		h.witnesses.bind(of, h.clock.Boot)
	}
	for _, m := range h.cfg.Policy.Members() {
		if at, known := h.recall.heard[m]; known && m != of && h.clock.Boot-at <= lately*h.cfg.Tick {
			w.Hears = append(w.Hears, m)
		}
	}
	if h.mayBeOutdated() && !wordForgotten { // there may be other leaders, and voters, by now
		return w
	}
	for _, g := range h.groups.ordered {
		switch {
		case !g.ready(), g.changes() && !wordForgotten: // its voters may be others in a moment
		case g.spares(of):
			w.Spares = append(w.Spares, g.p)
		default:
			w.Needs = append(w.Needs, g.p)
		}
	}
	return w
}

// bind notes that a word was given, and forgets those that bind no more.
func (w *witnesses) bind(of kv.NodeID, now time.Duration) {
	maps.DeleteFunc(*w, func(_ kv.NodeID, until time.Duration) bool { return now >= until })
	if *w == nil {
		*w = witnesses{}
	}
	(*w)[of] = now + WordBinds
}

// changes reports whether a change of the configuration is under way: one that was proposed, or that is in the log and
// not applied, however long ago it came there (see confPatience).
func (g *group) changes() bool {
	return g.conf.pending || g.applied.Index < g.reads.lease.conf
}

// reliesOnSpared reports whether a change of the voters relies on a replica of whose node it was said that it can be
// done without, or may have been: it would get a vote, or too few others would have one.
func (g *group) reliesOnSpared(cc *pb.ConfChangeV2, added []kv.Replica) bool {
	forgotten := g.h.cfg.Starts > 1 && g.h.clock.uptime() < WordBinds
	spared := func(x uint64) bool {
		id := kv.ReplicaID(x)
		node := g.known.node(id)
		if at := slices.IndexFunc(added, func(r kv.Replica) bool { return r.ID == id }); at >= 0 {
			node = added[at].Node
		}
		return id != g.id && (forgotten || g.h.clock.Boot < g.h.witnesses[node]) && !wordForgotten
	}
	voters, changed := slices.Clone(g.applied.Conf.GetVoters()), false
	for _, c := range cc.GetChanges() {
		at := slices.Index(voters, c.GetNodeId())
		switch gets := c.GetType() == pb.ConfChangeAddNode; {
		case gets && at < 0 && spared(c.GetNodeId()):
			return true
		case gets && at < 0:
			voters, changed = append(voters, c.GetNodeId()), true
		case !gets && at >= 0:
			voters, changed = slices.Delete(voters, at, at+1), true
		}
	}
	all := len(voters)
	return changed && len(slices.DeleteFunc(voters, spared)) <= all/2
}

// Silence is for how long this node has not heard another one; of one that it has never heard, for how long it runs
// itself.
func (h *Host) Silence(of kv.NodeID) time.Duration {
	if of == h.cfg.Node {
		return 0
	}
	if at, known := h.recall.heard[of]; known {
		return h.clock.Boot - at
	}
	return h.clock.uptime()
}

// spares reports whether this leader has heard a majority of its voters lately without the replicas
// on a node.
func (g *group) spares(of kv.NodeID) bool {
	majority := func(ids []uint64) bool {
		n := 0
		for _, x := range ids {
			id := kv.ReplicaID(x)
			ago, spoke := g.since(id)
			if id == g.id || g.known.node(id) != of && spoke && ago <= lately*g.h.cfg.Tick {
				n++
			}
		}
		return len(ids) == 0 || n > len(ids)/2
	}
	conf := g.applied.Conf
	return majority(conf.GetVoters()) && majority(conf.GetVotersOutgoing())
}
