package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Progress is what has happened in the current phase so far.
type Progress struct {
	Phase   string // "prepare", "warm up" or "measure"
	Elapsed time.Duration
	Done    uint64 // good answers
	Failed  uint64
}

// progressInterval is how often a caller hears of the progress.
const progressInterval = time.Second

// prepareAttempts is how often a key's first write is tried before Run gives up.
const prepareAttempts = 20

// Run measures as c says and returns when every connection has been closed. It calls
// progress each second, one call at a time; nil is allowed. When ctx ends early, the
// Result holds the figures so far and Interrupted is set. The error says what is wrong
// with c, or why the keys could not be prepared; failed requests are no error but counted.
func Run(ctx context.Context, c Config, progress func(Progress)) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	e := &engine{config: &c, progress: progress, workers: make([]*worker, c.Connections)}
	p := newPayloads(&c)
	for i := range e.workers {
		w, err := newWorker(ctx, &c, i, p)
		if err != nil {
			return nil, err
		}
		e.workers[i] = w
		defer w.conn.close()
	}
	if c.Prepare {
		if err := e.prepare(ctx); err != nil {
			return nil, err
		}
	}
	if c.Warmup > 0 {
		end := time.Now().Add(c.Warmup)
		e.phase("warm up", func(w *worker, _ int) { w.loop(ctx, until(end), end, false) })
	}
	elapsed := e.measure(ctx)
	return newResult(&c, e.workers, elapsed, ctx.Err() != nil), nil
}

type engine struct {
	config   *Config
	workers  []*worker
	progress func(Progress)
}

// measure runs the phase that counts and returns how long the counted part of it took.
func (e *engine) measure(ctx context.Context) time.Duration {
	begin := time.Now()
	var end time.Time // stays zero when the number of requests ends it
	take := func() func(time.Time) bool {
		if e.config.Requests > 0 {
			return atMost(e.config.Requests)
		}
		end = begin.Add(e.config.Duration)
		return until(end)
	}()
	e.phase("measure", func(w *worker, _ int) { w.loop(ctx, take, end, true) })
	elapsed := time.Since(begin)
	if !end.IsZero() {
		// Stragglers have their latency counted, but neither they nor the wait for them
		// belong to the rate.
		elapsed = min(elapsed, e.config.Duration)
	}
	return elapsed
}

// prepare writes every key once, each connection its share.
func (e *engine) prepare(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.phase("prepare", func(w *worker, conn int) {
		for key := conn; key < e.config.Keys && ctx.Err() == nil; key += len(e.workers) {
			if err := w.writeFirst(ctx, key); err != nil {
				cancel(err)
				return
			}
		}
	})
	if ctx.Err() != nil {
		return fmt.Errorf("keys not prepared: %w", context.Cause(ctx))
	}
	return nil
}

// writeFirst writes a key, again and again if it must: what counts is that it is there,
// so a write of unknown outcome may be repeated.
func (w *worker) writeFirst(ctx context.Context, key int) error {
	var kind string
	for range prepareAttempts {
		head, body := w.requester.write(key, w.draw.variant())
		if kind, _ = w.send(head, body, false); kind == "" {
			w.done.Add(1)
			return nil
		}
		w.failed.Add(1)
		if pause(ctx, 20*pauseAfterFailure); ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("writing %s to %s failed %d times, at last with: %s",
		keyText(key), w.conn.address, prepareAttempts, kind)
}

// phase runs do for every worker at once, reports progress meanwhile, and waits for all.
func (e *engine) phase(name string, do func(w *worker, conn int)) {
	for _, w := range e.workers {
		w.done.Store(0)
		w.failed.Store(0)
	}
	var working, reporting sync.WaitGroup
	finished := make(chan struct{})
	if e.progress != nil {
		reporting.Go(func() { e.report(name, finished) })
	}
	for conn, w := range e.workers {
		working.Go(func() { do(w, conn) })
	}
	working.Wait()
	close(finished)
	reporting.Wait()
}

func (e *engine) report(name string, finished <-chan struct{}) {
	begin := time.Now()
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-finished:
			return
		case <-ticker.C:
		}
		p := Progress{Phase: name, Elapsed: time.Since(begin)}
		for _, w := range e.workers {
			p.Done += w.done.Load()
			p.Failed += w.failed.Load()
		}
		e.progress(p)
	}
}

// until grants requests that begin before end.
func until(end time.Time) func(time.Time) bool {
	return func(now time.Time) bool { return now.Before(end) }
}

// atMost grants n requests over all connections.
func atMost(n uint64) func(time.Time) bool {
	var taken atomic.Uint64
	return func(time.Time) bool { return taken.Add(1) <= n }
}
