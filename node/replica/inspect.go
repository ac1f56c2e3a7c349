package replica

import (
	"pxkv/node/kv"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// Inspection is a replica laid open, for tests and diagnosis.
type Inspection struct {
	ID          kv.ReplicaID
	Term        uint64 // current
	DurableTerm uint64 // as handed to the disk
	Leads       bool
	Commit      uint64
	Applied     state.Applied
	Told        uint64 // index of what the library knows to be applied
	First       uint64 // index at which the log begins
	InDoubt     bool   // it differs from another replica, and does not know which of them is right
	Undecided   bool   // likewise, and an operator was told
	Void        bool   // its state is wrong and waits to be replaced
}

// Inspect lays a replica open; all is 0 when it is not here.
func (h *Host) Inspect(p kv.PartitionID) Inspection {
	g := h.groups.of[p]
	if g == nil {
		return Inspection{}
	}
	hard, _, _ := g.store.InitialState()
	first, _ := g.store.FirstIndex()
	return Inspection{
		ID: g.id, Term: g.term, DurableTerm: hard.GetTerm(), Leads: g.leads(), Commit: g.commit, Applied: g.applied,
		Told: g.rn.BasicStatus().Applied, First: first, InDoubt: g.doubt != nil,
		Undecided: g.doubt != nil && g.doubt.told, Void: g.void,
	}
}

// Holdings is what a replica holds on behalf of others, for tests and diagnosis.
type Holdings struct {
	raftlog.Held
	LogLimit int64 // size in bytes at which the log is cut
	Writes   int   // that wait for an answer
	Reads    int   // likewise
	Rounds   int   // ReadIndex requests under way
	Purging  bool
	Staged   bool // a snapshot waits to be taken or to be installed
}

// Holdings tells what a replica holds; all is 0 when it is not here.
func (h *Host) Holdings(p kv.PartitionID) Holdings {
	g := h.groups.of[p]
	if g == nil {
		return Holdings{}
	}
	held := Holdings{
		Held: g.store.Held(), LogLimit: h.cfg.Limits.logBytes(len(h.groups.ordered)),
		Writes: len(g.ops), Reads: g.reads.count, Rounds: len(g.reads.rounds),
		Purging: g.purging, Staged: g.staged != nil || g.staging != nil,
	}
	for _, f := range append(g.flights[:len(g.flights):len(g.flights)], g.unplaced...) {
		held.Writes += len(f.ops)
	}
	return held
}

// Purges counts the purges that this node has under way.
func (h *Host) Purges() int { return h.purges.underWay }
