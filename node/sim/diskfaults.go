package sim

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskFaults is what is wrong with a node's disk. It outlives processes.
type diskFaults struct {
	failIn  atomic.Int64 // writes until one fails; 0: none does
	raised  atomic.Bool  // this life of the process has met an error
	reads   bool         // reads fail
	limited atomic.Bool  // only room bytes are free
	room    atomic.Int64
	stalled time.Duration // until when nothing is written
	slow    time.Duration // how long each fsync takes at most, all the time

	// lost are blocks of files that an fsync failed to write: they read as they were written, and
	// a power loss shows what was there before. Writing one again makes it good.
	lost map[string]map[int64][]byte
}

// diskBytes is how large a disk is that is full; a quarter of it is the reserve, below which a
// node takes no writes.
const diskBytes = 1 << 20

func (f *diskFaults) usage() vfs.DiskUsage {
	if !f.limited.Load() {
		return vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 41}
	}
	return vfs.DiskUsage{AvailBytes: uint64(max(0, f.room.Load())), TotalBytes: diskBytes}
}

// raise is the error of the next write, which needs some room.
func (f *diskFaults) raise(room int64) error {
	if f.failIn.Load() > 0 && f.failIn.Add(-1) == 0 {
		f.raised.Store(true)
		return syscall.EIO
	}
	if f.limited.Load() && room > 0 && f.room.Add(-room) < 0 {
		f.room.Add(room)
		f.raised.Store(true)
		return syscall.ENOSPC
	}
	return nil
}

func (f *diskFaults) unreadable() error {
	if !f.reads {
		return nil
	}
	f.raised.Store(true)
	return syscall.EIO
}

// freed gives the room of what is removed back. What Pebble removes on a goroutine of its own is
// not counted.
func (f *diskFaults) freed(fs vfs.FS, path string) {
	if !f.limited.Load() || strings.HasPrefix(path, "data/db") {
		return
	}
	info, err := fs.Stat(path)
	switch {
	case err != nil:
	case info.IsDir():
		names, _ := fs.List(path)
		for _, name := range names {
			f.freed(fs, fs.PathJoin(path, name))
		}
	default:
		f.room.Add(info.Size())
	}
}

// lose takes note of what an fsync of a file failed to write.
func (f *diskFaults) lose(fs vfs.FS, path string) {
	mem, ok := fs.(*vfs.MemFS)
	if !ok {
		return
	}
	now, err := content(mem, path)
	if err != nil {
		return // a directory
	}
	was, _ := content(mem.CrashClone(vfs.CrashCloneCfg{}), path)
	for at := int64(0); at < int64(len(now)); at += tornBlock {
		end := min(at+tornBlock, int64(len(now)))
		old := make([]byte, end-at)
		if at < int64(len(was)) {
			copy(old, was[at:])
		}
		if bytes.Equal(old, now[at:end]) {
			continue
		}
		if f.lost[path] == nil {
			f.lost[path] = map[int64][]byte{}
		}
		if f.lost[path][at] == nil { // else it was lost before
			f.lost[path][at] = old
		}
	}
}

// written makes the blocks good that are written again.
func (f *diskFaults) written(path string, from, length int64) {
	for at := from / tornBlock * tornBlock; at < from+length && f.lost[path] != nil; at += tornBlock {
		delete(f.lost[path], at)
	}
}

func (f *diskFaults) forget(path string) { delete(f.lost, path) }

func (f *diskFaults) renamed(from, to string) {
	delete(f.lost, to)
	if l := f.lost[from]; l != nil {
		f.lost[to] = l
		delete(f.lost, from)
	}
}

