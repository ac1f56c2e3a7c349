package loadcheck

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	verifyWorkers  = 16
	maxExamples    = 5                // errors that a report quotes
	verifyDeadline = 15 * time.Second // for one key on one node, repetitions included
)

// Ledger holds the keys of all acknowledged writes. Several Loads may share one. The zero
// value is ready for use, and safe for use by many goroutines.
type Ledger struct {
	mu   sync.Mutex
	keys []string
}

// valueOf is the value that is written to a key: it follows from the key, so that the ledger
// needs to hold keys only.
func valueOf(key string) string { return "value of " + key }

func (g *Ledger) add(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keys = append(g.keys, key)
}

// Len returns the number of acknowledged writes.
func (g *Ledger) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.keys)
}

// any returns an acknowledged key, false when there is none yet.
func (g *Ledger) any() (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.keys) == 0 {
		return "", false
	}
	return g.keys[rand.IntN(len(g.keys))], true
}

func (g *Ledger) snapshot() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.keys[:len(g.keys):len(g.keys)]
}

// Verify reads every acknowledged key from every target and returns an error that counts
// and quotes what is missing or wrong. Answers that a node cannot read now are repeated
// for up to 15 s a key.
func (g *Ledger) Verify(ctx context.Context, targets []Target) error {
	c := newClient(verifyWorkers)
	defer c.close()
	var errs []error
	for _, t := range targets {
		errs = append(errs, verifyOn(ctx, t, g.snapshot(), c.get))
	}
	return errors.Join(errs...)
}

// VerifyOwn is like Verify, but reads from t's own replicas: t must be named as the node is,
// and have a replica of every partition. It is repeated, for up to 15 s a key, while the
// replica is behind or still being filled.
func (g *Ledger) VerifyOwn(ctx context.Context, t Target) error {
	c := newClient(verifyWorkers)
	defer c.close()
	return verifyOn(ctx, t, g.snapshot(), c.getOwn)
}

type getter func(ctx context.Context, t Target, key, want string) (outcome, error)

func verifyOn(ctx context.Context, t Target, keys []string, get getter) error {
	var (
		mu    sync.Mutex
		bad   int
		quote []error
		wg    sync.WaitGroup
	)
	work := make(chan string)
	for range verifyWorkers {
		wg.Go(func() {
			for key := range work {
				err := verifyKey(ctx, t, key, get)
				if err == nil {
					continue
				}
				mu.Lock()
				if bad++; bad <= maxExamples {
					quote = append(quote, err)
				}
				mu.Unlock()
			}
		})
	}
	feed(ctx, work, keys)
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("verify on %s was cut short: %w", t.Name, context.Cause(ctx))
	case bad > 0:
		return fmt.Errorf("%d of %d acknowledged pairs are not on %s: %w", bad, len(keys), t.Name,
			errors.Join(quote...))
	}
	return nil
}

// feed hands out keys until ctx ends, and closes work.
func feed(ctx context.Context, work chan<- string, keys []string) {
	defer close(work)
	for _, key := range keys {
		select {
		case work <- key:
		case <-ctx.Done():
			return
		}
	}
}

func verifyKey(ctx context.Context, t Target, key string, get getter) error {
	ctx, cancel := context.WithTimeout(ctx, verifyDeadline)
	defer cancel()
	for {
		o, err := get(ctx, t, key, valueOf(key))
		if o == done || o == absent || o == failed {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
