package data

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
	"pxkv/persist/disk"
)

// flushes are those of Pebble.
type flushes struct {
	done      atomic.Uint64 // since Open
	unflushed atomic.Int64  // bytes of effects since one was last asked for
	wanted    disk.Task
	mu        sync.Mutex
	last      <-chan struct{} // closed when the flush that was last asked for is done
}

// lightFlush is how many bytes of effects Options.Light flushes in any case. Alone it flushes while the
// caller waits, so that what a crash leaves does not depend on how fast a background goroutine is:
// as soon as somebody wants to truncate a log, whose limit may be a few KiB there, and long before
// the memtable is full.
const lightFlush = 64 << 10

// Flushes is how often Pebble has flushed since Open: while it does not grow, nothing becomes durable.
func (s *Store) Flushes() uint64 { return s.flushes.done.Load() }

// Durable is up to which index effects of a replica are on disk, so that a restart need not apply them
// again; false when not even its beginning is. A disk that fails does not let it return.
func (s *Store) Durable(p kv.PartitionID, id kv.ReplicaID) (index uint64, ok bool) {
	it, err := s.pebble.NewIter(&pebble.IterOptions{OnlyReadGuaranteedDurable: true})
	if err != nil {
		s.disk.Fail("read of %s: %v", s.disk.Dir, err)
	}
	key := kindKey(p, kindApplied)
	if it.SeekGE(key) && string(it.Key()) == string(key) {
		found, ap, e := decodeLabel(it.Value())
		if err = e; err == nil && found == id {
			index, ok = ap.Index, true
		}
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		_ = s.readError(err)
	}
	return index, ok
}

// WantDurable has what was applied to p made durable when that is worth it, and all that was applied when it
// is urgent. It waits for nothing but in Options.Light.
func (s *Store) WantDurable(p kv.PartitionID, urgent bool) {
	s.disk.InBackground(&s.flushes.wanted, func() {
		if urgent {
			s.drainAll() // one flush for all
		}
		s.drainPartition(p)
		s.wantFlush(urgent)
	})
}

// WantFlush has Pebble flush what it has.
func (s *Store) WantFlush() { s.wantFlush(true) }

// FlushAll has all that was applied flushed, and reports whether a flush was begun that has it.
func (s *Store) FlushAll() bool {
	s.drainAll()
	if s.flushesWait() {
		s.flushNow()
		return true
	}
	return s.flush()
}

// Flush makes all that was applied durable.
func (s *Store) Flush() error {
	s.drainAll()
	s.finishBackground()
	return s.pebble.Flush()
}

// wantFlush starts a flush, unless one that was started here is under way, or there is too
// little to flush and it is not urgent.
func (s *Store) wantFlush(urgent bool) {
	switch {
	case !urgent && s.flushes.unflushed.Load() < s.o.Limits.LeastFlushBytes:
	case s.flushesWait():
		s.flushNow()
	default:
		s.flush()
	}
}

// flushesWait reports whether whoever wants a flush waits for it.
func (s *Store) flushesWait() bool { return s.o.Light && s.o.Background == nil }

// finishBackground is called before anything that waits for a flush under way.
func (s *Store) finishBackground() {
	if s.o.Background != nil {
		s.o.Background.Finish()
	}
}

// flush starts a flush in the background, unless one that was started here is under way.
func (s *Store) flush() (started bool) {
	s.flushes.mu.Lock()
	defer s.flushes.mu.Unlock()
	select {
	case <-s.flushes.last:
	default:
		if s.flushes.last != nil {
			return false
		}
	}
	s.flushes.unflushed.Store(0)
	start := s.pebble.AsyncFlush
	if bg := s.o.Background; bg != nil {
		start = func() (<-chan struct{}, error) { return bg.Flush(s.pebble.AsyncFlush) }
	}
	done, err := start()
	if err != nil {
		s.disk.Logger.Warn("flush not started", "dir", s.disk.Dir, "err", err)
		return false
	}
	s.flushes.last = done
	return true
}

// flushNow does not drain the write buffers.
func (s *Store) flushNow() {
	s.flushes.unflushed.Store(0)
	s.finishBackground()
	if err := s.pebble.Flush(); err != nil {
		s.disk.Fail("flush failed under %s: %v", s.disk.Dir, err)
	}
}
