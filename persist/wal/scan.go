package wal

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// scan reads one segment and calls record for each whole record, in order.
//
// A segment that is not the newest must be whole up to its seal. The newest may end anywhere:
// what was being written when the power went is torn. It is corrupt, though, when something
// readable behind that place says that what is missing had been synced: each record names the
// last one that was synced before it, and a seal, which is written once everything is synced,
// names the last of all. What cannot be told from a torn write, and so is lost, is damage to
// what the last fsync before a crash covered; Close leaves nothing like it.
type scan struct {
	segment *segment
	newest  bool
	content []byte
	torn    bool   // the newest segment ends without a seal
	synced  uint64 // the last record of which one that was read says that it was synced
}

// readSegment loads a whole segment; it is read once, at Open.
func readSegment(fs vfs.FS, dir string, s *segment) ([]byte, error) {
	f, err := fs.Open(fs.PathJoin(dir, s.name()))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, info.Size())
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) && n == len(b) {
		err = nil
	}
	return b, errors.Join(err, f.Close())
}

func (c *scan) run(record func(number uint64, payload []byte) error) error {
	s := c.segment
	ok, err := checkPreamble(c.content, s.number)
	if err != nil {
		return err
	}
	s.end = preambleLen
	next := s.first
	if !ok && c.newest && c.anyRecord(next) {
		return fmt.Errorf("%w: %s has records and a damaged preamble, which was synced before them", ErrCorrupt,
			s.name())
	}
	for ok {
		h, rec, whole := parse(c.content[min(s.end, int64(len(c.content))):], s.number)
		switch {
		case whole && h.length == 0 && h.number == next-1:
			return nil // its seal
		case !whole || h.length == 0 || h.number != next:
			ok = false
			continue
		}
		if err := record(h.number, rec[HeaderLen:]); err != nil {
			return fmt.Errorf("%s, record %d: %w", s.name(), h.number, err)
		}
		c.synced = max(c.synced, h.synced)
		s.offsets = append(s.offsets, uint32(s.end))
		s.end = aligned(s.end + int64(len(rec)))
		next++
	}
	if !c.newest {
		return fmt.Errorf("%w: %s is damaged at offset %d", ErrCorrupt, s.name(), s.end)
	}
	if behind := c.syncedBehind(next); behind >= next {
		return fmt.Errorf("%w: %s is damaged at offset %d: record %d is missing, and up to %d all were synced",
			ErrCorrupt, s.name(), s.end, next, behind)
	}
	c.torn = true
	return nil
}

// unsynced is the offset from which on nothing says that it was synced.
func (c *scan) unsynced() int64 {
	s := c.segment
	switch {
	case !c.torn || c.synced >= s.last():
		return s.end // but for the seal
	case c.synced < s.first:
		return 0
	}
	return int64(s.offsets[c.synced+1-s.first])
}

// anyRecord reports whether there is a whole record with that number or a later one.
func (c *scan) anyRecord(next uint64) bool {
	for at := int64(preambleLen); at <= int64(len(c.content))-HeaderLen; at += alignment {
		h := readHeader(c.content[at:])
		if h.number < next || h.number-next > uint64(len(c.content)) {
			continue
		}
		if h, _, whole := parse(c.content[at:], c.segment.number); whole && h.length > 0 {
			return true
		}
	}
	return false
}

// syncedBehind is the last record of which something readable behind the end says that it was
// synced, 0 if nothing does.
func (c *scan) syncedBehind(next uint64) (synced uint64) {
	for at := c.segment.end; at <= int64(len(c.content))-HeaderLen; at += alignment {
		h := readHeader(c.content[at:])
		// A look at the numbers first: checksums of what is no record are costly.
		if h.synced < next || h.number < next || h.number-next > uint64(len(c.content)) {
			continue
		}
		if h, _, whole := parse(c.content[at:], c.segment.number); whole {
			synced = max(synced, h.synced)
		}
	}
	return synced
}
