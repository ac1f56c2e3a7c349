package data

import (
	"bytes"
	"errors"
	"hash/crc32"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/state"
)

func FuzzDecodeRecord(f *testing.F) {
	f.Add(stringRecord("v", 1).AppendTo(nil))
	f.Add(Record{Value: kv.Value{Kind: kv.Binary, ContentType: "a/b"}, DeadlineMS: 5}.AppendTo(nil))
	f.Add(Record{Value: kv.Value{Kind: kv.JSON, Data: []byte("p"), Packing: kv.Zlib, Plain: 300}}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := DecodeRecord(b)
		if err != nil {
			if !errors.Is(err, codec.ErrFormat) && !errors.Is(err, codec.ErrCorrupt) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again, err := DecodeRecord(rec.AppendTo(nil))
		if err != nil || !reflect.DeepEqual(again, rec) {
			t.Fatalf("%v became %v, %v", rec, again, err)
		}
		if !rec.Value.WellPacked() || rec.Value.Length() > max(len(b), kv.DefaultMaxValueBytes) {
			t.Fatalf("%d bytes by packing %d are said to be %d", len(rec.Value.Data), rec.Value.Packing,
				rec.Value.Plain)
		}
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
	shut(f, src)
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

// repairChecksums gives each block the checksum that it should have.
func repairChecksums(b []byte) []byte {
	sum, at := uint32(0), len(streamMagic)+1
	for at+blockFixed+blockChecksum <= len(b) {
		size := int(uint32(b[at+1])<<24 | uint32(b[at+2])<<16 | uint32(b[at+3])<<8 | uint32(b[at+4]))
		end := at + blockFixed + size
		if size < 0 || end+blockChecksum > len(b) {
			break
		}
		sum = crc32.Update(sum, codec.Castagnoli, b[at:end])
		b[end], b[end+1], b[end+2], b[end+3] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		at = end + blockChecksum
	}
	return b
}

func FuzzDecodeLabel(f *testing.F) {
	f.Add(encodeLabel(7, &state.Applied{Index: 1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, ap, err := decodeLabel(b)
		if err != nil {
			return
		}
		if _, _, err := decodeLabel(encodeLabel(id, &ap)); err != nil {
			t.Fatal(err)
		}
	})
}
