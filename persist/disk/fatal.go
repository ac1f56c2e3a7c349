package disk

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Fail ends the node: it calls Options.Fatal, once, and never returns. Whoever comes later
// stays blocked, since the process is on its way out.
//
// A failed fsync is never retried: the kernel marks the failed pages clean, so the second
// try would succeed without writing them.
func (d *Disk) Fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !d.failed.CompareAndSwap(false, true) {
		select {}
	}
	d.Logger.Error("disk cannot be trusted, stopping", "dir", d.Dir, "reason", text)
	d.o.Fatal(text)
	panic("persist: Options.Fatal returned after: " + text)
}

// FailOnPanic, deferred around a write, ends the node in the same way when Pebble panics: it
// does so when it cannot close or create a file.
func (d *Disk) FailOnPanic() {
	if d.failed.Load() {
		return // the panic is Options.Fatal's own
	}
	if p := recover(); p != nil {
		d.Fail("disk write failed under %s: %v", d.Dir, p)
	}
}

// Rebuild is what can be done about corruption.
const Rebuild = "this node's data must be rebuilt: remove its data directory and let it join as a new node"

// ReadError sorts out why a read failed: corruption is the node's end, anything else (too
// many open files, say) is the caller's to handle.
func (d *Disk) ReadError(err error, corrupt bool) error {
	if corrupt {
		d.Fail("read of %s: %v; "+Rebuild, d.Dir, err)
	}
	return fmt.Errorf("read of %s: %w", d.Dir, err)
}

// slow hears, again and again, about an operation that has been under way for longer than
// StallAfter. Time in which this process did not run does not count.
func (d *Disk) slow(info vfs.DiskSlowInfo) {
	if paused := d.pauses.within(info.Duration); info.Duration-paused < d.o.StallAfter {
		return
	}
	d.Fail("disk stalled for %s: %s of %s; check the disk under %s", info.Duration, info.OpType, info.Path, d.Dir)
}
