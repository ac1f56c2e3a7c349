package persist

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// leastFlush is how many bytes of effects are worth a flush before the write buffer is full.
	leastFlush = 1 << 20
	// Options.Light flushes while the caller waits, so that what a crash leaves does not depend
	// on how fast a background goroutine is: as soon as somebody wants to truncate a log, whose
	// limit may be a few KiB there, and long before the write buffer is full.
	lightLeastFlush = 1 << 10
	lightFlush      = 64 << 10
)

// wantDurable brings r.durable up to date, and has more made durable when that is worth it.
func (db *DB) wantDurable(r *Replica) {
	db.learnDurable()
	if r.durable < r.applied.Load().Index {
		db.drainPartition(r.partition)
		db.wantFlush(false)
		db.learnDurable()
	}
}

// wantFlush starts a flush, unless one that was started here is under way, or there is too
// little to flush and it is not urgent.
func (db *DB) wantFlush(urgent bool) {
	switch {
	case db.opts.Light && (urgent || db.unflushed.Load() >= lightLeastFlush):
		db.flushNow()
	case !db.opts.Light && (urgent || db.unflushed.Load() >= leastFlush):
		db.flush()
	}
}

// flush starts a flush in the background.
func (db *DB) flush() {
	db.flushing.Lock()
	defer db.flushing.Unlock()
	select {
	case <-db.flushed:
	default:
		if db.flushed != nil {
			return // it is under way
		}
	}
	db.unflushed.Store(0)
	done, err := db.pebble.AsyncFlush()
	if err != nil {
		db.opts.Logger.Warn("flush not started", "dir", db.opts.Dir, "err", err)
		return
	}
	db.flushed = done
}

// flushNow does not drain the write-behind buffers.
func (db *DB) flushNow() {
	db.unflushed.Store(0)
	if err := db.pebble.Flush(); err != nil {
		db.fail("flush failed under %s: %v", db.opts.Dir, err)
	}
}

// learnDurable asks Pebble how much of each replica's effects is on disk, if it has flushed
// since the last time.
func (db *DB) learnDurable() {
	flushes := db.flushes.Load()
	if flushes == db.learned {
		return
	}
	db.learned = flushes
	it, err := db.pebble.NewIter(&pebble.IterOptions{OnlyReadGuaranteedDurable: true})
	if err != nil {
		db.fail("read of %s: %v", db.opts.Dir, err)
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	for _, r := range db.replicas {
		key := kindKey(r.partition, kindApplied)
		if !it.SeekGE(key) || string(it.Key()) != string(key) {
			continue
		}
		id, ap, e := decodeAppliedRecord(it.Value())
		if e != nil {
			err = e
			break
		}
		if id == r.id {
			r.durable, r.created = max(r.durable, ap.Index), false
		}
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		_ = db.readError(err)
	}
}
