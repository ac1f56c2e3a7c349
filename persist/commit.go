package persist

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Commit writes b, with one fsync when NeedsSync (and a few more for each install): all of b
// then outlives a crash. It is called once, after the batches that were filled before; a disk
// that fails does not let it return. b cannot be used again.
func (b *Batch) Commit() error {
	db := b.db
	if !db.open.Load() {
		return ErrClosed
	}
	defer db.failOnPanic()
	if b.Empty() {
		return nil
	}
	if committed := db.committed.Load(); b.number != committed+1 {
		panic(fmt.Sprintf("persist: batch %d is committed after batch %d", b.number, committed))
	}
	b.do(b.before)
	began := time.Time{}
	if b.sync {
		began = time.Now()
	}
	if err := db.log.Append(b.buf, b.sync, b.roll); err != nil {
		db.fail("write to the log failed under %s: %v", db.opts.Dir, err)
	}
	db.metrics.committed("log", len(b.buf), began)
	b.do(b.after)
	db.committed.Store(b.number)
	if b.sync {
		db.synced.Store(b.number)
	}
	db.giveBuffer(b.buf)
	b.buf, b.before, b.after = nil, nil, nil
	return nil
}

func (b *Batch) do(steps []func() error) {
	for _, step := range steps {
		if err := step(); err != nil {
			b.db.fail("%v", err)
		}
	}
}

// commitState gives Pebble a batch of data and applied states, or ends the node. It waits for
// no disk: the log brings it again after a crash.
func (db *DB) commitState(pb *pebble.Batch) {
	bytes := pb.Len()
	err := pb.Commit(pebble.NoSync)
	if err == nil {
		err = pb.Close()
	}
	if err != nil {
		db.fail("commit of effects failed under %s: %v", db.opts.Dir, err)
	}
	db.metrics.committed("effects", bytes, time.Time{})
	if db.unflushed.Add(int64(bytes)) > lightFlush && db.opts.Light {
		db.flushNow()
	}
}

// largestBuffer is the size up to which a record's buffer is used again.
const largestBuffer = 1 << 20

func (db *DB) takeBuffer() []byte {
	if b, ok := db.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 4<<10)
}

func (db *DB) giveBuffer(b []byte) {
	if cap(b) <= largestBuffer {
		db.buffers.Put(&b)
	}
}
