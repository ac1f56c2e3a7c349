package raftlog

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"pxkv/persist/codec"
)

func TestEntriesSurvive(t *testing.T) {
	t.Parallel()
	for _, e := range []*raftpb.Entry{
		entryHeader{}.entry(0),
		entryHeader{term: math.MaxUint64, typ: raftpb.EntryConfChangeV2, data: []byte("d")}.entry(math.MaxUint64),
		{Term: proto.Uint64(1)}, // what raft leaves out is the zero value
	} {
		b := make([]byte, entrySize(e))
		putEntry(b, 9, e)
		h, err := decodeEntryHeader(9, e.GetIndex(), b)
		if err != nil {
			t.Fatal(err)
		}
		got := h.entry(e.GetIndex())
		if got.GetTerm() != e.GetTerm() || got.GetType() != e.GetType() || got.GetIndex() != e.GetIndex() ||
			!bytes.Equal(got.GetData(), e.GetData()) {
			t.Errorf("%v became %v", e, got)
		}
		for i := range b {
			b[i] ^= 4
			if _, err := decodeEntryHeader(9, e.GetIndex(), b); err == nil {
				t.Errorf("byte %d altered, and nobody noticed", i)
			}
			b[i] ^= 4
		}
		if _, err := decodeEntryHeader(8, e.GetIndex(), b); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("in another partition: %v", err)
		}
	}
}