// powerLoss shows on a disk what fsyncs failed to write.
func (f *diskFaults) powerLoss(fs *vfs.MemFS) error {
	for path, blocks := range f.lost {
		if _, err := fs.Stat(path); err != nil {
			continue // it is gone
		}
		file, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		info, err := file.Stat()
		for at, old := range blocks {
			if err == nil && at < info.Size() {
				_, err = file.WriteAt(old[:min(int64(len(old)), info.Size()-at)], at)
			}
		}
		if err == nil {
			err = file.Sync()
		}
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	f.lost = map[string]map[int64][]byte{}
	return nil
}

var errFatal = errors.New("the store has given up its disk")

// io runs what may wait for the disk. When the store gives the disk up, nothing of it goes on.
func (n *node) io(f func() error) error {
	if !n.w.o.failing() {
		return recovered(f)
	}
	done := make(chan error, 1)
	go func() { done <- recovered(f) }()
	select {
	case err := <-done:
		return err
	case <-n.disk.fatal:
		return errFatal
	}
}

// DiskFaults are how often disks fail, in a simulated second over the whole cluster.
type DiskFaults struct {
	FailRate  float64 // an operation fails, and the process ends
	FullRate  float64 // a disk has little room for a while
	StallRate float64 // a disk does nothing for up to 5 s
	SlowNode  bool    // the disk of one node is slow all the time
}

func drawDiskFaults(r *rand.Rand) DiskFaults {
	var d DiskFaults
	if r.IntN(3) > 0 {
		return d
	}
	some := func(limit float64) float64 { return limit * r.Float64() * float64(r.IntN(2)) }
	d.FailRate, d.FullRate, d.StallRate = some(0.6), some(0.5), some(0.4)
	d.SlowNode = r.IntN(4) == 0
	return d
}

// BrokenDisks makes options for a run about processes that end in the middle of what they write, and
// disks that fail, while the power goes and comes, on a good network: what was not synced, or what an
// fsync did not write, is lost only then. Values are long, so that the next record does not write
// the last one's blocks again.
func BrokenDisks(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 8))
	o.Nodes, o.Replicas = 3, 3
	o.RealDisk = r.IntN(4) > 0
	o.KillAtWrite, o.KillAtStart = 0.3+0.5*r.Float64(), 0.2*r.Float64()
	o.DiskFaults = DiskFaults{FailRate: 1 + 2*r.Float64()}
	o.CrashRate, o.PowerLoss, o.Unsynced = 1+2*r.Float64(), 0.3*r.Float64(), -1
	o.Drop, o.Duplicate, o.Slow, o.CutRate, o.PauseRate, o.PanicRate = 0, 0, 0, 0, 0, 0
	o.CopyRate, o.Replace, o.Moves, o.Forming = 0, 0, Moves{Limits: o.Moves.Limits}, Forming{}
	o.Writes, o.Large, o.LargeBits, o.LogBytes = 0.55, 0.6, 17, 256<<10
	if o.Encrypted != 0 { // a file of the log that is used again gets its new header where the old one is
		o.Store.Log.SegmentBytes, o.KillAtBegin = 4<<10, 0.3
	}
	return o
}

// failing reports whether any operation of a disk may fail.
func (d *DiskFaults) failing() bool { return d.FailRate+d.FullRate > 0 }

// slowDisk makes one disk slow for the whole run.
func (w *World) slowDisk() {
	if w.o.SlowNode {
		w.nodes[w.rng.IntN(len(w.nodes))].faults.slow = w.between(5*time.Millisecond, 150*time.Millisecond)
	}
}

// strikeDisks draws this moment's faults of disks.
func (w *World) strikeDisks(happens func(rate float64) bool, pick func() *node) {
	if happens(w.o.FailRate) {
		n := pick()
		switch {
		case !n.killable():
		case w.chance(0.2):
			n.faults.reads = true
			w.after(w.between(0, time.Second), func() { n.faults.reads = false })
		default:
			n.faults.failIn.Store(1 + w.rng.Int64N(40))
		}
	}
	if happens(w.o.FullRate) {
		n := pick()
		w.stats.FullDisks++
		n.faults.limited.Store(true)
		n.faults.room.Store(w.rng.Int64N(diskBytes / 2))
		w.after(w.between(100*time.Millisecond, 3*time.Second), func() { n.faults.limited.Store(false) })
	}
	if happens(w.o.StallRate) {
		n := pick()
		w.stats.Stalls++
		n.faults.stalled = w.now + w.between(200*time.Millisecond, 5*time.Second)
	}
}

// healDisks makes all disks good.
func (w *World) healDisks() {
	for _, n := range w.nodes {
		n.faults.failIn.Store(0)
		n.faults.limited.Store(false)
		n.faults.reads, n.faults.stalled, n.faults.slow = false, 0, 0
	}
}

// diskDelay is by how much a write takes longer than on a good disk.
func (n *node) diskDelay() time.Duration {
	w := n.w
	d := max(0, n.faults.stalled-w.now)
	if n.faults.slow > 0 {
		d += w.between(0, n.faults.slow)
	}
	return d
}

// full reports whether the node takes no writes, since its disk has less than its reserve.
func (n *node) full() bool {
	return n.faults.limited.Load() && n.faults.room.Load() < diskBytes/4
}
