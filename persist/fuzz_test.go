package persist

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
)

func FuzzDecodeRecord(f *testing.F) {
	f.Add(stringRecord("v", 1).AppendTo(nil))
	f.Add(Record{Value: kv.Value{Kind: kv.Binary, ContentType: "a/b"}, DeadlineMS: 5}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := DecodeRecord(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again, err := DecodeRecord(rec.AppendTo(nil))
		if err != nil || recordText("", again) != recordText("", rec) {
			t.Fatalf("%v became %v, %v", rec, again, err)
		}
	})
}

func FuzzDecodeEntry(f *testing.F) {
	key := logKey(1, 7)
	good := make([]byte, entrySize(entry(7, 3, "data")))
	putEntry(good, key, entry(7, 3, "data"))
	f.Add(good, false)
	f.Add(good, true)
	f.Fuzz(func(t *testing.T, b []byte, forge bool) {
		if forge && len(b) >= entryFixed { // give it a checksum that is right
			sum := entryChecksum(key, b)
			b[1], b[2], b[3], b[4] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		}
		h, err := decodeEntryHeader(key, b)
		if err != nil {
			return
		}
		e := h.entry(7)
		again := make([]byte, entrySize(e))
		putEntry(again, key, e)
		if h2, err := decodeEntryHeader(key, again); err != nil || h2.term != h.term || h2.typ != h.typ || !bytes.Equal(h2.data, h.data) {
			t.Fatalf("%v became %v, %v", h, h2, err)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	f.Add(Applied{Index: 1}.appendTo(nil))
	f.Add(hardState{1, 2, 3}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if ap, err := decodeApplied(b); err == nil {
			if _, err := decodeApplied(ap.appendTo(nil)); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = decodeHardState(b)
		_, _ = decodeTruncated(b)
		_, _ = decodeReplica(b)
		_, _ = decodeTombstone(b)
		_, _ = parseIdentity(b)
	})
}

// FuzzStageSnapshot feeds streams whose checksums may be repaired, so that what lies behind
// them is reached too.
func FuzzStageSnapshot(f *testing.F) {
	src := openTest(f, vfs.NewMem())
	filled(f, src, 1)
	stream := streamOf(f, src, 1)
	f.Add(stream, true)
	f.Add(stream, false)
	f.Add(stream[:40], true)
	must(f, src.Close())
	fs := vfs.NewMem()
	db := openTest(f, fs)
	f.Fuzz(func(t *testing.T, b []byte, repair bool) {
		if repair {
			b = repairChecksums(bytes.Clone(b))
		}
		staged, err := db.StageSnapshot(1, bytes.NewReader(b))
		if err == nil {
			staged.Discard()
		} else if !errors.Is(err, ErrSnapshotStream) {
			t.Fatalf("error of another kind: %v", err)
		}
		if names, _ := fs.List("node/staging"); len(names) != 0 {
			t.Fatalf("staging has %v", names)
		}
	})
}

// repairChecksums gives each frame the checksum that it should have.
func repairChecksums(b []byte) []byte {
	sum, at := uint32(0), len(streamMagic)+1
	for at+frameFixed+frameChecksum <= len(b) {
		size := int(uint32(b[at+1])<<24 | uint32(b[at+2])<<16 | uint32(b[at+3])<<8 | uint32(b[at+4]))
		end := at + frameFixed + size
		if size < 0 || end+frameChecksum > len(b) {
			break
		}
		sum = crc32.Update(sum, castagnoli, b[at:end])
		b[end], b[end+1], b[end+2], b[end+3] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		at = end + frameChecksum
	}
	return b
}

// FuzzWALScan reads files that are no WAL.
func FuzzWALScan(f *testing.F) {
	fs := vfs.NewMem()
	db := openTest(f, fs)
	filled(f, db, 1)
	must(f, db.Close())
	name, number, err := newestWAL(fs, "node/db")
	must(f, err)
	f.Add(readFile(f, fs, "node/db/"+name), number)
	f.Fuzz(func(t *testing.T, b []byte, number uint32) {
		s := walScan{log: number}
		if err := s.read(bytes.NewReader(b)); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	})
}
