package persist

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"pxkv/node/kv"
)

func TestRecordsSurvive(t *testing.T) {
	t.Parallel()
	for _, rec := range []Record{
		{Value: kv.Value{Kind: kv.String, Data: []byte{}}},
		{Value: kv.Value{Kind: kv.JSON, Data: []byte("{}")}, Version: math.MaxUint64, ModifiedMS: -1},
		{Value: kv.Value{Kind: kv.Binary, ContentType: strings.Repeat("c", kv.MaxContentTypeBytes), Data: []byte{0}}, ModifiedMS: math.MaxInt64, DeadlineMS: math.MinInt64},
	} {
		b := rec.AppendTo([]byte("before"))
		got, err := DecodeRecord(b[len("before"):])
		if err != nil || !reflect.DeepEqual(got, rec) {
			t.Errorf("%v became %v, %v", rec, got, err)
		}
		if header := len(b) - len("before") - len(rec.Value.Data); header > maxRecordHeader {
			t.Errorf("header of %d bytes", header)
		}
	}
}

func TestRecordsOfTheFutureAreRefused(t *testing.T) {
	t.Parallel()
	good := Record{Value: kv.Value{Kind: kv.String, ContentType: "x", Data: []byte("v")}, DeadlineMS: 1}.AppendTo(nil)
	for _, tc := range []struct {
		at   int
		to   byte
		err  error
		text string
	}{
		{0, 2, ErrFormat, "unknown format version 2 of value (this pxkv knows 1"},
		{0, 0, ErrFormat, "unknown format version 0"},
		{1, 4, ErrCorrupt, "unknown kind"},
		{1, 0, ErrCorrupt, "unknown kind"},
		{2, 7, ErrCorrupt, "unknown flag"},
		{5, 0, ErrCorrupt, "empty deadline"},
		{6, 0, ErrCorrupt, "empty content type"},
		{6, 200, ErrCorrupt, "ends early"},
	} {
		b := bytes.Clone(good)
		b[tc.at] = tc.to
		_, err := DecodeRecord(b)
		if !errors.Is(err, tc.err) {
			t.Errorf("byte %d is %d: %v", tc.at, tc.to, err)
		}
		wantText(t, err, tc.text)
	}
	if _, err := DecodeRecord(nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("nothing: %v", err)
	}
}

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
		if got.GetTerm() != e.GetTerm() || got.GetType() != e.GetType() || got.GetIndex() != e.GetIndex() || !bytes.Equal(got.GetData(), e.GetData()) {
			t.Errorf("%v became %v", e, got)
		}
		for i := range b {
			b[i] ^= 4
			if _, err := decodeEntryHeader(9, e.GetIndex(), b); err == nil {
				t.Errorf("byte %d altered, and nobody noticed", i)
			}
			b[i] ^= 4
		}
		if _, err := decodeEntryHeader(8, e.GetIndex(), b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("in another partition: %v", err)
		}
	}
}

func TestAppliedSurvives(t *testing.T) {
	t.Parallel()
	for _, ap := range []Applied{
		{Conf: &raftpb.ConfState{}},
		{
			Index: math.MaxUint64, Term: 2, Revision: 3, TimeMS: -4, Hash: math.MaxUint64,
			Conf:     &raftpb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{3}, VotersOutgoing: []uint64{4}, LearnersNext: []uint64{5}, AutoLeave: proto.Bool(true)},
			Replicas: []kv.Replica{{ID: 1, Node: math.MaxUint64}, {ID: 2, Node: 7}},
		},
	} {
		b := ap.appendTo(nil)
		got, err := decodeApplied(b)
		if err != nil || !proto.Equal(got.Conf, ap.Conf) {
			t.Fatalf("%v became %v, %v", ap, got, err)
		}
		got.Conf = ap.Conf
		if !reflect.DeepEqual(got, ap) {
			t.Errorf("%v became %v", ap, got)
		}
		for i := range b {
			if _, err := decodeApplied(b[:i]); err == nil {
				t.Errorf("cut after %d bytes, and nobody noticed", i)
			}
		}
		if _, err := decodeApplied(append(b, 0)); err == nil {
			t.Error("a byte too many, and nobody noticed")
		}
	}
}
