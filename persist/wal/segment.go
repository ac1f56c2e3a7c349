package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A segment file begins with a preamble of preambleLen bytes: "pxkvlog", version of the format
// (one byte), number of the segment (8 bytes, little endian), checksum over both (4 bytes,
// little endian), zeros. It is synced before the first record is written.
const (
	preambleMagic = "pxkvlog"
	format        = 1
	preambleLen   = 24

	segmentSuffix = ".log"
	spareSuffix   = ".spare"
	shrunkSuffix  = ".new" // of a segment that is given its length
)

// segment is one file of the log.
type segment struct {
	number uint64
	first  uint64 // number of its first record
	// offsets of its records, from preambleLen on; a file is far smaller than 4 GiB
	offsets []uint32
	end     int64 // offset behind its last record
	room    int64 // length of its file, unless the records go beyond

	mu   sync.Mutex
	file vfs.File // for reading; opened when first needed
}

func (s *segment) name() string { return fmt.Sprintf("%016d%s", s.number, segmentSuffix) }

// last is the number of its last record; first-1 when it has none.
func (s *segment) last() uint64 { return s.first + uint64(len(s.offsets)) - 1 }

// length of its file, with its seal.
func (s *segment) length() int64 { return max(s.room, s.end+HeaderLen) }

// read fills b from the payload of a record that the segment has.
func (s *segment) read(fs vfs.FS, dir string, at int64, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		f, err := fs.Open(fs.PathJoin(dir, s.name()))
		if err != nil {
			return err
		}
		s.file = f
	}
	_, err := s.file.ReadAt(b, at)
	return err
}

func (s *segment) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

func preamble(number uint64) []byte {
	b := append(make([]byte, 0, preambleLen), preambleMagic...)
	b = append(b, format)
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, make([]byte, preambleLen-len(b))...)
}

// checkPreamble reports whether b begins as that segment does. An error is a format that this
// code does not know.
func checkPreamble(b []byte, number uint64) (ok bool, err error) {
	if len(b) < preambleLen || string(b[:len(preambleMagic)]) != preambleMagic {
		return false, nil
	}
	sum := len(preambleMagic) + 1 + 8
	if crc32.Checksum(b[:sum], castagnoli) != binary.LittleEndian.Uint32(b[sum:]) {
		return false, nil
	}
	if v := b[len(preambleMagic)]; v != format {
		return false, fmt.Errorf("%w %d of the log (this pxkv knows %d; run the version that wrote it, or a newer one)",
			ErrFormat, v, format)
	}
	return binary.LittleEndian.Uint64(b[len(preambleMagic)+1:]) == number, nil
}

// listDir returns the numbers of the segments in a directory, and the names of the files that an
// earlier life left there for its own use. What has another name is not the log's, and stays.
func listDir(fs vfs.FS, dir string) (numbers []uint64, left []string, err error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		digits, suffix, _ := strings.Cut(name, ".")
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || n == 0 {
			continue
		}
		s := segment{number: n}
		switch "." + suffix {
		case spareSuffix:
			left = append(left, name)
		case segmentSuffix:
			if name == s.name() {
				numbers = append(numbers, n)
			}
		case segmentSuffix + shrunkSuffix:
			if name == s.name()+shrunkSuffix {
				left = append(left, name)
			}
		}
	}
	return numbers, left, nil
}
