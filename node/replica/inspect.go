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
	First, Last uint64 // indexes at which the log begins and ends
	InDoubt     bool   // it differs from another replica, and does not know which of them is right
	Undecided   bool   // likewise, and an operator was told
	Void        bool   // its state is wrong and waits to be replaced
	AtRest      bool
	Needs       []kv.NodeID // whom it must hear of while it rests
}

// Inspect lays a replica open; all is 0 when it is not here.
func (h *Host) Inspect(p kv.PartitionID) Inspection {
	g := h.groups.of[p]
	if g == nil {
		return Inspection{}
	}
	hard, _, _ := g.store.InitialState()
	first, _ := g.store.FirstIndex()
	last := g.lastIndex()
	i := Inspection{
		ID: g.id, Term: g.raft.term, DurableTerm: hard.GetTerm(), Leads: g.leads(), Commit: g.raft.commit,
		Applied: g.applied, Told: g.raft.BasicStatus().Applied, First: first, Last: last, InDoubt: g.trust.doubt != nil,
		Undecided: g.trust.doubt != nil && g.trust.doubt.told, Void: g.trust.void,
		AtRest: g.rest.on,
	}
	if g.rest.on {
		i.Needs = g.needs()
	}
	return i
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
	return Holdings{
		Held: g.store.Held(), LogLimit: h.cfg.Limits.logBytes(len(h.groups.ordered)),
		Writes: g.writes.waiting(), Reads: g.reads.count, Rounds: len(g.reads.rounds),
		Purging: g.purging.underWay, Staged: g.incoming.busy(),
	}
}

// Purges counts the purges that this node has under way.
func (h *Host) Purges() int { return h.purges.underWay }
