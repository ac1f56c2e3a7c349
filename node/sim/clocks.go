package sim

import (
	"time"

	"pxkv/node/replica"
)

// clocks are those of a node. Its boot clock runs at its own rate, also while the process is
// suspended; its wall clock is ahead of that, by whatever somebody sets.
type clocks struct {
	rate float64
	zero time.Duration // its boot clock at the world's start
	wall time.Duration // by how much its wall clock is ahead of that
	// A virtual machine that is frozen as a whole sees no time pass.
	frozen, thawed time.Duration // the last time, from and until
	lost           time.Duration // before that
}

// at is the boot clock at a moment of the world.
func (c *clocks) at(now time.Duration) time.Duration {
	return c.zero + time.Duration(float64(now-c.stillFor(now))*c.rate)
}

// stillFor is how long it has stood still until a moment of the world.
func (c *clocks) stillFor(now time.Duration) time.Duration {
	return c.lost + max(0, min(now, c.thawed)-c.frozen)
}

// freeze stops the clock from now on until then.
func (c *clocks) freeze(now, until time.Duration) {
	c.lost = c.stillFor(now)
	c.frozen, c.thawed = now, until
}

// thaw lets it run on.
func (c *clocks) thaw(now time.Duration) { c.thawed = min(c.thawed, now) }

// boot is the node's own monotonic clock.
func (n *node) boot() time.Duration { return n.at(n.w.now) }

// now is what the node's two clocks say.
func (n *node) now() replica.Now {
	return replica.Now{Boot: n.boot(), WallMS: int64((n.boot() + n.wall) / time.Millisecond)}
}

// suspend stops a process for a while; what arrives waits. Its boot clock runs on, as the one does
// that also counts while a machine sleeps. Where reads ask a majority, the machine may be frozen as
// a whole, its clock included: no lease could be held through that.
func (w *World) suspend(n *node) {
	w.stats.Pauses++
	d := w.between(10*time.Millisecond, []time.Duration{2, 2, 8}[w.rng.IntN(3)]*time.Second)
	n.paused = max(n.paused, w.now+d)
	if w.o.QuorumReads && w.chance(0.5) {
		w.stats.Frozen++
		n.freeze(w.now, n.paused)
	}
}

// pause is when to look again whether a suspended process runs: the end of the faults may come
// before that of its suspension.
func (n *node) pause() time.Duration { return min(n.paused-n.w.now, 20*time.Millisecond) }
