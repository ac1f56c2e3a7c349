package data

import (
	"math"
	"sync/atomic"

	"pxkv/persist/disk"
)

// Room is how much of the file system under Options.Dir may still be filled, in bytes.
type Room struct {
	Free, Total uint64
	// Reserve is kept for what goes on when the disk is full: flushes, compactions, the log, and
	// writes that delete.
	Reserve uint64
	// Owed is in memory only, and will be written.
	Owed uint64
}

// Growth is how much writes may add before the reserve begins, negative within it.
func (r Room) Growth() int64 { return int64(r.Free) - int64(r.Owed) - int64(r.Reserve) }

// Tight reports that most of the reserve is gone: from here on not even a deletion is safe, since
// it is written to the log before it frees anything.
func (r Room) Tight() bool { return r.Free < r.Reserve/4 }

// reserveOf is the default reserve. What is needed at once does not grow with the disk for ever:
// two compactions of some tables, and the log up to where it is cut. On a small disk, where a
// compaction may rewrite all there is, it is half of it.
func reserveOf(total uint64) uint64 { return min(max(total/50, 256<<20), 1<<30, total/2) }

// room is what the last look found, for those who cannot wait for a look of their own.
type room struct {
	growth atomic.Int64
	tight  atomic.Bool
	owed   atomic.Uint64

	deleted atomic.Bool  // something, since it was last tidied up
	looks   atomic.Int64 // negative: so many until it may be tidied up again
	tidying disk.Task
}

// growthCost is how many bytes of the disk one byte of a new value may take for a while: in the
// log, in a table, and in the table that a compaction makes of that one.
const growthCost = 3

// looksPerTidying is how many looks at least come between two times of tidying up.
const looksPerTidying = 5

// LookForRoom looks at the file system; TakeRoom goes by what it finds, and counts what it gave since. It should be
// called before the growth that it returns can be used up, a few times a second when there is little, and is called
// after each flush and compaction. An error (a file system in memory, say) leaves everything as it was: there is room
// then.
func (s *Store) LookForRoom() (Room, error) {
	r, err := s.lookForRoom()
	if err != nil {
		return r, err
	}
	s.room.owed.Store(uint64(max(0, s.buffers.total.Load()+s.buffers.leaving.Load())) +
		s.pebble.Metrics().MemTable.Size)
	r, err = s.lookForRoom()
	if err != nil {
		return r, err
	}
	if s.room.looks.Add(1) >= 0 && r.Growth() < int64(r.Reserve/2) && s.room.deleted.Load() {
		s.disk.InBackground(&s.room.tidying, s.tidy)
	}
	return r, nil
}

// tidy makes room of what was deleted on a disk that is nearly full. Pebble does so by itself as
// more is written, but nothing may be. Where all there is can be rewritten at once it is, and after
// that not for as many looks as it took MiB; on larger disks so much has to be deleted that it
// matters, that Pebble finds it worth a compaction when it is flushed.
func (s *Store) tidy() {
	s.room.deleted.Store(false)
	s.room.looks.Store(-looksPerTidying)
	s.drainAll()
	s.flushNow()
	free, _, err := s.disk.FreeBytes()
	size := s.pebble.Metrics().DiskSpaceUsage()
	if err != nil || size > free {
		// Pebble's own compactions may yet make it small enough.
		s.room.deleted.Store(true)
		s.room.looks.Store(-10 * looksPerTidying)
		return
	}
	s.room.looks.Store(-looksPerTidying - int64(size>>20))
	err = s.pebble.Compact(s.disk.Context(), []byte{spaceReplica}, []byte{spaceEnd}, false)
	if err != nil && s.disk.Context().Err() == nil {
		s.disk.Logger.Warn("compaction of a full disk not finished", "dir", s.disk.Dir, "err", err)
	}
	_, _ = s.lookForRoom()
}

// Crowded reports that the reserve has begun: logs are then cut earlier.
func (s *Store) Crowded() bool { return s.room.growth.Load() < 0 }

// lookForRoom is for callbacks of Pebble, which must not ask it how much it holds in memory.
func (s *Store) lookForRoom() (Room, error) {
	free, total, err := s.disk.FreeBytes()
	if err != nil {
		return Room{}, err
	}
	r := Room{Free: free, Total: total, Owed: s.room.owed.Load(), Reserve: reserveOf(total)}
	if s.o.Limits.ReserveBytes > 0 {
		r.Reserve = uint64(s.o.Limits.ReserveBytes)
	}
	s.room.growth.Store(r.Growth())
	s.room.tight.Store(r.Tight())
	return r, nil
}

// TakeRoom asks for room for a write that adds so many bytes, 0 for one that only frees some, and
// reports whether there is any. Between two looks at the file system it counts what it gave.
func (s *Store) TakeRoom(bytes int64) bool {
	if bytes == 0 && !deleteRefusedWhenFull {
		return !s.room.tight.Load()
	}
	cost := bytes * growthCost
	if s.room.growth.Add(-cost) >= 0 {
		return true
	}
	s.room.growth.Add(cost)
	return false
}

func (r *room) init() {
	r.growth.Store(math.MaxInt64 / 2)
	r.deleted.Store(true) // perhaps, in a former life
}
