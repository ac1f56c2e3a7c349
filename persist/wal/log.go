package wal

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/disk"
)

// Options of Open. FS, Dir and SegmentBytes are required.
type Options struct {
	FS  vfs.FS
	Dir string // must exist, and outlive a crash
	// SegmentBytes is about the size of one segment; the last record may go beyond it. Small
	// segments are given back in small pieces; large ones spare the few fsyncs of the next one.
	SegmentBytes int64
	// Reuse gives each file its length beforehand, and uses the files of removed segments again.
	// For a disk; in memory it would only waste room.
	Reuse bool
	// Fresh puts a new file in the place of one whose end a crash has torn, where else that is overwritten: for a
	// disk below which the same place must not be written to twice (see package crypt).
	Fresh bool
	// Alone makes files beforehand while the caller waits, not beside it: for a simulator.
	Alone bool
}

// Log is an open log.
type Log struct {
	o Options

	// Of the goroutine that appends.
	file    vfs.File // the newest segment's, for writing
	current *segment // the newest; nil until the first Append after Open
	synced  uint64   // the last record that was synced
	newest  uint64   // number of the newest segment that there ever was

	size  atomic.Int64 // bytes in the newest segment; SegmentBytes when there is none to write to
	rolls atomic.Uint64

	mu       sync.Mutex // of what follows, and of each segment's offsets
	segments []*segment // oldest first
	writing  *segment   // the one that takes records, nil before the first since Open
	last     uint64     // number of the last record
	spares   []string   // names of files to use again
	numbered uint64     // of spare files made
	spare    bool       // one more is being made
	making   sync.WaitGroup
}

// maxSpares is how many files wait to be used again.
const maxSpares = 2

