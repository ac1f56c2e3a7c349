package replica

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"pxkv/node/kv"
)

// departure is how far a node is that is asked to go.
type departure struct {
	asked bool // leaderships are handed over
	over  bool // they were, and no write is taken that others could take
}

// HandOver hands every leadership of this node over, and every one that it gains meanwhile. It reports
// whether the node may go: it leads nothing that others could lead, and knows how all writes ended that
// were proposed here. From then on it takes none for such a group, also when a leadership comes back
// before it has gone: its outcome could not be told any more.
func (h *Host) HandOver() bool {
	over := h.Leading()+h.Awaited() == 0
	h.departure = departure{asked: true, over: h.departure.over || over}
	return over
}

// Leading counts the groups that this node leads and that have another voter to lead them.
func (h *Host) Leading() int {
	n := 0
	if handOverSkipped {
		return n
	}
	for _, g := range h.groups.ordered {
		if g.leads() && g.hasHeirs() {
			n++
		}
	}
	return n
}

// hasHeirs reports whether others could lead.
func (g *group) hasHeirs() bool { return len(g.applied.Conf.GetVoters()) > 1 }

// Awaited counts the groups that another replica leads by now and whose log holds writes
// that were proposed here: their outcome will be learned as soon as they are applied here.
func (h *Host) Awaited() int {
	n := 0
	for _, g := range h.groups.ordered {
		if !g.leads() && len(g.writes.flights) > 0 {
			n++
		}
	}
	return n
}

// handOver asks the best follower of each led group to take over.
func (h *Host) handOver() {
	for _, g := range h.groups.ordered {
		if !g.leads() || g.conf.moving {
			continue
		}
		if to := g.heir(g.applied.Conf.GetVoters()); to != 0 {
			_ = h.Transfer(g.p, to)
		}
	}
}

// heir returns that of these voters which could take over from this leader and has most of its log, 0 when
// there is none.
func (g *group) heir(voters []uint64) (best kv.ReplicaID) {
	var match uint64
	g.raft.WithProgress(func(x uint64, _ raft.ProgressType, pr tracker.Progress) {
		id := kv.ReplicaID(x)
		if id != g.id && slices.Contains(voters, x) && g.answers(id) && pr.PendingSnapshot == 0 &&
			(best == 0 || pr.Match > match || pr.Match == match && id < best) {
			best, match = id, pr.Match
		}
	})
	return best
}
