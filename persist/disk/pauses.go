package disk

import (
	"context"
	"sync"
	"time"
)

// pauses knows for how long this process did not run: it was stopped, its machine was suspended or
// frozen, or others took the processor. In that time no disk had a chance to answer.
type pauses struct {
	now   func() time.Time
	every time.Duration // between two beats of a process that runs

	mu   sync.Mutex
	last time.Time // of the last beat
	gaps []gap     // the last ones, in the order of time
}

// gap is a time without beats.
type gap struct {
	end    time.Time
	length time.Duration
}

// mostGaps are remembered; no operation is looked at that began before so many.
const mostGaps = 100

func newPauses(now func() time.Time, every time.Duration) *pauses {
	return &pauses{now: now, every: every, last: now()}
}

// run beats until ctx ends.
func (p *pauses) run(ctx context.Context) {
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			p.beat()
		case <-ctx.Done():
			return
		}
	}
}

// beat says that the process runs.
func (p *pauses) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if silent := now.Sub(p.last); silent > 2*p.every {
		p.gaps = append(p.gaps, gap{now, silent - p.every})
		if len(p.gaps) > mostGaps {
			p.gaps = append(p.gaps[:0], p.gaps[1:]...)
		}
	}
	p.last = now
}

// within is for how much of the last d the process did not run.
func (p *pauses) within(d time.Duration) (paused time.Duration) {
	if pauseIsStall {
		return 0
	}
	p.beat() // whoever asks may be the first to wake up
	p.mu.Lock()
	defer p.mu.Unlock()
	begin := p.now().Add(-d)
	for _, g := range p.gaps {
		if since := g.end.Sub(begin); since > 0 {
			paused += min(g.length, since)
		}
	}
	return paused
}
