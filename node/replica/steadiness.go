package replica

import (
	"pxkv/node/kv"
)

// stallTicks is how many ticks this node must have stood still, or waited for its disk, to have
// stalled: an election would have been fair, or nothing that it leads could be written.
const stallTicks = ElectionTicks

// maxHeard bounds how many nodes are remembered; a cluster has at most 1,024 at a time.
const maxHeard = 4096

// steadiness is how evenly nodes run, this one included, all in ticks of this node. One that
// stood still has not ticked meanwhile, so it never takes its own pause for the silence of others.
type steadiness struct {
	heard    map[kv.NodeID]uint64 // tick of a node's last message
	stalls   uint64               // of this node
	jobSince uint64               // tick at which the job under way was taken
	jobLate  bool                 // it counts as a stall already
}

func (s *steadiness) hear(node kv.NodeID, tick uint64) {
	if s.heard == nil || len(s.heard) >= maxHeard {
		s.heard = map[kv.NodeID]uint64{}
	}
	s.heard[node] = tick
}

// measure looks, with each tick, for how long this node stood still before it, and at its disk.
func (s *steadiness) measure(h *Host) {
	if h.now.Boot-h.lastTick >= stallTicks*h.cfg.Tick {
		s.stalls++
	}
	if h.inFlight && !s.jobLate && h.ticks-s.jobSince >= stallTicks {
		s.jobLate = true
		s.stalls++
	}
}

// diskHangs reports whether the disk has had a job for longer than an election takes to begin. The
// loop goes on meanwhile and so do heartbeats, and nobody would elect another leader, though what is
// led here takes no writes. The followers have what was proposed: one of them takes over.
func (s *steadiness) diskHangs(h *Host) bool {
	return h.inFlight && h.ticks-s.jobSince > ElectionTicks
}

// Node returns the node that the host runs on.
func (h *Host) Node() kv.NodeID { return h.cfg.Node }

// Heard returns the tick of this node in which another one last sent it anything.
func (h *Host) Heard(node kv.NodeID) (tick uint64, ok bool) {
	tick, ok = h.steadiness.heard[node]
	return tick, ok
}

// Stalls counts how often this node stood still for a shortest election timeout, or waited as long
// for its disk.
func (h *Host) Stalls() uint64 { return h.steadiness.stalls }
