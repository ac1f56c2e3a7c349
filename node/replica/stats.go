package replica

import (
	"sync/atomic"

	"pxkv/node/kv"
	"pxkv/persist"
)

// Stats are running totals and, measured at each tick, gauges of a Host. They may be read
// from any goroutine.
type Stats struct {
	Proposed   atomic.Int64 // entries proposed here
	Commands   atomic.Int64 // commands in them
	Appended   atomic.Int64 // entries appended to logs
	Applied    atomic.Int64 // entries applied
	ReadRounds atomic.Int64 // ReadIndex rounds started
	Expired    atomic.Int64 // keys deleted by purges, counted where the group is led
	Purges     atomic.Int64 // purge entries applied

	Groups   atomic.Int64 // replicas on this node
	Leaders  atomic.Int64 // of which lead
	ApplyLag atomic.Int64 // committed entries not yet applied, over all groups
	Leases   atomic.Int64 // groups with a lease
}

// Stats returns the Host's figures.
func (h *Host) Stats() *Stats { return &h.stats }

func (s *Stats) measure(h *Host) {
	var leaders, lag, leases int64
	for _, g := range h.ordered {
		if g.leads() {
			leaders++
		}
		if g.handle.leaseUntil.Load() > int64(h.now.Boot) {
			leases++
		}
		if applied := g.applied.Index; g.commit > applied {
			lag += int64(g.commit - applied)
		}
	}
	s.Groups.Store(int64(len(h.ordered)))
	s.Leaders.Store(leaders)
	s.ApplyLag.Store(lag)
	s.Leases.Store(leases)
}

// Inspection is a replica laid open, for tests and diagnosis.
type Inspection struct {
	ID          kv.ReplicaID
	Term        uint64 // current
	DurableTerm uint64 // as handed to the disk
	Leads       bool
	Commit      uint64
	Applied     persist.Applied
}

// Inspect lays a replica open; it must be here.
func (h *Host) Inspect(p kv.PartitionID) Inspection {
	g := h.groups[p]
	if g == nil {
		return Inspection{}
	}
	hard, _, _ := g.store.InitialState()
	return Inspection{ID: g.id, Term: g.term, DurableTerm: hard.GetTerm(), Leads: g.leads(), Commit: g.commit, Applied: g.applied}
}
