package peer

import (
	"testing"
	"time"
)

// What arrives on a link shows that the peer is there: only one that is silent is pinged, in time for the answer to
// come before it is given up; and any now and then, to measure the round trip.
func TestOnlySilentLinksArePinged(t *testing.T) {
	t.Parallel()
	var b book
	n := start(t, &b, 1, &testHandler{}, func(o *Options) { o.DeadAfter = time.Hour }) // only the test watches
	p := n.peer(2)
	l := &link{p: p, told: testCluster, wrote: n.Transport.writes(), wake: make(chan struct{}, 1)}
	l.remote.Cluster = testCluster
	p.mu.Lock()
	p.links = append(p.links, l)
	p.mu.Unlock()
	pings := func(from, to, readEvery int) (at []int) {
		for tick := from; tick < to; tick++ {
			if tick%readEvery == 0 {
				l.reads.Add(1)
			}
			p.watch(tick)
			p.mu.Lock()
			if len(l.control) > 0 {
				at = append(at, tick)
			}
			l.control = nil
			p.mu.Unlock()
		}
		return at
	}
	if at := pings(1, 5*ticksPerMeasure, 1); len(at) != 4 {
		t.Errorf("while something arrived in each tick there were pings in %v, want one in %d", at, ticksPerMeasure)
	}
	// Answers come with the tick after next.
	if at := pings(1, ticksPerMeasure, 3); len(at) != 5 || at[0] != 1 {
		t.Errorf("where something arrived in each third tick there were pings in %v, want one in each tick after", at)
	}
	silent := pings(ticksPerMeasure+1, ticksPerMeasure+1+ticksToDeath, 1000)
	if len(silent) < ticksToDeath/ticksPerPing {
		t.Errorf("a silent link was pinged in %v, want each %d ticks until it is given up", silent, ticksPerPing)
	}
	p.mu.Lock()
	p.links = nil
	p.mu.Unlock()
}
