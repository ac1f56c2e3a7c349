package disk

import (
	"context"
	"sync"
	"sync/atomic"
)

// Task is a piece of work that waits for the disk, and for which nobody waits: above all not the turns of
// the groups, which would miss their heartbeats. It is done by one at a time, and again whenever it is
// asked for after it has begun.
type Task struct {
	asked atomic.Bool
	doing sync.Mutex
}

// InBackground does the work of t soon, unless it is about to be done anyway.
func (d *Disk) InBackground(t *Task, work func()) {
	if !t.asked.CompareAndSwap(false, true) {
		return
	}
	run := func() {
		t.asked.Store(false) // from here on something may be new
		if d.IsOpen() {
			work()
		}
	}
	switch {
	case d.o.Inline || installOnTheTurn:
		run()
	default:
		d.tasks.Go(func() {
			t.doing.Lock()
			defer t.doing.Unlock()
			run()
		})
	}
}

// Context of work in the background: it ends when the stores are closed.
func (d *Disk) Context() context.Context { return d.ctx }
