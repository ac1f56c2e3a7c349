package wal

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/disk"
)

// roll seals the newest segment and begins the next.
func (l *Log) roll() error {
	if l.current != nil {
		if err := l.seal(); err != nil {
			return err
		}
	}
	s := &segment{number: l.newest + 1, first: l.Last() + 1, end: preambleLen}
	file, err := l.create(s)
	if err != nil {
		return err
	}
	if _, err = file.Write(preamble(s.number)); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = disk.SyncDir(l.o.FS, l.o.Dir)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.file, l.current, l.newest = file, s, s.number
	l.size.Store(s.end)
	l.rolls.Add(1)
	l.mu.Lock()
	l.segments, l.writing = append(l.segments, s), s
	l.mu.Unlock()
	l.makeSpare()
	return nil
}

// seal ends the newest segment. The seal is written when all before it is synced, since it
// says that it is.
func (l *Log) seal() error {
	s := l.current
	if l.synced < s.last() {
		if err := l.file.SyncData(); err != nil {
			return err
		}
		l.synced = s.last()
	}
	_, err := l.file.Write(sealOf(s))
	if err == nil {
		err = l.file.SyncData()
	}
	err = errors.Join(err, l.file.Close())
	l.file, l.current = nil, nil
	l.size.Store(l.o.SegmentBytes)
	return err
}

// create makes the file of a new segment, from a spare one if there is any.
func (l *Log) create(s *segment) (vfs.File, error) {
	path := l.o.FS.PathJoin(l.o.Dir, s.name())
	if spare := l.takeSpare(); spare != "" {
		s.room = l.o.SegmentBytes
		return l.o.FS.ReuseForWrite(l.o.FS.PathJoin(l.o.Dir, spare), path, vfs.WriteCategoryUnspecified)
	}
	return l.o.FS.Create(path, vfs.WriteCategoryUnspecified)
}

// Rolls is how many segments were begun since Open.
func (l *Log) Rolls() uint64 { return l.rolls.Load() }

// Oldest is the last record of the oldest segment, if that one takes no more.
func (l *Log) Oldest() (last uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.segments) == 0 || l.segments[0] == l.writing {
		return 0, false
	}
	return l.segments[0].last(), true
}

// Bytes is the size of all segments' files, without what is still empty in the newest.
func (l *Log) Bytes() (total int64, segments int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if s == l.writing {
			total += l.size.Load()
		} else {
			total += s.length()
		}
	}
	return total, len(l.segments)
}

// RemoveOldest removes the oldest segment, which must take no more records. It is gone for good when it
// returns: were two removals under way, a crash could undo the first and keep the second, and
// the log would have a hole.
func (l *Log) RemoveOldest() error {
	l.mu.Lock()
	if len(l.segments) < 2 {
		l.mu.Unlock()
		return errors.New("the log has no old segment")
	}
	s := l.segments[0]
	l.segments = l.segments[1:]
	// One that a large record made longer would take that much room for ever, and a shorter one
	// would have to grow.
	keep := l.o.Reuse && len(l.spares) < maxSpares && s.length() == l.o.SegmentBytes
	l.mu.Unlock()
	if err := s.close(); err != nil {
		return err
	}
	path := l.o.FS.PathJoin(l.o.Dir, s.name())
	if !keep {
		if err := l.o.FS.Remove(path); err != nil {
			return err
		}
		return disk.SyncDir(l.o.FS, l.o.Dir)
	}
	// The new name must outlive a crash before the file is used again: else the old name could
	// come back, with a new segment in it.
	spare := l.spareName()
	if err := l.o.FS.Rename(path, l.o.FS.PathJoin(l.o.Dir, spare)); err != nil {
		return err
	}
	if err := disk.SyncDir(l.o.FS, l.o.Dir); err != nil {
		return err
	}
	l.mu.Lock()
	l.spares = append(l.spares, spare)
	l.mu.Unlock()
	return nil
}
