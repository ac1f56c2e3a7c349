package sim

import (
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/crypt"
)

// device is a disk as one life of a process sees it. The process can be killed at any of its
// writes: what it still does after that goes nowhere, and the disk is as it was at that moment,
// with what was written and not synced (a power loss takes that; see crashedDisk). A flush in the
// background writes when the world says so. And it can fail, be full, and hang: see diskfaults.go.
type device struct {
	vfs.FS // what is there
	do     doLater
	faults *diskFaults // of the disk

	dead    atomic.Bool
	gone    chan struct{} // closed when dead
	left    atomic.Int64  // writes until the process is killed; 0: it is not to be
	begins  atomic.Int64  // likewise, writes that begin a file of the log
	nowhere *vfs.MemFS    // gets the files that a dead process makes
	die     sync.Once

	met    atomic.Bool   // an operation ended in an error
	fatal  chan struct{} // closed when the store has called Fatal
	failed atomic.Bool   // likewise, while the process lived
	broken sync.Once

	flush          <-chan struct{} // of the one under way, nil when none is
	held           atomic.Bool     // a flush is under way, and waits where it would write
	arrived, going chan struct{}
}

// doLater runs f in this life of the process, after a delay that suits a disk.
type doLater func(f func())

func newDevice(fs vfs.FS, faults *diskFaults, do doLater) *device {
	faults.raised.Store(false)
	return &device{
		FS: fs, do: do, faults: faults, gone: make(chan struct{}), nowhere: vfs.NewMem(),
		fatal: make(chan struct{}), arrived: make(chan struct{}), going: make(chan struct{}),
	}
}

// kill ends the process as the disk sees it.
func (d *device) kill() {
	d.dead.Store(true)
	d.die.Do(func() { close(d.gone) })
}

// killAt kills the process at one of its next writes, 0 for not at all.
func (d *device) killAt(write int64) {
	d.left.Store(write)
	d.begins.Store(0)
}

// killAtBegin kills the process at one of its next writes that begin a file of the log: where a header lies, and
// perhaps that of what the file was before.
func (d *device) killAtBegin(write int64) { d.begins.Store(write) }

// Fatal is where a process ends whose store cannot trust the disk any more: nothing of what
// called it goes on, on whichever goroutine.
func (d *device) Fatal(text string) {
	if !d.met.Load() {
		panic(text) // there is nothing wrong with this disk
	}
	d.failed.Store(!d.dead.Load())
	d.broken.Do(func() { close(d.fatal) })
	select {}
}

// ask is called before a write that needs some room. lives is false when it has no effect, since the process is
// dead. Removals do not ask: Pebble removes what nothing names any more on a goroutine of its own,
// at any time.
func (d *device) ask(room int64) (lives bool, err error) {
	if d.dead.Load() {
		return false, nil
	}
	if d.left.Load() > 0 && d.left.Add(-1) == 0 {
		d.kill()
		return false, nil
	}
	return true, d.meet(d.faults.raise(room))
}

// meet takes note of an error.
func (d *device) meet(err error) error {
	if err != nil {
		d.met.Store(true)
	}
	return err
}

// Flush implements data.Background: the flush comes as far as its first write, and goes on,
// from there to the next moment that a crash can tell apart, after some time.
func (d *device) Flush(start func() (<-chan struct{}, error)) (<-chan struct{}, error) {
	d.held.Store(true)
	done, err := start()
	if err != nil {
		d.held.Store(false)
		return nil, err
	}
	d.flush = done
	d.await()
	d.goOn()
	return done, nil
}

func (d *device) goOn() {
	done := d.flush
	if done == nil {
		return
	}
	d.do(func() {
		if d.flush == done {
			d.step()
			d.goOn()
		}
	})
}

// Finish implements data.Background.
func (d *device) Finish() {
	for d.flush != nil {
		d.step()
	}
}

// step lets a flush pass the place where it waits.
func (d *device) step() {
	select {
	case d.going <- struct{}{}:
	case <-d.gone:
	case <-d.flush:
	}
	d.await()
}

// await returns when the flush has come to where it waits, or to its end.
func (d *device) await() {
	select {
	case <-d.arrived:
		return
	case <-d.fatal:
	case <-d.flush:
	case <-d.gone:
		select {
		case <-d.fatal:
		case <-d.flush:
		}
	}
	d.flush = nil
	d.held.Store(false)
}

// hold is where a flush waits.
func (d *device) hold() {
	if !d.held.Load() {
		return
	}
	select {
	case d.arrived <- struct{}{}:
	case <-d.gone:
		return
	}
	select {
	case <-d.going:
	case <-d.gone:
	}
}

// A table that a flush makes, and the record in the manifest that makes it count.
func isFlushed(name string) bool {
	return strings.HasSuffix(name, ".sst") && !strings.Contains(name, "staging")
}
func isLog(name string) bool      { return strings.HasPrefix(name, "data/log/") }
func isManifest(name string) bool { return strings.Contains(name, "MANIFEST") }

// Create implements vfs.FS.
func (d *device) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if isFlushed(name) {
		d.hold()
	}
	return d.make(name, func() (vfs.File, error) {
		d.faults.forget(name)
		return d.FS.Create(name, category)
	})
}

