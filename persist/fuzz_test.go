package persist

import (
	"bytes"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/wal"
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
	good := make([]byte, entrySize(entry(7, 3, "data")))
	putEntry(good, 1, entry(7, 3, "data"))
	f.Add(good, false)
	f.Add(good, true)
	f.Fuzz(func(t *testing.T, b []byte, forge bool) {
		if forge && len(b) >= entryFixed { // give it a checksum that is right
			sum := entryChecksum(1, 7, b)
			b[1], b[2], b[3], b[4] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		}
		h, err := decodeEntryHeader(1, 7, b)
		if err != nil {
			return
		}
		e := h.entry(7)
		again := make([]byte, entrySize(e))
		putEntry(again, 1, e)
		if h2, err := decodeEntryHeader(1, 7, again); err != nil || h2.term != h.term || h2.typ != h.typ || !bytes.Equal(h2.data, h.data) {
			t.Fatalf("%v became %v, %v", h, h2, err)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	f.Add(Applied{Index: 1}.appendTo(nil))
	f.Add(appendAppliedRecord(nil, 7, &Applied{Index: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ap, err := decodeApplied(b); err == nil {
			if _, err := decodeApplied(ap.appendTo(nil)); err != nil {
				t.Fatal(err)
			}
		}
		if id, ap, err := decodeAppliedRecord(b); err == nil {
			if _, _, err := decodeAppliedRecord(appendAppliedRecord(nil, id, &ap)); err != nil {
				t.Fatal(err)
			}
		}
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

// FuzzReplay reads records that no pxkv wrote, behind one that it did.
func FuzzReplay(f *testing.F) {
	db := openTest(f, vfs.NewMem())
	b := db.NewBatch()
	r := b.Create(1, 7, &Applied{Index: 1, Term: 1})
	b.Put(r, []byte("k"), stringRecord("v", 1))
	first := bytes.Clone(b.buf[wal.HeaderLen:])
	must(f, b.Commit())
	for _, fill := range []func(*Batch){
		func(b *Batch) { b.Append(r, entries(2, 5, 1)) },
		func(b *Batch) { b.SetHardState(r, raftHardState(hardState{1, 7, 3})) },
		func(b *Batch) { b.checkpoint() },
		func(b *Batch) { b.Destroy(r) },
	} {
		b := db.NewBatch()
		fill(b)
		f.Add(bytes.Clone(b.buf[wal.HeaderLen:]))
		must(f, b.Commit())
	}
	must(f, db.Close())
	f.Fuzz(func(t *testing.T, record []byte) {
		rp := newReplay()
		must(t, rp.record(1, first))
		if err := rp.record(2, record); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
			t.Fatalf("error of another kind: %v", err)
		}
		_ = newReplay().record(1, record)
	})
}
