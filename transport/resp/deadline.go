package resp

import (
	"context"
	"sync"
	"time"
)

// deadline is the context of the commands that arrived together: like context.WithDeadline,
// but it makes no timer before somebody asks for Done. Reads that the local leader answers
// never do.
type deadline struct {
	context.Context // ends when the server cuts what is left at shutdown
	at              time.Time

	mu     sync.Mutex
	armed  context.Context // nil until Done is asked for
	cancel context.CancelFunc
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} { return d.arm().Done() }

// Err implements context.Context.
func (d *deadline) Err() error {
	if err := d.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(d.at) {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements context.Context. Asking the armed context lets package context recognise
// it and attach children without a goroutine.
func (d *deadline) Value(key any) any {
	d.mu.Lock()
	armed := d.armed
	d.mu.Unlock()
	if armed != nil {
		return armed.Value(key)
	}
	return d.Context.Value(key)
}

func (d *deadline) arm() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.armed == nil {
		d.armed, d.cancel = context.WithDeadline(d.Context, d.at)
	}
	return d.armed
}

// release frees the timer, if there is one.
func (d *deadline) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel != nil {
		d.cancel()
	}
}
