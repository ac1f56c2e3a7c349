package replica

import (
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// What moves replicas takes many steps for each group, and most of them wait for something that takes a round trip or
// two. So whoever takes them hears at the end of the turn in which it happened, and need not wait for a tick:
//
//   - a change of the configuration was applied, by the library as well, so that it takes the next one;
//   - a new leader has applied the first entry of its term, or somebody else leads now;
//   - a follower acknowledged something, where that is awaited.
//
// It hears of a group a few times between two ticks at most. What comes more often waits for OnTick, as all did.
const mostChanges = 8

// changes are of which groups Config.OnChange is to hear.
type changes struct {
	groups []*group
}

// news is what is told of one group.
type news struct {
	due     bool   // a change of the configuration was applied, and the library has not heard of it yet
	noted   bool   // it is among the changes
	awaited bool   // the next acknowledgement is told
	tick    uint64 // in which so many were told
	told    int
}

// changed notes that something happened to the group.
func (g *group) changed() {
	h := g.h
	if g.news.tick != h.clock.ticks {
		g.news.tick, g.news.told = h.clock.ticks, 0
	}
	if h.cfg.OnChange == nil || g.news.noted || g.news.told >= mostChanges {
		return
	}
	g.news.noted = true
	g.news.told++
	h.changes.groups = append(h.changes.groups, g)
}

// appliedNews follows when the library has heard what was applied.
func (g *group) appliedNews() {
	if g.news.due && g.leads() {
		g.changed()
	}
	g.news.due = false
}

// acknowledged notes that a follower has answered.
func (g *group) acknowledged(m *pb.Message) {
	if g.news.awaited && m.GetType() == pb.MsgAppResp && g.leads() {
		g.news.awaited = false
		g.changed()
	}
}

// Await asks for the next acknowledgement of a follower in a group that is led here: Config.OnChange hears of it.
func (h *Host) Await(p kv.PartitionID) {
	if g := h.groups.of[p]; g != nil {
		g.news.awaited = true
	}
}

// StateBytes is about how many bytes the state of a partition has on disk here.
func (h *Host) StateBytes(p kv.PartitionID) int64 {
	if h.cfg.StateBytes == nil {
		return 0
	}
	return h.cfg.StateBytes(p)
}

// tellChanges lets OnChange take the next steps.
func (h *Host) tellChanges() {
	if len(h.changes.groups) == 0 || h.err != nil {
		return
	}
	groups := h.changes.groups
	h.changes.groups = nil
	ps := make([]kv.PartitionID, 0, len(groups))
	for _, g := range groups {
		g.news.noted = false
		if h.groups.has(g) {
			ps = append(ps, g.p)
		}
	}
	h.cfg.OnChange(h, ps)
}
