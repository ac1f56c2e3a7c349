package persist

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const testLog = 7

// walChunk is a chunk of Pebble's WAL that holds a whole batch of that size, ended by a mark.
func walChunk(t *testing.T, m walMark, size int) []byte {
	t.Helper()
	pb := new(pebble.Batch)
	must(t, m.writeTo(pb))
	repr := pb.Repr()
	payload := append(make([]byte, size-walHeaderOffset-walMarkSuffix), repr[len(repr)-walMarkSuffix:]...)
	b := binary.LittleEndian.AppendUint16(make([]byte, 4), uint16(len(payload)))
	b = binary.LittleEndian.AppendUint32(append(b, 9), testLog)
	b = append(binary.LittleEndian.AppendUint64(b, 0), payload...)
	binary.LittleEndian.PutUint32(b, walChecksum(b[6:]))
	return b
}

// TestTornTailOrCorruption writes WALs of a few batches and damages one.
func TestTornTailOrCorruption(t *testing.T) {
	t.Parallel()
	effects := func(synced uint64) walMark { return walMark{0, synced} }
	synced := func(number uint64) walMark { return walMark{number, number - 1} }
	for _, tc := range []struct {
		what    string
		marks   []walMark
		damaged int
		corrupt bool
	}{
		{"nothing damaged", []walMark{synced(1), effects(1), synced(2)}, -1, false},
		{"the last synced batch", []walMark{synced(1), synced(2), synced(3)}, 2, false},
		{"the one before it", []walMark{synced(1), synced(2), synced(3)}, 1, true},
		{"the first", []walMark{synced(1), synced(2), synced(3)}, 0, true},
		{"the first of two", []walMark{synced(1), synced(2)}, 0, false},
		{"effects that were not synced", []walMark{synced(1), effects(1), effects(1)}, 1, false},
		{"effects before the last synced batch", []walMark{synced(1), effects(1), synced(2)}, 1, false},
		{"effects before a synced batch", []walMark{synced(1), effects(1), synced(2), effects(2)}, 1, true},
		{"the last synced batch, known by effects", []walMark{synced(1), synced(2), effects(2)}, 1, true},
		{"effects at the beginning", []walMark{effects(4), synced(5), effects(5)}, 0, true},
		{"effects at the beginning, of unsynced writes", []walMark{effects(4), effects(4), synced(5)}, 0, false},
	} {
		var wal []byte
		for i, m := range tc.marks {
			chunk := walChunk(t, m, 1000+i)
			if i == tc.damaged {
				chunk[500] ^= 1
			}
			wal = append(wal, chunk...)
		}
		s := walScan{log: testLog}
		must(t, s.read(bytes.NewReader(wal)))
		if s.corrupt() != tc.corrupt {
			t.Errorf("%s: corrupt is %v", tc.what, s.corrupt())
		}
	}
}

// TestWALBlocks fills blocks up to a rest that is too small for a chunk, which is zeros.
func TestWALBlocks(t *testing.T) {
	t.Parallel()
	for rest := range walHeaderOffset {
		wal := walChunk(t, walMark{1, 0}, 1000)
		wal = append(wal, walChunk(t, walMark{2, 1}, walBlock-len(wal)-rest)...)
		wal = append(wal, make([]byte, rest)...)
		wal = append(wal, walChunk(t, walMark{3, 2}, 1000)...)
		s := walScan{log: testLog}
		must(t, s.read(bytes.NewReader(wal)))
		if s.last != 3 || s.corrupt() || s.ended {
			t.Errorf("rest of %d bytes: scan is %+v", rest, s)
		}
	}
}

// TestRealWALIsReadToItsEnd holds the scan against what Pebble writes.
func TestRealWALIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	db := openTest(t, fs)
	r := bootstrap(t, db, 0, 1)
	for i := uint64(2); i < 300; i++ {
		appendAll(t, db, r, entries(i, i, 1))
		applyTo(t, db, r, i)
	}
	number := db.synced.Load()
	disk := fs.CrashClone(vfs.CrashCloneCfg{})
	must(t, db.Close())
	name, log, err := newestWAL(disk, "node/db")
	must(t, err)
	s := walScan{log: log}
	wal := readFile(t, disk, "node/db/"+name)
	must(t, s.read(bytes.NewReader(wal)))
	if s.last != number || number < 299 || s.corrupt() || len(wal) < walBlock+walBlock/2 {
		t.Errorf("%d bytes, batch %d is the last, scan is %+v", len(wal), number, s)
	}
}
