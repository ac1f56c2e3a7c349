package peer

import (
	"context"
	"math"
	"time"
)

const (
	// ticksToDeath is in how many ticks Options.DeadAfter is cut. A process that was paused
	// sees at most one tick more, whatever the clock says: it does not give up its peers.
	ticksToDeath = 6
	// ticksPerPing is between two pings of a link on which nothing arrives, which keep both sides from taking it for
	// dead.
	ticksPerPing = 2
	// ticksPerMeasure is between two pings of one on which something does, which only measure the round trip.
	ticksPerMeasure = 16
	// redundantTicks is how long a second link with a peer stays.
	redundantTicks = 4
	// expiryStep is the least time between two looks for late calls.
	expiryStep = int64(time.Millisecond)
	// forgetAfter is how long a peer is remembered with which there is nothing to do.
	forgetAfter = time.Minute
)

// housekeep ends calls at their deadlines, watches and pings the links, and forgets peers
// that nobody needs any more.
func (t *Transport) housekeep(ctx context.Context) {
	tick := time.NewTicker(t.opt.DeadAfter / ticksToDeath)
	defer tick.Stop()
	forget := time.NewTicker(forgetAfter)
	defer forget.Stop()
	expiry := time.NewTimer(time.Hour)
	defer expiry.Stop()
	for ticks := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ticks++
			for _, p := range *t.peers.Load() {
				p.watch(ticks)
			}
			continue
		case <-forget.C:
			for _, p := range *t.peers.Load() {
				p.forgetIfUnused()
			}
			continue
		case <-t.sooner:
		case <-expiry.C:
		}
		expiry.Reset(t.expire())
	}
}

// expire ends the calls whose deadline has passed, and returns when to look again.
//
// Order matters: nextExpiry is raised before the tables are searched. A call that was added
// earlier is found by the search, and one that is added later sees the raised value
// and rings.
func (t *Transport) expire() time.Duration {
	t.nextExpiry.Store(math.MaxInt64)
	now := t.now()
	next := int64(math.MaxInt64)
	for _, p := range *t.peers.Load() {
		if earliest, any := p.expire(now); any {
			next = min(next, earliest)
		}
	}
	if next == math.MaxInt64 {
		return time.Hour
	}
	next = max(next, now+expiryStep)
	t.lowerNextExpiry(next)
	return time.Duration(next - t.now())
}

// expireBy makes housekeeping look for late calls no later than due.
func (t *Transport) expireBy(due int64) {
	if t.lowerNextExpiry(due) {
		select {
		case t.sooner <- struct{}{}:
		default: // it is about to look anyway
		}
	}
}

func (t *Transport) lowerNextExpiry(due int64) bool {
	for {
		next := t.nextExpiry.Load()
		if due >= next {
			return false
		}
		if t.nextExpiry.CompareAndSwap(next, due) {
			return true
		}
	}
}

// watch closes links on which nothing arrived for too long, those whose peer was told what is not
// so any more (see outdated), and those with a cluster that turned out not to be ours. It pings the
// others when it is time to, and retires a second link that this side dialed.
func (p *peer) watch(ticks int) {
	cluster := p.t.opt.Cluster()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.t.now()
	for _, l := range p.links {
		if reads := l.reads.Load(); reads != l.lastReads {
			l.lastReads, l.silentTicks = reads, 0
		} else if l.silentTicks++; l.silentTicks > ticksToDeath {
			l.close(errSilent)
			continue
		}
		if cluster != 0 && l.remote.Cluster != 0 && cluster != l.remote.Cluster {
			l.close(errAlien)
			continue
		}
		if why := l.outdated(cluster); why != nil && !outdatedLinksStay {
			l.close(why)
			continue
		}
		if l.silentTicks%ticksPerPing == 1 || ticks%ticksPerMeasure == 0 {
			l.ping(now)
		}
		if l.dialed && l.usable() && p.current != l {
			if l.idleTicks++; l.idleTicks > redundantTicks {
				l.retire()
			}
		} else {
			l.idleTicks = 0
		}
	}
}

// forgetIfUnused removes the peer when nothing connects us with it and nobody wanted to send
// to it since the last look, so that nodes which left the cluster do not stay for ever.
func (p *peer) forgetIfUnused() {
	p.mu.Lock()
	used := p.used || len(p.links) > 0 || p.dialing || p.out.len() > 0 || p.calls.inFlight > 0
	p.used = false
	p.gone = p.gone || !used
	gone := p.gone
	p.mu.Unlock()
	if gone {
		p.t.forget(p)
	}
}
