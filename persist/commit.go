package persist

import (
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Commit writes b, with one fsync when NeedsSync (and a few more for each install): all of b
// then outlives a crash. It is called once, after the batches that were made before; a disk
// that fails does not let it return. b cannot be used again.
func (b *Batch) Commit() error {
	if !b.db.open.Load() {
		return ErrClosed
	}
	defer b.db.failOnPanic()
	sync := b.NeedsSync()
	for i := range b.steps {
		s := &b.steps[i]
		if s.install != nil {
			b.db.commitInstall(s.install)
			continue
		}
		b.db.commit(s.batch, sync, "log")
		if s.destroy && !b.db.opts.Light {
			b.db.flush() // gives the disk space back soon, also when nothing else is written
		}
	}
	b.steps = nil
	b.db.committed.Store(b.number)
	return nil
}

// commit writes one Pebble batch or ends the node.
func (db *DB) commit(pb *pebble.Batch, sync bool, what string) {
	options, began := pebble.NoSync, time.Time{}
	if sync {
		options, began = pebble.Sync, time.Now()
	}
	bytes := pb.Len()
	if err := pb.Commit(options); err != nil {
		db.fail("commit of %s failed under %s: %v", what, db.opts.Dir, err)
	}
	if err := pb.Close(); err != nil {
		db.fail("commit of %s failed under %s: %v", what, db.opts.Dir, err)
	}
	db.metrics.committed(what, bytes, began)
}

func (db *DB) flush() {
	if _, err := db.pebble.AsyncFlush(); err != nil {
		db.opts.Logger.Warn("flush not started", "dir", db.opts.Dir, "err", err)
	}
}
