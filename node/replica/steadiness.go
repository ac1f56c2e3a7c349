package replica

import (
	"time"

	"pxkv/node/kv"
)

// stallTicks is how many ticks this node must have stood still, or waited for its disk, to have
// stalled: an election would have been fair, or nothing that it leads could be written.
const stallTicks = ElectionTicks

// missedTicks is within how many ticks a leader that hears nobody steps down: at rest it wakes first.
const missedTicks = answerTicks + 2*ElectionTicks + 4

// maxHeard bounds how many nodes are remembered; a cluster has at most 1,024 at a time.
const maxHeard = 4096

// steadiness is how evenly nodes run, this one included, all in ticks of this node. One that
// stood still has not ticked meanwhile, so it never takes its own pause for the silence of others.
type steadiness struct {
	heard  map[kv.NodeID]uint64 // tick of a node's last message
	stalls uint64               // of this node
	still  time.Duration        // boot time at which it last went on after it had stood still; 0: it never had
}

func (s *steadiness) hear(node kv.NodeID, tick uint64) {
	if s.heard == nil || len(s.heard) >= maxHeard {
		s.heard = map[kv.NodeID]uint64{}
	}
	s.heard[node] = tick
}

// measure looks, with each tick, for how long this node stood still before it, and at its disk.
func (s *steadiness) measure(h *Host) {
	if h.clock.sinceTick() >= stallTicks*h.cfg.Tick {
		s.stalls++
		s.still = h.clock.Boot
	}
	if !h.jobs.late && h.jobs.age(h.clock.ticks) >= stallTicks {
		h.jobs.late = true
		s.stalls++
	}
}

// mayBeOutdated reports whether this node has just stood still. What it leads may be led by others, and what it hears
// may have waited for it: a leader that is none any more has not had the ticks yet in which it misses the others.
func (h *Host) mayBeOutdated() bool {
	return h.clock.sinceTick() >= stallTicks*h.cfg.Tick ||
		h.steadiness.still != 0 && h.clock.Boot-h.steadiness.still < missedTicks*h.cfg.Tick
}

// Node returns the node that the host runs on.
func (h *Host) Node() kv.NodeID { return h.cfg.Node }

// Starts is which start of this node the process is.
func (h *Host) Starts() uint64 { return h.cfg.Starts }

// Heard returns the tick of this node in which another one last sent it anything.
func (h *Host) Heard(node kv.NodeID) (tick uint64, ok bool) {
	tick, ok = h.steadiness.heard[node]
	return tick, ok
}

// Stalls counts how often this node stood still for a shortest election timeout, or waited as long
// for its disk.
func (h *Host) Stalls() uint64 { return h.steadiness.stalls }
