package sim

import (
	"fmt"
	"time"

	"pxkv/persist"
	"pxkv/persist/data"
)

// How a process ends against its will: it is killed, and finds all that it wrote when it starts
// again, synced or not; or the power goes, and takes what was not synced, of this life and of
// those before it.

// ending is about how a process ends.
type ending struct {
	back     time.Duration // after how long it starts again when its device kills it
	stopping bool          // it was asked to stop
	taken    int           // requests that it has taken and not answered
	answerBy time.Duration // when a node that stops waits for them no longer
}

// open opens the store, nil when the process was killed meanwhile.
func (n *node) open() *persist.DB {
	w := n.w
	n.life++
	n.ending = ending{}
	n.disk = newDevice(n.fs, n.faults, n.flushLater)
	if !n.killable() {
		n.faults.failIn.Store(0)
	}
	if w.faulty() && n.killable() && w.chance(w.o.KillAtStart) {
		n.disk.killAt(1 + w.rng.Int64N(30))
	}
	o := persist.Options{
		Dir: "data", FS: n.disk, Light: true, Limits: w.o.Store, ReuseSegments: w.o.RealDisk,
		Pebble:  data.Pebble{DisableCompactions: !w.o.Compacts},
		Fatal:   n.disk.Fatal,
		Between: n.tear, Place: n.place,
		Keys: n.keys, Random: n.random(1<<32 + uint64(n.life)),
	}
	if w.o.RealDisk {
		o.Background = n.disk
	}
	var db *persist.DB
	err := n.io(func() (err error) {
		db, err = persist.Open(o)
		return err
	})
	if n.disk.dead.Load() {
		w.stats.KilledAtStart++
		n.ended(db)
		n.restart(w.between(time.Millisecond, 500*time.Millisecond))
		return nil
	}
	n.disk.killAt(0)
	if err != nil {
		n.startFailed(nil, "open", err)
		return nil
	}
	return db
}

// startFailed lets a process that could not start on a disk with a fault try it again.
func (n *node) startFailed(db *persist.DB, what string, err error) {
	w := n.w
	if !n.faults.raised.Load() {
		w.fail("%s: %s: %v", n.name, what, err)
		return
	}
	w.stats.DiskFailures++
	n.ended(db)
	n.restart(w.between(50*time.Millisecond, time.Second))
}

// brokeDown ends a process that cannot go on, since its disk failed, or is not the one that it should be.
func (n *node) brokeDown(err error) {
	w := n.w
	if n.refused(err) {
		return
	}
	if !n.faults.raised.Load() {
		w.fail("%s: %v", n.name, err)
		return
	}
	w.stats.DiskFailures++
	n.crash()
	n.restart(w.between(50*time.Millisecond, 2*time.Second))
}

// flushLater is when a flush writes on.
func (n *node) flushLater(f func()) {
	w := n.w
	d := w.between(100*time.Microsecond, 50*time.Millisecond)
	if w.faulty() && w.chance(w.o.SlowDisk) {
		d = w.between(50*time.Millisecond, time.Second)
	}
	n.do(d+n.diskDelay(), f)
}

// recovered runs f, and makes the end that Fatal is an error.
func recovered(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return f()
}

// strikeDown crashes a node, at once or at one of its next writes, and lets it start again.
func (n *node) strikeDown(back time.Duration) {
	w := n.w
	if n.inMemory {
		n.forget(back)
		return
	}
	if w.o.KillAtBegin > 0 && n.killable() && w.chance(w.o.KillAtBegin) {
		n.back = back
		n.disk.killAtBegin(1 + w.rng.Int64N(4))
		return
	}
	if n.killable() && w.chance(w.o.KillAtWrite) {
		n.back = back
		n.disk.killAt(1 + w.rng.Int64N(60))
		return
	}
	n.crash()
	n.restart(back)
}

// killable is false of the node that has the cluster from the beginning, until it has made it, and of nodes in memory,
// which end when they can be spared.
func (n *node) killable() bool {
	return !n.inMemory && (n.joined || n.w.o.Expect > 0 || n != n.w.nodes[0])
}

// reap ends a process that its device has killed.
func (n *node) reap() bool {
	switch {
	case !n.up:
		return false
	case n.disk.failed.Load():
		n.brokeDown(errFatal)
		return true
	case !n.disk.dead.Load():
		return false
	}
	n.w.stats.KilledAtWrite++
	n.crash()
	n.restart(n.back)
	return true
}

// crash ends the process.
func (n *node) crash() {
	w := n.w
	if !n.up {
		return
	}
	w.stats.Crashes++
	w.note('c', uint64(n.id))
	n.up, n.tearing, n.fell = false, false, w.now
	for _, c := range w.clients {
		c.nodeCrashed(n)
	}
	w.check.forgets(n)
	w.reset(n)
	db := n.db
	n.db, n.host = nil, nil
	n.ended(db)
}

// ended takes from the disk what the end of the process does.
func (n *node) ended(db *persist.DB) {
	w := n.w
	percent := w.o.Unsynced
	if percent < 0 {
		percent = []int{0, 50, 100}[w.rng.IntN(3)]
	}
	n.disk.kill()
	if percent < 100 {
		disk, err := crashedDisk(n.fs, percent, w.rng.Uint64())
		if err == nil {
			err = n.faults.powerLoss(disk)
		}
		if err != nil {
			w.fail("%s: crash: %v", n.name, err)
			return
		}
		n.fs = disk
	}
	if db != nil {
		n.closeCrashed(db)
	}
}

// closeCrashed frees what a dead process held; nothing that it still writes counts. Where its store
// has given the disk up, on some goroutine, nothing ever is.
func (n *node) closeCrashed(db *persist.DB) {
	_ = n.io(db.Close)
}
