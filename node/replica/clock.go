package replica

import "time"

// hostClock is what a Host knows of time: what its driver tells it.
type hostClock struct {
	Now
	running  bool          // a turn has begun, so that what follows is valid
	started  time.Duration // boot time of the first turn
	lastTick time.Duration // boot time
	ticks    uint64
}

// turn begins a turn, and reports whether it is the first.
func (c *hostClock) turn(now Now) (first bool) {
	if first = !c.running; first {
		c.running, c.started, c.lastTick = true, now.Boot, now.Boot
	}
	c.Now = now
	return first
}

// tick counts a tick.
func (c *hostClock) tick() { c.lastTick, c.ticks = c.Boot, c.ticks+1 }

// sinceTick is how long ago the last tick was, or the first turn.
func (c *hostClock) sinceTick() time.Duration { return c.Boot - c.lastTick }

// uptime is how long ago the first turn was.
func (c *hostClock) uptime() time.Duration { return c.Boot - c.started }

// groupClock is what a leader stamps its entries with: its own wall clock, but steady. A group's
// time must neither go back nor leap when leadership moves to a node whose wall clock is wrong,
// or when somebody sets a clock: deadlines would be years early or late.
//
// So each leader tells its time with its heartbeats, and from the last such time on, whoever
// leads follows its wall clock no faster than 9 and no slower than 7 milliseconds in 8 of the
// monotonic clock. Only a node that has heard no leader since it started believes its wall clock.
type groupClock struct {
	known bool
	at    time.Duration // boot time at which it was ns
	ns    int64         // Unix nanoseconds
}

// hear sets the clock by a leader's. Its word may be old, for it was under way or waited here while
// this process stood still. So the clock is never set back: when it is ahead of what it hears, it
// goes on at three quarters of its rate, which is slower than any leader's.
func (c *groupClock) hear(timeMS int64, boot time.Duration) {
	if timeMS <= 0 {
		return
	}
	ns := timeMS * int64(time.Millisecond)
	if c.known {
		ns = max(ns, c.ns+int64(max(0, boot-c.at))*3/4)
	}
	*c = groupClock{true, boot, ns}
}

// read moves the clock to now and returns it in Unix milliseconds, at least atLeastMS.
func (c *groupClock) read(now Now, atLeastMS int64) int64 {
	ns := now.WallMS * int64(time.Millisecond)
	if c.known {
		elapsed := int64(max(0, now.Boot-c.at))
		ns = min(max(ns, c.ns+elapsed-elapsed/8), c.ns+elapsed+elapsed/8)
	}
	ns = max(ns, atLeastMS*int64(time.Millisecond))
	*c = groupClock{true, now.Boot, ns}
	return ns / int64(time.Millisecond)
}

// time is the group's clock at this turn, on the leader.
func (g *group) time() int64 {
	ms := g.clock.read(g.h.clock.Now, g.applied.TimeMS)
	g.handle.clock.Store(g.clock.ns - int64(g.clock.at))
	return ms
}
