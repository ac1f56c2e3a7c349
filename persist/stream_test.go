package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
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
	must(t, db.Close())
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
	ap := Applied{Index: 5, Term: 1}
	for _, tc := range []struct {
		what    string
		applied Applied
		chunk   []byte
		totals  []byte
		text    string
	}{
		{"no state", Applied{}, nil, []byte{0, 0}, "applied nothing"},
		{"keys that go back", ap, join(item("b", good), item("a", good)), nil, "out of order"},
		{"a key twice", ap, join(item("a", good), item("a", good)), nil, "out of order"},
		{"an empty key", ap, item("", good), nil, "out of order"},
		{"a value of the future", ap, item("a", []byte{9}), nil, "unknown format version 9 of value"},
		{"a key longer than its chunk", ap, []byte{200, 1, 'a'}, nil, "record ends early"},
		{"wrong totals", ap, item("a", good), []byte{2, 3}, "should have 2 of 3"},
		{"totals and more", ap, item("a", good), []byte{1, 8, 0}, "bytes left over"},
	} {
		var stream bytes.Buffer
		fw := &frameWriter{w: &stream}
		must(t, fw.magic())
		fw.frame(frameHeader)
		fw.buf = tc.applied.appendTo(binary.BigEndian.AppendUint32(fw.buf, 0))
		must(t, fw.end())
		fw.frame(frameChunk)
		fw.buf = append(fw.buf, tc.chunk...)
		must(t, fw.end())
		fw.frame(frameEnd)
		fw.buf = append(fw.buf, tc.totals...)
		must(t, fw.end())
		_, err := db.StageSnapshot(0, &stream)
		if !errors.Is(err, ErrSnapshotStream) {
			t.Errorf("%s: %v", tc.what, err)
		}
		wantText(t, err, tc.text)
	}
	must(t, db.Close())
}

// TestStreamOfLies announces a large frame and sends little of it.
func TestStreamOfLies(t *testing.T) {
	db := openTest(t, vfs.NewMem())
	head := append([]byte(streamMagic), streamFormat, frameHeader)
	lie := binary.BigEndian.AppendUint32(bytes.Clone(head), maxFrameBytes)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := db.StageSnapshot(0, bytes.NewReader(lie)); !errors.Is(err, ErrSnapshotStream) {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("%d bytes were allocated for a stream of %d", grown, len(lie))
	}
	big := binary.BigEndian.AppendUint32(head, maxFrameBytes+1)
	_, err := db.StageSnapshot(0, bytes.NewReader(big))
	wantText(t, err, "larger than the limit")
	must(t, db.Close())
}
