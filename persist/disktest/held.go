package disktest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Held holds up the chosen operations between hold and release.
type Held struct {
	chosen  func(errorfs.Op) bool
	held    atomic.Pointer[chan struct{}]
	reached chan struct{}
}

// NewHeld holds nothing up yet.
func NewHeld(chosen func(errorfs.Op) bool) *Held {
	return &Held{chosen: chosen, reached: make(chan struct{}, 1000)}
}

// String implements errorfs.Injector.
func (d *Held) String() string { return "held" }

// Hold holds the chosen operations up, until release.
func (d *Held) Hold() (release func()) {
	c := make(chan struct{})
	d.held.Store(&c)
	return func() { d.held.Store(nil); close(c) }
}

// MaybeError implements errorfs.Injector.
func (d *Held) MaybeError(op errorfs.Op) error {
	if c := d.held.Load(); c != nil && d.chosen(op) {
		select {
		case d.reached <- struct{}{}:
		default:
		}
		<-*c
	}
	return nil
}

// Await waits until an operation is held up.
func (d *Held) Await(t testing.TB) {
	t.Helper()
	select {
	case <-d.reached:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing reached the disk")
	}
}
