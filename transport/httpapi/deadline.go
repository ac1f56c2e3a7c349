package httpapi

import (
	"context"
	"sync"
	"time"
)

// deadlineContext is a request's context with a deadline, like context.WithDeadline, but
// it makes no timer before somebody asks for Done. A read that the local leader answers
// never does, and a timer costs as much as such a read.
type deadlineContext struct {
	context.Context // the request's: ends when the client goes away
	deadline        time.Time

	mu     sync.Mutex
	armed  context.Context // nil until Done is asked for
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (c *deadlineContext) Deadline() (time.Time, bool) {
	if d, ok := c.Context.Deadline(); ok && d.Before(c.deadline) {
		return d, true
	}
	return c.deadline, true
}

// Done implements context.Context.
func (c *deadlineContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed == nil {
		c.armed, c.cancel = context.WithDeadline(c.Context, c.deadline)
	}
	return c.armed.Done()
}

// Err implements context.Context.
func (c *deadlineContext) Err() error {
	if armed := c.current(); armed != c.Context {
		return armed.Err()
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context. Once armed it asks the armed context, which lets
// package context recognise it and attach children without a goroutine.
func (c *deadlineContext) Value(key any) any { return c.current().Value(key) }

// release frees the timer, if there is one.
func (c *deadlineContext) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}

func (c *deadlineContext) current() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed != nil {
		return c.armed
	}
	return c.Context
}
