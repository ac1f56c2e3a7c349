// Package parts runs what a process consists of: parts that start in an order and end in reverse, each
// with an end of its own.
//
// Callers: cmd/pxkv/server, and the tests of package node, which run whole nodes.
//
// It must not know what any part does.
package parts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Set is the parts of one process, in the order of their start. Its methods are for one goroutine.
type Set struct {
	list   []*Part
	failed chan error
}

// Part is one of them.
type Part struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	err    error
}

// New returns a Set of nothing.
func New() *Set { return &Set{failed: make(chan error, 16)} }

// Start starts a part: run goes on until its context ends. One that ends before has failed.
func (s *Set) Start(name string, run func(context.Context) error) *Part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Part{cancel: cancel}
	p.done.Go(func() {
		p.err = run(ctx)
		if p.err != nil {
			p.err = fmt.Errorf("%s: %w", name, p.err)
		}
		if ctx.Err() == nil {
			err := p.err
			if err == nil {
				err = fmt.Errorf("%s ended by itself", name)
			}
			select {
			case s.failed <- err:
			default: // one reason to stop is enough
			}
		}
	})
	s.list = append(s.list, p)
	return p
}

// Failed gives why a part has ended by itself.
func (s *Set) Failed() <-chan error { return s.failed }

// Await returns what wait returns, whose context ends when a part fails, with that as its cause.
func (s *Set) Await(ctx context.Context, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var watching sync.WaitGroup
	defer watching.Wait()
	waited := make(chan struct{})
	defer close(waited)
	watching.Go(func() {
		select {
		case err := <-s.failed:
			cancel(err)
		case <-waited:
		}
	})
	return wait(ctx)
}

// Stop ends some parts, all at once, and waits for them; with none given the rest, one after the other in reverse
// order. It does not repeat the error that is already told.
func (s *Set) Stop(told error, some ...*Part) error {
	var errs []error
	end := func(p *Part) {
		p.cancel()
		if p.done.Wait(); !errors.Is(told, p.err) {
			errs = append(errs, p.err)
		}
	}
	if len(some) == 0 {
		for _, p := range slices.Backward(s.list) {
			end(p)
		}
		s.list = nil
		return errors.Join(errs...)
	}
	for _, p := range some {
		p.cancel()
	}
	for _, p := range some {
		end(p)
	}
	s.list = slices.DeleteFunc(s.list, func(p *Part) bool { return slices.Contains(some, p) })
	return errors.Join(errs...)
}
