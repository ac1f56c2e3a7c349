package raftlog

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/codec"
	"pxkv/persist/state"
	"pxkv/persist/wal"
)

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
		if h2, err := decodeEntryHeader(1, 7, again); err != nil || h2.term != h.term || h2.typ != h.typ ||
			!bytes.Equal(h2.data, h.data) {
			t.Fatalf("%v became %v, %v", h, h2, err)
		}
	})
}

// FuzzReplay reads batches that no pxkv wrote, behind one that it did.
func FuzzReplay(f *testing.F) {
	db := openTest(f, vfs.NewMem(), newStore())
	b := db.NewBatch()
	r := b.Create(1, 7, &state.Applied{Index: 1, Term: 1})
	b.Put(r, []byte("k"), []byte("v"))
	first := bytes.Clone(b.buf[wal.HeaderLen:])
	must(f, b.Commit())
	for _, fill := range []func(*Batch){
		func(b *Batch) { b.Append(r, entries(2, 5, 1)) },
		func(b *Batch) { b.SetHardState(r, raftHardState(hardState{1, 7, 3})) },
		func(b *Batch) { b.checkpoint() },
		func(b *Batch) { b.Void(r) },
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
		must(t, rp.batch(1, first))
		if err := rp.batch(2, record); err != nil && !errors.Is(err, codec.ErrCorrupt) &&
			!errors.Is(err, codec.ErrFormat) {
			t.Fatalf("error of another kind: %v", err)
		}
		_ = newReplay().batch(1, record)
	})
}
