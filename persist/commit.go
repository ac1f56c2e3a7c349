package persist

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Commit writes b, with one fsync when NeedsSync (and a few more for each install): all of b
// then outlives a crash. It is called once, after the batches that were made before; a disk
// that fails does not let it return. b cannot be used again.
func (b *Batch) Commit() error {
	db := b.db
	if !db.open.Load() {
		return ErrClosed
	}
	defer db.failOnPanic()
	if committed := db.committed.Load(); b.number <= committed {
		panic(fmt.Sprintf("persist: batch %d is committed after batch %d", b.number, committed))
	}
	sync := b.NeedsSync()
	for i := range b.steps {
		s := &b.steps[i]
		if s.install != nil {
			db.commitInstall(s.install)
			continue
		}
		number := uint64(0)
		if sync && i == len(b.steps)-1 {
			number = b.number
		}
		db.commit(s.batch, sync, number, "log")
		if s.destroy && !db.opts.Light {
			db.flush() // gives the disk space back soon, also when nothing else is written
		}
	}
	b.steps = nil
	db.committed.Store(b.number)
	return nil
}

// commit writes one Pebble batch or ends the node. number is that of the Batch whose last
// synced part it is, else 0.
func (db *DB) commit(pb *pebble.Batch, sync bool, number uint64, what string) {
	options, began := pebble.NoSync, time.Time{}
	if sync {
		options, began = pebble.Sync, time.Now()
	}
	bytes := pb.Len()
	err := walMark{number, db.synced.Load()}.writeTo(pb)
	if err == nil {
		err = pb.Commit(options)
	}
	if err == nil {
		err = pb.Close()
	}
	if err != nil {
		db.fail("commit of %s failed under %s: %v", what, db.opts.Dir, err)
	}
	if number > 0 {
		db.synced.Store(number)
	}
	db.metrics.committed(what, bytes, began)
}

// seal makes all that was written durable, and then writes that it is, so that the next
// checkWAL finds out if any of it gets lost.
func (db *DB) seal() {
	defer db.failOnPanic()
	for range 2 {
		db.commit(db.pebble.NewBatch(), true, db.batches.Add(1), "log")
	}
}

func (db *DB) flush() {
	if _, err := db.pebble.AsyncFlush(); err != nil {
		db.opts.Logger.Warn("flush not started", "dir", db.opts.Dir, "err", err)
	}
}