// OpenReadWrite implements vfs.FS.
func (d *device) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.make(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, category, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (d *device) ReuseForWrite(was, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.make(name, func() (vfs.File, error) {
		d.faults.renamed(was, name)
		return d.FS.ReuseForWrite(was, name, category)
	})
}

func (d *device) make(name string, do func() (vfs.File, error)) (vfs.File, error) {
	lives, err := d.ask(0)
	if err != nil {
		return nil, err
	}
	if !lives {
		do = func() (vfs.File, error) {
			return d.nowhere.Create(d.nowhere.PathBase(name), vfs.WriteCategoryUnspecified)
		}
	}
	return d.file(name, do)
}

func (d *device) file(name string, open func() (vfs.File, error)) (vfs.File, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	return &deviceFile{File: f, d: d, name: name}, nil
}

// Open implements vfs.FS.
func (d *device) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) {
		if f, err := d.nowhere.Open(d.nowhere.PathBase(name), opts...); err == nil && d.dead.Load() {
			return f, nil // a compaction reads the table that it has just made
		}
		return d.FS.Open(name, opts...)
	})
}

// OpenDir implements vfs.FS.
func (d *device) OpenDir(name string) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.OpenDir(name) })
}

// Link implements vfs.FS.
func (d *device) Link(from, to string) error {
	return d.change(func() error { return d.FS.Link(from, to) })
}

// Rename implements vfs.FS.
func (d *device) Rename(from, to string) error {
	return d.change(func() error {
		d.faults.renamed(from, to)
		return d.FS.Rename(from, to)
	})
}

// MkdirAll implements vfs.FS.
func (d *device) MkdirAll(dir string, perm os.FileMode) error {
	return d.change(func() error { return d.FS.MkdirAll(dir, perm) })
}

func (d *device) change(do func() error) error {
	if lives, err := d.ask(0); !lives || err != nil {
		return err
	}
	return do()
}

// Remove implements vfs.FS.
func (d *device) Remove(name string) error {
	if d.dead.Load() {
		return nil
	}
	d.faults.freed(d.FS, name)
	return d.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (d *device) RemoveAll(name string) error {
	if d.dead.Load() {
		return nil
	}
	d.faults.freed(d.FS, name)
	return d.FS.RemoveAll(name)
}

// Lock implements vfs.FS: the simulation has one process a disk at a time.
func (d *device) Lock(string) (io.Closer, error) { return unlocked{}, nil }

// GetDiskUsage implements vfs.FS.
func (d *device) GetDiskUsage(string) (vfs.DiskUsage, error) { return d.faults.usage(), nil }

// Unwrap implements vfs.FS.
func (d *device) Unwrap() vfs.FS { return d.FS }

type unlocked struct{}

func (unlocked) Close() error { return nil }

// deviceFile is an open file. A write at which the process is killed, or the disk fails, is done
// by half.
type deviceFile struct {
	vfs.File
	d    *device
	name string
	at   int64 // of the next Write
}

// Write implements vfs.File.
func (f *deviceFile) Write(b []byte) (int, error) {
	n, err := f.write(b, f.at, f.File.Write)
	f.at += int64(len(b))
	return n, err
}

// WriteAt implements vfs.File.
func (f *deviceFile) WriteAt(b []byte, at int64) (int, error) {
	return f.write(b, at, func(b []byte) (int, error) { return f.File.WriteAt(b, at) })
}

func (f *deviceFile) write(b []byte, at int64, do func([]byte) (int, error)) (int, error) {
	was := f.d.dead.Load()
	if isLog(f.name) && at <= crypt.HeaderBytes && f.d.begins.Load() > 0 && f.d.begins.Add(-1) == 0 {
		f.d.killAt(1)
	}
	lives, err := f.d.ask(f.grows(at + int64(len(b))))
	if !lives && isFlushed(f.name) {
		return do(b) // a dead process reads the table that it has made; nothing names it on the disk
	}
	if lives && err == nil {
		f.d.faults.written(f.name, at, int64(len(b)))
		return do(b)
	}
	if !was {
		_, _ = do(b[:len(b)/2])
	}
	return len(b), err
}

// grows is by how much a write up to an offset makes the file longer.
func (f *deviceFile) grows(end int64) int64 {
	info, err := f.File.Stat()
	if err != nil || !f.d.faults.limited.Load() {
		return 0
	}
	return max(0, end-info.Size())
}

// Read implements vfs.File.
func (f *deviceFile) Read(b []byte) (int, error) {
	if err := f.d.unreadable(); err != nil {
		return 0, err
	}
	return f.File.Read(b)
}

// ReadAt implements vfs.File.
func (f *deviceFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.d.unreadable(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}

func (d *device) unreadable() error {
	if d.dead.Load() {
		return nil
	}
	return d.meet(d.faults.unreadable())
}

// Sync implements vfs.File.
func (f *deviceFile) Sync() error { return f.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *deviceFile) SyncData() error { return f.sync(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *deviceFile) SyncTo(length int64) (full bool, err error) {
	err = f.sync(func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

// sync fails like a kernel does: the pages are clean then, and a second try does not write them.
func (f *deviceFile) sync(do func() error) error {
	if isManifest(f.name) {
		f.d.hold()
	}
	lives, err := f.d.ask(0)
	if err != nil {
		f.d.faults.lose(f.d.FS, f.name)
		return err
	}
	if !lives {
		return nil
	}
	return do()
}
