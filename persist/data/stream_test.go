package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/state"
)

// TestAlteredStreams cuts a stream at each byte, and alters each byte.
func TestAlteredStreams(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openTest(t, fs)
	filled(t, db, 3)
	stream := streamOf(t, db, 3)
	refuse := func(what string, stream []byte, p kv.PartitionID) {
		t.Helper()
		staged, err := db.StageSnapshot(p, bytes.NewReader(stream))
		if staged != nil || !errors.Is(err, ErrSnapshotStream) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range stream {
		refuse(fmt.Sprintf("cut after %d bytes", i), stream[:i], 3)
		altered := bytes.Clone(stream)
		altered[i] ^= 1 << (i % 8)
		refuse(fmt.Sprintf("byte %d altered", i), altered, 3)
	}
	refuse("of another partition", stream, 4)

	if names, err := fs.List("node/staging"); err != nil || len(names) != 0 {
		t.Errorf("staging has %v, %v", names, err)
	}
	shut(t, db)
}

// TestForgedStreams are whole and have right checksums, and hold what no pxkv would send.
func TestForgedStreams(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	good := stringRecord("v", 1).AppendTo(nil)
	item := func(key string, value []byte) []byte {
		b := append(binary.AppendUvarint(nil, uint64(len(key))), key...)
		return append(binary.AppendUvarint(b, uint64(len(value))), value...)
	}
	join := func(items ...[]byte) []byte { return bytes.Join(items, nil) }
	ap := state.Applied{Index: 5, Term: 1}
	for _, tc := range []struct {
		what    string
		applied state.Applied
		chunk   []byte
		totals  []byte
		text    string
	}{
		{"no state", state.Applied{}, nil, []byte{0, 0}, "applied nothing"},
		{"keys that go back", ap, join(item("b", good), item("a", good)), nil, "out of order"},
		{"a key twice", ap, join(item("a", good), item("a", good)), nil, "out of order"},
		{"an empty key", ap, item("", good), nil, "out of order"},
		{"a value of the future", ap, item("a", []byte{9}), nil, "unknown format version 9 of value"},
		{"a key longer than its chunk", ap, []byte{200, 1, 'a'}, nil, "it ends early"},
		{"wrong totals", ap, item("a", good), []byte{2, 3}, "should have 2 of 3"},
		{"totals and more", ap, item("a", good), []byte{1, 8, 0}, "bytes left over"},
	} {
		var stream bytes.Buffer
		bw := &blockWriter{w: &stream}
		must(t, bw.magic())
		bw.begin(blockHeader)
		bw.buf = tc.applied.AppendTo(binary.BigEndian.AppendUint32(bw.buf, 0))
		must(t, bw.end())
		bw.begin(blockChunk)
		bw.buf = append(bw.buf, tc.chunk...)
		must(t, bw.end())
		bw.begin(blockEnd)
		bw.buf = append(bw.buf, tc.totals...)
		must(t, bw.end())
		_, err := db.StageSnapshot(0, &stream)
		if !errors.Is(err, ErrSnapshotStream) {
			t.Errorf("%s: %v", tc.what, err)
		}
		wantText(t, err, tc.text)
	}
	shut(t, db)
}

// TestStreamOfLies announces a large block and sends little of it.
func TestStreamOfLies(t *testing.T) {
	db := openTest(t, vfs.NewMem())
	head := append([]byte(streamMagic), streamFormat, blockHeader)
	lie := binary.BigEndian.AppendUint32(bytes.Clone(head), maxBlockBytes)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := db.StageSnapshot(0, bytes.NewReader(lie)); !errors.Is(err, ErrSnapshotStream) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("%d bytes were allocated for a stream of %d", grown, len(lie))
	}
	big := binary.BigEndian.AppendUint32(head, maxBlockBytes+1)
	_, err := db.StageSnapshot(0, bytes.NewReader(big))
	wantText(t, err, "larger than the limit")
	shut(t, db)
}
