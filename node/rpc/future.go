package rpc

import (
	"context"
	"sync"
)

// Future is where one waits for what comes once, on another goroutine.
type Future[T any] struct {
	got chan T
	// Put gives what is waited for. It is called once, and does not block.
	Put func(T)
}

// NewFuture returns a Future.
func NewFuture[T any]() *Future[T] {
	f := &Future[T]{got: make(chan T, 1)}
	f.Put = func(v T) { f.got <- v }
	return f
}

// Wait returns what came; ok is false when ctx ended before.
func (f *Future[T]) Wait(ctx context.Context) (v T, ok bool) {
	select {
	case v = <-f.got:
		return v, true
	case <-ctx.Done():
	}
	select {
	case v = <-f.got: // at the same moment
		return v, true
	default:
		return v, false
	}
}

// Futures keeps Futures to be used again. The zero value is empty. It belongs to one node: what waits in it must
// not outlive that.
type Futures[T any] struct{ pool sync.Pool }

// Get returns a Future, which Wait takes back.
func (p *Futures[T]) Get() *Future[T] {
	if f, ok := p.pool.Get().(*Future[T]); ok {
		return f
	}
	return NewFuture[T]()
}

// Wait waits for what comes into a Future of Get, and takes it back once that came. What comes later than ctx ends
// is seen by nobody.
func (p *Futures[T]) Wait(ctx context.Context, f *Future[T]) (v T, ok bool) {
	if v, ok = f.Wait(ctx); ok {
		p.pool.Put(f)
	}
	return v, ok
}
