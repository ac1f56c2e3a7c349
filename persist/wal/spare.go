package wal

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/disk"
)

func (l *Log) spareName() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.numbered++
	return fmt.Sprintf("%d%s", l.numbered, spareSuffix)
}

// takeSpare returns the name of a file to use again, "" when none are used. The first segment
// after Open waits until there is one.
func (l *Log) takeSpare() string {
	if !l.o.Reuse {
		return ""
	}
	for range 2 {
		l.making.Wait()
		l.mu.Lock()
		n := len(l.spares)
		if n > 0 {
			name := l.spares[n-1]
			l.spares = l.spares[:n-1]
			l.mu.Unlock()
			return name
		}
		l.mu.Unlock()
		l.makeSpare()
	}
	return ""
}

// makeSpare makes a file of full length in the background when there is none for the next
// segment: zeros that are on disk already cost an Append nothing.
func (l *Log) makeSpare() {
	l.mu.Lock()
	needed := l.o.Reuse && len(l.spares) == 0 && !l.spare
	l.spare = l.spare || needed
	l.mu.Unlock()
	switch {
	case !needed:
	case l.o.Alone:
		l.addSpare()
	default:
		l.making.Go(l.addSpare)
	}
}

func (l *Log) addSpare() {
	name := l.spareName()
	err := l.fillSpare(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spare = false
	if err == nil {
		l.spares = append(l.spares, name)
	}
	// Without it the next segment grows as it is written, which is only slower. A disk that
	// fails will say so to an Append.
}

func (l *Log) fillSpare(name string) error {
	path := l.o.FS.PathJoin(l.o.Dir, name)
	f, err := l.o.FS.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	zeros := make([]byte, 256<<10)
	for left := l.o.SegmentBytes; left > 0 && err == nil; left -= int64(len(zeros)) {
		_, err = f.Write(zeros[:min(left, int64(len(zeros)))])
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, l.o.FS.Remove(path))
	}
	return disk.SyncDir(l.o.FS, l.o.Dir)
}
