package rebalance

import (
	"log/slog"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// sight is how steady a node was, as this node saw it, in ticks of this node.
type sight struct {
	heard  uint64 // last word, or the last moment at which none was to be expected
	since  uint64 // steady from here on, or from where its last fall was forgiven
	steady uint64 // end of its last fall
	falls  int    // that are not forgiven
	down   bool   // it is silent now
}

// mostFalls is enough for every wait to be the longest.
const mostFalls = 16

// fall notes that the node fell.
func (s *sight) fall() { s.falls = min(s.falls+1, mostFalls) }

// lag notes that the node is there and has not had on its disk what it was sent long ago. Soon
// after another fall it is the same one.
func (s *sight) lag(now uint64, l *Limits) {
	if s.down {
		return
	}
	if now-s.steady >= l.SteadyTicks {
		s.fall()
	}
	s.recover(now)
}

// recover notes that it is back, from now on.
func (s *sight) recover(now uint64) { s.down, s.since, s.steady = false, now, now }

// see brings the sight to the present. expected says that the node should be heard.
func (s *sight) see(now, heard uint64, expected bool, l *Limits) {
	switch {
	case heard > s.heard:
		s.heard = heard
		if s.down {
			s.recover(now)
		}
	case !expected && !s.down:
		s.heard = now
	}
	if !s.down && now-s.heard >= l.FallTicks {
		s.down = true
		s.fall()
	}
	s.forgive(now, l)
}

// forgive takes a fall back when the node was steady for long.
func (s *sight) forgive(now uint64, l *Limits) {
	if !s.down && s.falls > 0 && now-s.since >= l.ForgiveTicks {
		s.falls--
		s.since = now
	}
}

// wait is how long it must be steady before it is led to.
func (s *sight) wait(l *Limits) uint64 { return doubled(l.SteadyTicks, s.falls, l.MostSteadyTicks) }

// unsteady reports whether it has not been steady for that long. What counts ends with its last
// word: one that is silent now, if only for a moment, gains nothing by it.
func (s *sight) unsteady(now uint64, l *Limits) bool {
	until := s.heard
	if silenceIsSteady {
		until = now
	}
	return s.down || until < s.steady+s.wait(l)
}

// sights are those of the members, and of this node itself, whose falls are its stalls.
type sights struct {
	nodes  map[kv.NodeID]*sight
	self   sight
	stalls uint64
	now    uint64
	log    *slog.Logger
}

// look brings all sights to the present. A node is expected to be heard when it follows or
// leads a group that is here: then both send a heartbeat or its answer every second tick.
func (ss *sights) look(h *replica.Host, s *meta.State, l *Limits) {
	ss.now = h.Ticks()
	if stalls := h.Stalls(); stalls != ss.stalls {
		ss.stalls = stalls
		ss.self.fall()
		ss.self.recover(ss.now)
	}
	ss.self.heard = ss.now
	ss.self.forgive(ss.now, l)
	nodes := map[kv.NodeID]*sight{}
	var expected map[kv.NodeID]bool
	for _, m := range s.Members {
		if m.ID == h.Node() {
			continue
		}
		n := ss.nodes[m.ID]
		if n == nil {
			n = &sight{heard: ss.now}
		}
		nodes[m.ID] = n
		heard, _ := h.Heard(m.ID)
		quiet := ss.now-max(heard, n.heard) >= l.FallTicks
		if quiet && !n.down && expected == nil {
			expected = neighbours(h) // which is rare, since it looks at every group
		}
		was := n.down
		if n.see(ss.now, heard, !quiet || expected[m.ID], l); n.down && !was {
			ss.log.Info("a node fell silent; leaderships come back to it when it has been steady for a while", "member",
				m.Name, "falls", n.falls, "ticks", n.wait(l))
		}
	}
	ss.nodes = nodes
}

// neighbours are the nodes that are to be heard from.
func neighbours(h *replica.Host) map[kv.NodeID]bool {
	out := map[kv.NodeID]bool{}
	for _, p := range h.Partitions() {
		v, _ := h.View(p)
		if !v.Leads {
			out[h.Handle(p).Leader().Node] = true
			continue
		}
		for _, r := range v.Replicas {
			out[r.Node] = true
		}
	}
	return out
}

// lag notes that a node that is heard does not keep up.
func (ss *sights) lag(node kv.NodeID, l *Limits) {
	if n := ss.nodes[node]; n != nil {
		n.lag(ss.now, l)
	}
}

// silent reports whether a node has not been heard for so long that nobody should wait for it.
func (ss *sights) silent(node kv.NodeID, l *Limits) bool {
	n := ss.nodes[node]
	return n != nil && n.down && ss.now-n.heard >= l.SilentTicks
}

// unsteady reports whether a node should not be led to.
func (ss *sights) unsteady(node kv.NodeID, l *Limits) bool {
	n := ss.nodes[node]
	return n != nil && n.unsteady(ss.now, l)
}

// selfUnsteady reports whether this node should give its leaderships away.
func (ss *sights) selfUnsteady(l *Limits) bool {
	return ss.self.falls >= l.Stalls && ss.self.unsteady(ss.now, l)
}
