package data

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"pxkv/node/kv"
	"pxkv/node/pack"
	"pxkv/persist/formattest"
	"pxkv/persist/state"
)

// TestFormat holds FORMAT.md to the code: each example of the data in it, byte by byte.
func TestFormat(t *testing.T) {
	t.Parallel()
	ap := state.Applied{
		Index: 300, Term: 3, Revision: 40, TimeMS: 1000, Hash: 0x0102030405060708,
		Conf: &raftpb.ConfState{
			Voters: []uint64{7, 9}, Learners: []uint64{12}, VotersOutgoing: []uint64{7}, AutoLeave: proto.Bool(true),
		},
		Replicas: []kv.Replica{{ID: 7, Node: 0xa1}, {ID: 9, Node: 0xa2}, {ID: 12, Node: 0xa3}},
	}
	rec := Record{
		Value:   kv.Value{Kind: kv.JSON, ContentType: "a/b", Data: []byte("{}")},
		Version: 300, ModifiedMS: 1000, DeadlineMS: 2000,
	}
	// By zlib at its fastest, made once: another encoder may make other bytes.
	packed, err := hex.DecodeString("78012a2b1b85c442c000513f8a49")
	must(t, err)
	if plain, err := pack.NewUnpacker(1).Unpack(&kv.Value{Data: packed, Packing: kv.Zlib, Plain: 300}); err != nil ||
		string(plain) != strings.Repeat("v", 300) {
		t.Errorf("the packed example is %q, %v", plain, err)
	}
	s := openTest(t, vfs.NewMem())
	s.NewBirth(2, 7, &state.Applied{Index: 1, Term: 1}).Commit()
	a := s.NewApply()
	a.Put(2, []byte("k"), stringRecord("v", 1))
	must(t, a.Commit())
	stream := streamOf(t, s, 2)
	wanted := expiryKey(2, rec.DeadlineMS, []byte("user:1"))
	a = s.NewApply()
	a.Put(2, []byte("user:1"), rec)
	must(t, a.Commit())
	expiring := streamOf(t, s, 2) // drains
	expiryValue, _, err := s.getCopy(wanted)
	must(t, err)
	format, _, err := s.getCopy(formatKey)
	must(t, err)
	shut(t, s)
	at := bytes.Index(expiring, wanted[kindPrefixLen:]) - 6
	formattest.Hold(t, "../FORMAT.md", "data", map[string][]byte{
		"format-key":       formatKey,
		"format-value":     format,
		"applied-key":      kindKey(2, kindApplied),
		"applied-value":    encodeLabel(7, &ap),
		"data-key":         appendDataKey(nil, 2, []byte("user:1")),
		"data-value":       rec.AppendTo(nil),
		"data-value-plain": stringRecord("v", 1).AppendTo(nil),
		"data-value-packed": Record{
			Value: kv.Value{Kind: kv.String, Data: packed, Packing: kv.Zlib, Plain: 300}, Version: 1,
		}.AppendTo(nil),
		"expiry-key":      wanted,
		"expiry-value":    expiryValue,
		"snapshot-expiry": expiring[at:][:6+len(wanted)-kindPrefixLen],
		"meta-data-key":   appendDataKey(nil, kv.Meta, []byte("x")),
		"snapshot":        stream,
	})
}

// TestPinnedVersions are decisions: raising one makes data that older versions cannot read.
func TestPinnedVersions(t *testing.T) {
	t.Parallel()
	if pebbleFormat != 21 {
		t.Errorf("Pebble's format is %d", pebbleFormat)
	}
	for _, v := range []int{keyspaceFormat - 1, recordFormat, state.Format, labelFormat, streamFormat, expiryFormat} {
		if v != 1 {
			t.Errorf("a format version is %d: does FORMAT.md say how the older one is read?", v)
		}
	}
	fs := vfs.NewMem()
	shut(t, openTest(t, fs))
	names, err := fs.List("node/db")
	must(t, err)
	if !slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".021") }) {
		t.Errorf("the directory has %v", names)
	}
}
