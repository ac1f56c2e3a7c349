package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// checkWAL looks for corruption in the newest WAL file before Pebble replays it. Pebble takes
// the first thing in that file that it cannot read for the end; older files it reads strictly.
//
// It is corruption when something readable behind that place shows that a batch at or behind
// it was synced: see walMark. What cannot be told from a torn tail, and so is lost, is damage
// to the last batch that was synced before a crash; Close leaves nothing like it.
func checkWAL(f vfs.FS, dir string) error {
	name, number, err := newestWAL(f, dir)
	if err != nil || name == "" {
		return err
	}
	file, err := f.Open(f.PathJoin(dir, name))
	if err != nil {
		return err
	}
	s := walScan{log: number}
	err = s.read(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("check %s: %w", name, err)
	}
	if s.corrupt() {
		return fmt.Errorf("%w: %s is damaged at offset %d: batches that were synced lie behind it", ErrCorrupt, name, s.end)
	}
	return nil
}

// newestWAL is the WAL file with the highest number; its chunks carry the number's low half.
func newestWAL(f vfs.FS, dir string) (name string, number uint32, err error) {
	names, err := f.List(dir)
	if err != nil {
		return "", 0, err
	}
	highest := uint64(0)
	for _, n := range names {
		digits, ok := strings.CutSuffix(n, ".log")
		if !ok {
			continue
		}
		if v, err := strconv.ParseUint(digits, 10, 64); err == nil && v >= highest {
			name, highest = n, v
		}
	}
	return name, uint32(highest), nil
}

// walScan reads one WAL file: first the chunks that follow each other, then, behind the place
// where that ends, whatever still is a chunk.
type walScan struct {
	log   uint32
	ended bool
	end   int64 // where the chunks that follow each other end

	last         uint64 // highest batch before end, 0 if there is none
	lowestBehind uint64 // lowest batch behind end, 0 if there is none
	syncedBehind uint64 // highest batch of which something behind end says that it was synced
}

// The chunks of Pebble's WAL: checksum, length, encoding, low half of the log's number, and
// in the newer encodings an offset; then the payload. No chunk crosses a block.
const (
	walBlock        = 32 << 10
	walHeader       = 4 + 2 + 1 + 4
	walHeaderOffset = walHeader + 8
)

func (s *walScan) read(r io.Reader) error {
	block := make([]byte, walBlock)
	for at := int64(0); ; at += walBlock {
		n, err := io.ReadFull(r, block)
		s.block(block[:n], at)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *walScan) block(b []byte, at int64) {
	i := 0
	for !s.ended && walBlock-i >= walHeader && i < len(b) {
		size, payload, ends := s.chunk(b[i:])
		if size == 0 {
			if walBlock-i < walHeaderOffset && allZero(b[i:]) {
				return // too little room for a chunk: the rest of the block is padding
			}
			s.ended, s.end = true, at+int64(i)
			i++
			break
		}
		if m, ok := markAtEnd(payload); ok && ends {
			s.last = max(s.last, m.number)
		}
		i += size
	}
	if !s.ended {
		return
	}
	for ; i < len(b); i++ {
		if _, payload, ends := s.chunk(b[i:]); ends {
			if m, ok := markAtEnd(payload); ok {
				s.behind(m)
			}
		}
	}
}

func (s *walScan) behind(m walMark) {
	s.syncedBehind = max(s.syncedBehind, m.synced)
	if m.number > 0 && (s.lowestBehind == 0 || m.number < s.lowestBehind) {
		s.lowestBehind = m.number
	}
}

// corrupt reports whether a batch at or behind the end was synced: one that follows the last
// before it, or one that is still readable itself.
func (s *walScan) corrupt() bool {
	return s.last > 0 && s.syncedBehind > s.last || s.lowestBehind > 0 && s.syncedBehind >= s.lowestBehind
}

// chunk reads the chunk at which b begins. size is 0 when there is no whole chunk of this
// log; ends tells that its record ends with it.
func (s *walScan) chunk(b []byte) (size int, payload []byte, ends bool) {
	if len(b) < walHeader || binary.LittleEndian.Uint32(b[7:]) != s.log {
		return 0, nil, false
	}
	header := 0
	switch encoding := b[6]; {
	case 5 <= encoding && encoding <= 8: // full, first, middle, last
		header, ends = walHeader, encoding == 5 || encoding == 8
	case 9 <= encoding && encoding <= 12: // the same, with an offset
		header, ends = walHeaderOffset, encoding == 9 || encoding == 12
	default:
		return 0, nil, false
	}
	size = header + int(binary.LittleEndian.Uint16(b[4:]))
	if size > len(b) || binary.LittleEndian.Uint32(b) != walChecksum(b[6:size]) {
		return 0, nil, false
	}
	return size, b[header:size], ends
}

// walChecksum is CRC32C, masked as LevelDB does.
func walChecksum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}
