package raftlog

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/formattest"
	"pxkv/persist/state"
	"pxkv/persist/wal"
)

// TestFormat holds FORMAT.md to the code: each example of the log in it, byte by byte.
func TestFormat(t *testing.T) {
	t.Parallel()
	all := goldenOps(t)
	e := entry(5, 3, "hello")
	all["entry"] = make([]byte, entrySize(e))
	putEntry(all["entry"], 2, e)
	formattest.Hold(t, "../FORMAT.md", "raftlog", all)
}

// TestPinnedVersions are decisions: raising one makes data that older versions cannot read.
func TestPinnedVersions(t *testing.T) {
	t.Parallel()
	for _, v := range []int{logFormat, entryFormat} {
		if v != 1 {
			t.Errorf("a format version is %d: does FORMAT.md say how the older one is read?", v)
		}
	}
}

// goldenOps is one batch for each operation of the log, without its header.
func goldenOps(t *testing.T) map[string][]byte {
	db := openTest(t, vfs.NewMem(), newStore())
	ops := map[string][]byte{}
	value := []byte{1, 1, 0, 1, 0x80, 0xa0, 0xab, 0xfe, 0xf9, 0x62, 'v'}
	for name, fill := range map[string]func(*Batch){
		"op-checkpoint": func(b *Batch) { b.op(opCheckpoint, 0, true); b.uvarints(1, 1) },
		"op-tombstone":  func(b *Batch) { b.op(opTombstone, 2, true); b.uvarints(300) },
		"op-replica":    func(b *Batch) { b.op(opReplica, 2, true); b.uvarints(7, 3, 7, 300, 200, 2, 301) },
		"op-create": func(b *Batch) {
			b.op(opCreate, 2, true)
			b.uvarints(7)
			b.bytes(state.Applied{Index: 1, Term: 1}.AppendTo(nil))
		},
		"op-put": func(b *Batch) {
			b.op(opPut, 2, true)
			b.bytes([]byte("k"))
			b.bytes(value)
		},
		"op-append":     func(b *Batch) { b.op(opAppend, 2, true); b.entry(2, entry(5, 3, "hello")) },
		"op-move":       func(b *Batch) { b.op(opMove, 2, true); b.entry(2, entry(5, 3, "hello")) },
		"op-hard-state": func(b *Batch) { b.op(opHardState, 2, true); b.hardState(hardState{3, 7, 300}) },
		"op-truncate":   func(b *Batch) { b.op(opTruncate, 2, true); b.entryID(entryID{300, 3}) },
		"op-install":    func(b *Batch) { b.op(opInstall, 2, true); b.uvarints(4, 3, 7, 300, 300, 3) },
		"op-destroy":    func(b *Batch) { b.op(opDestroy, 2, true); b.uvarints(7) },
		"op-void":       func(b *Batch) { b.op(opVoid, 2, true) },
	} {
		b := &Batch{log: db.Log}
		fill(b)
		ops[name] = b.buf[wal.HeaderLen+1:] // behind the version
	}
	must(t, db.Close())
	return ops
}
