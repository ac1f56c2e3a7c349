package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrClosed is returned by every method of a store after it was closed.
var ErrClosed = errors.New("store is closed")

// Options of Open; all are required.
type Options struct {
	FS  vfs.FS
	Dir string // of the node
	// Pebble is the directory below Dir whose failed sync ends the node: see orderedFS.
	Pebble string
	Logger *slog.Logger
	// Fatal is called once, when the disk cannot be trusted any more. It must not return.
	Fatal func(text string)
	// StallAfter is how long one operation may take, while this process runs, before Fatal is called. 0 is
	// for ever.
	StallAfter time.Duration
	// Inline has work of the background done by who asks for it.
	Inline bool
}

// Disk is the directory of a node.
type Disk struct {
	FS     vfs.FS // watched for stalls and with an order among new files
	Dir    string
	Logger *slog.Logger

	o      Options
	watch  io.Closer
	pauses *pauses

	open   atomic.Bool // Begin was called and End was not
	failed atomic.Bool // Fatal was called

	tasks  sync.WaitGroup
	ctx    context.Context // ends with End
	cancel context.CancelFunc
}

// beatsPerStall is how many times in StallAfter it is noted that the process runs.
const beatsPerStall = 20

// Open begins to watch a disk, until Close.
func Open(o Options) *Disk {
	d := &Disk{Dir: o.Dir, Logger: o.Logger, o: o}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.pauses = newPauses(time.Now, max(o.StallAfter/beatsPerStall, time.Millisecond))
	if o.StallAfter > 0 {
		d.tasks.Go(func() { d.pauses.run(d.ctx) })
	}
	watched, watch := vfs.WithDiskHealthChecks(o.FS, o.StallAfter, nil, d.slow)
	d.FS, d.watch = &orderedFS{watched, d.Path(o.Pebble), d.Fail}, watch
	return d
}

// Path of what is in the directory.
func (d *Disk) Path(names ...string) string {
	return d.o.FS.PathJoin(append([]string{d.Dir}, names...)...)
}

// Begin says that the stores are open.
func (d *Disk) Begin() { d.open.Store(true) }

// IsOpen reports whether Begin was called and End was not.
func (d *Disk) IsOpen() bool { return d.open.Load() }

// End says that the stores are about to be closed; false when they are not open.
func (d *Disk) End() bool { return d.open.CompareAndSwap(true, false) }

// Failed reports whether the disk was found not to be trusted.
func (d *Disk) Failed() bool { return d.failed.Load() }

// Halt ends the work in the background, and waits for what is under way unless the disk has failed.
func (d *Disk) Halt() {
	d.cancel()
	if !d.Failed() {
		d.tasks.Wait()
	}
}

// Close ends the watch.
func (d *Disk) Close() error { return d.watch.Close() }

// FreeBytes is how much room the file system has, and how large it is. In memory it is an error.
func (d *Disk) FreeBytes() (free, total uint64, err error) {
	du, err := d.FS.GetDiskUsage(d.Dir)
	if err != nil {
		return 0, 0, fmt.Errorf("disk usage of %s: %w", d.Dir, err)
	}
	return du.AvailBytes, du.TotalBytes, nil
}
