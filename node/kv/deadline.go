package kv

import (
	"context"
	"sync"
	"time"
)

// Deadline is the context of a request, like that of context.WithDeadline, but it makes no timer
// before somebody asks for Done. Most requests are answered without: a timer costs as much as a
// read that the local leader answers.
type Deadline struct {
	// Account is what AccountOf finds; it is set before the context is used. nil: what the parent has.
	Account *Account

	parent context.Context // ends when the client goes away, or the server cuts what is left
	at     time.Time

	mu     sync.Mutex
	armed  context.Context // nil until Done is asked for
	cancel context.CancelFunc
}

// NewDeadline returns the context that ends with parent, or at a time if that comes first. Release
// must follow.
func NewDeadline(parent context.Context, at time.Time) *Deadline {
	d := new(Deadline)
	d.Begin(parent, at)
	return d
}

// Begin makes d a context that ends with parent, or at a time if that comes first. It is for
// a d that lies within something else, and called once, before d is used; Release must follow.
func (d *Deadline) Begin(parent context.Context, at time.Time) {
	if earlier, ok := parent.Deadline(); ok && earlier.Before(at) {
		at = earlier
	}
	d.parent, d.at = parent, at
}

// Untimed is the context without its time limit, for who is answered by then anyway.
func (d *Deadline) Untimed() context.Context { return d.parent }

// Deadline implements context.Context.
func (d *Deadline) Deadline() (time.Time, bool) { return d.at, true }

// Done implements context.Context.
func (d *Deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.armed == nil {
		d.armed, d.cancel = context.WithDeadline(d.parent, d.at)
	}
	return d.armed.Done()
}

// Err implements context.Context.
func (d *Deadline) Err() error {
	if armed := d.current(); armed != d.parent {
		return armed.Err()
	}
	if err := d.parent.Err(); err != nil {
		return err
	}
	if !time.Now().Before(d.at) {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context. Once armed it asks the armed context, which lets
// package context recognise it and attach children without a goroutine.
func (d *Deadline) Value(key any) any {
	if key == (accountKey{}) && d.Account != nil {
		return d.Account
	}
	return d.current().Value(key)
}

// Release frees the timer, if there is one.
func (d *Deadline) Release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel != nil {
		d.cancel()
	}
}

func (d *Deadline) current() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.armed != nil {
		return d.armed
	}
	return d.parent
}
