package loadcheck

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultRate   = 200              // writes a second
	maxInFlight   = 64               // writes at once; above it the rate falls
	writeDeadline = 30 * time.Second // for one write with all its repetitions
	retryPause    = 20 * time.Millisecond
	probeInterval = 100 * time.Millisecond
)

// Load writes keys Prefix0, Prefix1 and so on through its targets in turn, leaving out those
// that did not answer until they say that they are ready again. After each acknowledged
// write it reads a random acknowledged key through another target.
type Load struct {
	Prefix  string   // begins the keys; use each once for a cluster
	Rate    int      // writes a second, 0 means 200
	Targets []Target // at least one
	Ledger  *Ledger  // takes the acknowledged keys

	client *client
	down   []atomic.Bool // by target
	turn   atomic.Uint64
	tally  tally
}

// Run writes until ctx ends, waits for what is under way (at most 30 s), and returns what
// happened. An error means that it could not begin. A Load runs once.
func (l *Load) Run(ctx context.Context) (Summary, error) {
	if len(l.Targets) == 0 || l.Ledger == nil || l.client != nil {
		return Summary{}, errors.New("loadcheck: a Load needs targets and a ledger, and runs once")
	}
	l.client = newClient(maxInFlight)
	defer l.client.close()
	l.down = make([]atomic.Bool, len(l.Targets))
	l.tally.start(time.Now())

	probing, stopProbing := context.WithCancel(context.WithoutCancel(ctx))
	var probers, writers sync.WaitGroup
	for i := range l.Targets {
		probers.Go(func() { l.probe(probing, i) })
	}
	l.writeAll(ctx, &writers)
	l.tally.stop(time.Now())
	writers.Wait()
	stopProbing()
	probers.Wait()
	return l.tally.summary(), nil
}

// writeAll starts one write a tick until ctx ends.
func (l *Load) writeAll(ctx context.Context, writers *sync.WaitGroup) {
	rate := l.Rate
	if rate <= 0 {
		rate = defaultRate
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	slots := make(chan struct{}, maxInFlight)
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		}
		writers.Go(func() {
			defer func() { <-slots }()
			l.writeAndReadBack(context.WithoutCancel(ctx), fmt.Sprintf("%s%d", l.Prefix, n))
		})
	}
}

func (l *Load) writeAndReadBack(ctx context.Context, key string) {
	ctx, cancel := context.WithTimeout(ctx, writeDeadline)
	defer cancel()
	begin := time.Now()
	if !l.write(ctx, key) {
		return
	}
	now := time.Now()
	l.Ledger.add(key)
	l.tally.acknowledged(now, now.Sub(begin))
	if earlier, ok := l.Ledger.any(); ok {
		l.read(ctx, earlier)
	}
}

// write repeats attempts that were certainly not done, and tells whether the write was
// acknowledged.
func (l *Load) write(ctx context.Context, key string) bool {
	for {
		i := l.next()
		o, err := l.client.put(ctx, l.Targets[i], key, valueOf(key))
		switch o {
		case done:
			return true
		case notDone:
			l.tally.repeated()
		case refused:
			l.tally.repeated()
			l.down[i].Store(true)
		case unknown:
			l.down[i].Store(true)
			l.tally.unknown(err)
			return false
		default:
			l.tally.failed(err)
			return false
		}
		if !pause(ctx) {
			l.tally.failed(fmt.Errorf("given up after %v: %w", writeDeadline, err))
			return false
		}
	}
}

// read asks for an acknowledged key. A read changes nothing, so every attempt that brought
// no answer may be repeated.
func (l *Load) read(ctx context.Context, key string) {
	begin := time.Now()
	for {
		i := l.next()
		o, err := l.client.get(ctx, l.Targets[i], key, valueOf(key))
		switch o {
		case done:
			l.tally.read(time.Since(begin))
			return
		case absent, failed:
			l.tally.lost(err)
			return
		case refused, unknown:
			l.down[i].Store(true)
		}
		if !pause(ctx) {
			l.tally.failed(fmt.Errorf("given up after %v: %w", writeDeadline, err))
			return
		}
	}
}

// next returns the target whose turn it is among those that answer; when none does, the one
// whose turn it is.
func (l *Load) next() int {
	turn := int(l.turn.Add(1) % uint64(len(l.Targets)))
	for k := range l.Targets {
		if i := (turn + k) % len(l.Targets); !l.down[i].Load() {
			return i
		}
	}
	return turn
}

// probe lets target i take part again once it is ready. A port that a container engine
// publishes may accept connections before the process behind it listens.
func (l *Load) probe(ctx context.Context, i int) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l.down[i].Load() && l.client.ready(ctx, l.Targets[i]) {
			l.down[i].Store(false)
		}
	}
}

// pause waits a moment before a repetition, false when ctx ended.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(retryPause):
		return true
	}
}
