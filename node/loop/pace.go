package loop

import (
	"context"
	"io"
	"sync"
	"time"
)

// Snapshots go as fast as the disks and the network let them while nobody asks anything of this node. While somebody
// does, each stretch of work for a snapshot is followed by a rest that is many times as long, on the node that sends
// and on the one that receives, each by its own measure: so snapshots take a small part of either from requests. All
// snapshots of a node share its rests, and what it waits for the other side is no work.
const (
	// restShare is how many times as long: snapshots get a tenth of the time. What is not counted, as sockets,
	// checksums of chunks and the installation, is about half as much again.
	restShare   = 9
	longestRest = 300 * time.Millisecond // at once, so that what is slow still moves
	leastRest   = 2 * time.Millisecond   // shorter ones are added up
	// mostOwed bounds what is added up. A process that stood still, or whose disk did, takes that for work, and many
	// snapshots at once owe more than each of them rests: without a bound those that follow would pay for minutes.
	mostOwed = 10 * longestRest
	// busyFor is how long after a request the next one is reckoned with.
	busyFor = 10 * time.Millisecond
	// burst is how far the sending may fall behind its rate and catch up.
	burst = 50 * time.Millisecond
)

// pace says when the snapshots of a node go on.
type pace struct {
	rate  int64         // bytes a second that are sent at most, of all snapshots together; 0: any
	asked func() uint64 // grows with what is asked of this node

	mu   sync.Mutex
	seen uint64
	busy time.Time // until then
	free time.Time // rests are owed until then
	sent time.Time // until then the rate is used up
}

// after notes a stretch of work, and how many bytes it sent, and returns how long to rest now.
func (p *pace) after(now time.Time, work time.Duration, bytes int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if asked := p.asked(); asked != p.seen {
		p.seen, p.busy = asked, now.Add(busyFor)
	}
	if p.free.Before(now) {
		p.free = now
	}
	if now.Before(p.busy) {
		p.free = p.free.Add(restShare * work)
		if most := now.Add(mostOwed); p.free.After(most) {
			p.free = most
		}
	} else {
		p.free = now // what is owed is forgiven: nobody waits
	}
	rest := min(p.free.Sub(now), longestRest)
	if p.rate > 0 && bytes > 0 {
		if least := now.Add(-burst); p.sent.Before(least) {
			p.sent = least
		}
		p.sent = p.sent.Add(time.Duration(float64(bytes) / float64(p.rate) * float64(time.Second)))
		rest = max(rest, p.sent.Sub(now))
	}
	if rest < leastRest {
		return 0
	}
	return rest
}

// pacer is one snapshot's part in the pace: work is what passes between two waits for the other side.
type pacer struct {
	ctx   context.Context
	pace  *pace
	since time.Time // the work began
}

func (p *pace) of(ctx context.Context) *pacer { return &pacer{ctx, p, time.Now()} }

// rest ends a stretch of work.
func (p *pacer) rest(bytes int) error {
	now := time.Now()
	if d := p.pace.after(now, now.Sub(p.since), bytes); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
	return nil
}

// resume begins the next one.
func (p *pacer) resume() { p.since = time.Now() }

// pacedWriter rests before each write.
type pacedWriter struct {
	io.Writer
	*pacer
}

// Write implements io.Writer.
func (w pacedWriter) Write(b []byte) (int, error) {
	if err := w.rest(len(b)); err != nil {
		return 0, err
	}
	defer w.resume()
	return w.Writer.Write(b)
}

// pacedReader rests before each read.
type pacedReader struct {
	io.Reader
	*pacer
}

// Read implements io.Reader.
func (r pacedReader) Read(b []byte) (int, error) {
	if err := r.rest(0); err != nil {
		return 0, err
	}
	defer r.resume()
	return r.Reader.Read(b)
}
