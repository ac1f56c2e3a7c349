package raftlog

import (
	"fmt"
	"time"

	"pxkv/persist/disk"
)

// Commit writes b, with one fsync when NeedsSync: all of b then outlives a crash. It is called once, after
// the batches that were filled before; a disk that fails does not let it return. b cannot be used again.
func (b *Batch) Commit() error {
	l := b.log
	if !l.disk.IsOpen() {
		return disk.ErrClosed
	}
	defer l.disk.FailOnPanic()
	if b.Empty() {
		return nil
	}
	if committed := l.committed.Load(); b.number != committed+1 {
		panic(fmt.Sprintf("persist: batch %d is committed after batch %d", b.number, committed))
	}
	b.do(b.before)
	began := time.Time{}
	if b.sync {
		began = time.Now()
	}
	if err := l.wal.Append(b.buf, b.sync, b.roll); err != nil {
		l.disk.Fail("write to the log failed under %s: %v", l.disk.Dir, err)
	}
	l.o.Metrics.Committed(len(b.buf), began)
	l.pin(len(b.buf))
	b.do(b.after)
	l.committed.Store(b.number)
	if b.sync {
		l.synced.Store(b.number)
	}
	l.giveBuffer(b.buf)
	b.buf, b.before, b.after = nil, nil, nil
	return nil
}

func (b *Batch) do(steps []func() error) {
	for _, step := range steps {
		if err := step(); err != nil {
			b.log.disk.Fail("%v", err)
		}
	}
}

// largestBuffer is the size up to which a batch's buffer is used again.
const largestBuffer = 1 << 20

func (l *Log) takeBuffer() []byte {
	if b, ok := l.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 4<<10)
}

func (l *Log) giveBuffer(b []byte) {
	if cap(b) <= largestBuffer {
		l.buffers.Put(&b)
	}
}
