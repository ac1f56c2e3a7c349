package sim

import (
	"time"

	"pxkv/node/kv"
)

// network loses, delays, repeats and reorders what nodes and clients say to each other.
type network struct {
	w    *World
	cuts map[[2]kv.NodeID]time.Duration // one direction, until
}

func (n *network) init(w *World) { n.w, n.cuts = w, map[[2]kv.NodeID]time.Duration{} }

func (n *network) cut(from, to kv.NodeID, d time.Duration) {
	k := [2]kv.NodeID{from, to}
	n.cuts[k] = max(n.cuts[k], n.w.now+d)
}

func (n *network) open(from, to kv.NodeID) bool { return n.cuts[[2]kv.NodeID{from, to}] <= n.w.now }

// send delivers f's message, perhaps late, twice or never. Node 0 is the clients' side,
// which is never cut off.
func (n *network) send(from, to kv.NodeID, f func()) {
	w := n.w
	if !n.open(from, to) || w.faulty() && w.chance(w.o.Drop) {
		return
	}
	copies := 1
	if w.faulty() && w.chance(w.o.Duplicate) {
		copies = 2
	}
	for range copies {
		w.after(n.delay(), func() {
			if n.open(from, to) {
				f()
			}
		})
	}
}

// once delivers what a stream connection carries: late or never, but not twice.
func (n *network) once(from, to kv.NodeID, f func()) bool {
	if !n.open(from, to) || n.w.faulty() && n.w.chance(n.w.o.Drop) {
		return false
	}
	n.w.after(n.delay(), f)
	return true
}

func (n *network) delay() time.Duration {
	w := n.w
	if w.faulty() && w.chance(w.o.Slow) {
		return w.between(time.Millisecond, w.o.SlowDelay)
	}
	return w.between(100*time.Microsecond, 2*time.Millisecond)
}

// faulty reports whether faults still strike.
func (w *World) faulty() bool { return !w.healed && w.calm <= w.now }