// Open reads the log in Options.Dir, and calls record for each record in it, in order, with
// its number and its payload, which is valid during the call. What a crash has torn is cut
// off. ErrCorrupt and ErrFormat tell what is wrong with the log; an error of record is
// returned as it is.
func Open(o Options, record func(number uint64, payload []byte) error) (*Log, error) {
	l := &Log{o: o}
	// A name that is there, or is not, may be so in memory only.
	if !believesUnsynced {
		if err := disk.SyncDir(o.FS, o.Dir); err != nil {
			return nil, err
		}
	}
	numbers, left, err := listDir(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	for _, name := range left { // a crash may have left one half made
		if err := o.FS.Remove(o.FS.PathJoin(o.Dir, name)); err != nil {
			return nil, err
		}
	}
	slices.Sort(numbers)
	for i, number := range numbers {
		s := &segment{number: number, first: l.last + 1}
		if err := l.load(s, i == 0, i == len(numbers)-1, record); err != nil {
			return nil, err
		}
	}
	l.synced = l.last
	l.size.Store(o.SegmentBytes)
	return l, nil
}

// makeDurable makes the newest segment outlive a power loss as it was read: a process that was
// killed may have written a record or a seal that it never synced, and what Open believes others
// will rest on. Those before it were synced before it was begun.
//
// What may not have been synced is written once more. After an fsync that failed, a kernel shows
// what it did not write, takes it for written, and lets the next fsync succeed.
func (l *Log) makeDurable(s *segment, content []byte, from int64) error {
	f, err := l.o.FS.OpenReadWrite(l.o.FS.PathJoin(l.o.Dir, s.name()), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if end := min(s.end+HeaderLen, int64(len(content))); from < end && !believesFailed {
		_, err = f.WriteAt(content[from:end], from)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return disk.SyncDir(l.o.FS, l.o.Dir)
}

// load reads one segment.
func (l *Log) load(s *segment, oldest, newest bool, record func(uint64, []byte) error) error {
	content, err := readSegment(l.o.FS, l.o.Dir, s)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.name(), err)
	}
	if oldest {
		s.first = firstNumber(content, s.number)
	}
	c := scan{segment: s, newest: newest, content: content}
	if err := c.run(record); err != nil {
		return err
	}
	s.room = int64(len(content))
	if newest && c.torn && l.o.Fresh {
		if err := l.shrink(s, content); err != nil {
			return fmt.Errorf("write %s anew: %w", s.name(), err)
		}
		c.torn, newest = false, false
	}
	if newest && !believesUnsynced {
		if err := l.makeDurable(s, content, c.unsynced()); err != nil {
			return fmt.Errorf("make %s durable: %w", s.name(), err)
		}
	}
	if c.torn && !leavesTornTail {
		if err := l.sealTorn(s); err != nil {
			return fmt.Errorf("seal %s: %w", s.name(), err)
		}
	}
	if newest && s.room > s.end+HeaderLen {
		if err := l.shrink(s, content); err != nil {
			return fmt.Errorf("shrink %s: %w", s.name(), err)
		}
	}
	l.newest, l.last = s.number, s.last()
	l.segments = append(l.segments, s)
	return nil
}

// firstNumber is the number of the first record of a segment: the oldest says itself where the
// log begins.
func firstNumber(content []byte, segment uint64) uint64 {
	if len(content) < preambleLen {
		return 1
	}
	h, _, whole := parse(content[preambleLen:], segment)
	switch {
	case !whole:
		return 1
	case h.length == 0:
		return h.number + 1
	}
	return h.number
}

// sealTorn ends a segment whose end a crash has torn. Appending to it would be wrong: a record
// that survived behind the torn place could pass for the successor of a new one.
func (l *Log) sealTorn(s *segment) error {
	f, err := l.o.FS.OpenReadWrite(l.o.FS.PathJoin(l.o.Dir, s.name()), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(preamble(s.number), 0) // it may be torn as well
	if err == nil {
		_, err = f.WriteAt(sealOf(s), s.end)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return disk.SyncDir(l.o.FS, l.o.Dir)
}

// shrink gives back the room that the newest segment had beforehand for more records, of which it
// takes none any more: a file without it is put in its place.
func (l *Log) shrink(s *segment, content []byte) error {
	fs, path := l.o.FS, l.o.FS.PathJoin(l.o.Dir, s.name())
	f, err := fs.Create(path+shrunkSuffix, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(preamble(s.number))
	if err == nil && s.end > preambleLen {
		_, err = f.Write(content[preambleLen:s.end])
	}
	if err == nil {
		_, err = f.Write(sealOf(s))
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+shrunkSuffix, path); err != nil {
		return err
	}
	s.room = 0
	return disk.SyncDir(fs, l.o.Dir)
}

func sealOf(s *segment) []byte {
	b := make([]byte, HeaderLen)
	header{number: s.last(), synced: s.last()}.writeTo(b, s.number)
	return b
}

// Last is the number of the last record, 0 if there never was one.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Full reports whether the newest segment has its size: the next record should begin another.
func (l *Log) Full() bool { return l.size.Load() >= l.o.SegmentBytes-l.o.SegmentBytes/16 }

// Append writes a record, which begins with HeaderLen bytes of room and has a payload, and
// with sync waits until it outlives a crash, and with it all before it. roll begins a new
// segment with it. An error means that the log cannot be trusted any more: a failed fsync is
// never tried again, since the kernel marks the failed pages clean.
func (l *Log) Append(record []byte, sync, roll bool) error {
	if len(record) <= HeaderLen || len(record)-HeaderLen > maxPayload {
		return fmt.Errorf("a record of %d bytes", len(record))
	}
	if roll || l.current == nil {
		if err := l.roll(); err != nil {
			return err
		}
	}
	s := l.current
	number := s.last() + 1
	header{length: uint32(len(record) - HeaderLen), number: number, synced: l.synced}.writeTo(record, s.number)
	at := s.end
	if err := l.write(record); err != nil {
		return err
	}
	if sync {
		err := l.file.SyncData()
		if retriesSync && err != nil {
			err = l.file.SyncData()
		}
		if err != nil {
			return err
		}
		l.synced = number
	}
	l.mu.Lock()
	s.offsets = append(s.offsets, uint32(at))
	l.last = number
	l.mu.Unlock()
	return nil
}

var padding [alignment]byte

// write appends to the file, up to where the next record begins.
func (l *Log) write(record []byte) error {
	s := l.current
	size := int64(len(record))
	record = append(record, padding[:aligned(size)-size]...)
	if _, err := l.file.Write(record); err != nil {
		return err
	}
	s.end += int64(len(record))
	l.size.Store(s.end)
	return nil
}

// Read fills b from the payload of a record, from offset on.
func (l *Log) Read(record uint64, offset uint32, b []byte) error {
	l.mu.Lock()
	i, found := slices.BinarySearchFunc(l.segments, record, func(s *segment, record uint64) int {
		switch {
		case s.last() < record:
			return -1
		case s.first > record:
			return 1
		}
		return 0
	})
	var s *segment
	at := int64(0)
	if found {
		s = l.segments[i]
		at = int64(s.offsets[record-s.first])
	}
	l.mu.Unlock()
	if s == nil {
		return fmt.Errorf("%w: record %d is not there", ErrCorrupt, record)
	}
	if err := s.read(l.o.FS, l.o.Dir, at+HeaderLen+int64(offset), b); err != nil {
		return fmt.Errorf("read record %d of %s: %w", record, s.name(), err)
	}
	return nil
}

// Close makes all records durable, and says in the log that they are, so that the next Open
// finds out if any of them gets lost.
func (l *Log) Close() error {
	l.making.Wait()
	var errs []error
	if l.current != nil {
		errs = append(errs, l.seal())
	}
	for _, s := range l.segments {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// Abandon frees what the log holds, and writes nothing more: after an error.
func (l *Log) Abandon() {
	l.making.Wait()
	if l.file != nil {
		_ = l.file.Close()
		l.file, l.current = nil, nil
	}
	for _, s := range l.segments {
		_ = s.close()
	}
}
