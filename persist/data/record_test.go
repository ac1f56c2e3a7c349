package data

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"pxkv/node/kv"
	"pxkv/persist/codec"
)

func TestRecordsSurvive(t *testing.T) {
	t.Parallel()
	for _, rec := range []Record{
		{Value: kv.Value{Kind: kv.String, Data: []byte{}}},
		{Value: kv.Value{Kind: kv.JSON, Data: []byte("{}")}, Version: math.MaxUint64, ModifiedMS: -1},
		{Value: kv.Value{
			Kind: kv.Binary, ContentType: strings.Repeat("c", kv.MaxContentTypeBytes), Data: []byte{0},
		}, ModifiedMS: math.MaxInt64, DeadlineMS: math.MinInt64},
		{Value: kv.Value{Kind: kv.JSON, Data: []byte("packed"), Packing: kv.Zlib, Plain: 7}, Version: 1},
		{Value: kv.Value{
			Kind: kv.String, ContentType: strings.Repeat("c", kv.MaxContentTypeBytes), Data: []byte{0},
			Packing: kv.Zstd, Plain: kv.DefaultMaxValueBytes,
		}, Version: math.MaxUint64, ModifiedMS: math.MinInt64, DeadlineMS: math.MinInt64},
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
		{0, 3, codec.ErrFormat, "unknown format version 3 of value (this pxkv knows 2"},
		{0, 0, codec.ErrFormat, "unknown format version 0"},
		{1, 4, codec.ErrCorrupt, "unknown kind"},
		{1, 0, codec.ErrCorrupt, "unknown kind"},
		{2, 7, codec.ErrCorrupt, "unknown flag"},
		{5, 0, codec.ErrCorrupt, "empty deadline"},
		{6, 0, codec.ErrCorrupt, "empty content type"},
		{6, 200, codec.ErrCorrupt, "ends early"},
	} {
		b := bytes.Clone(good)
		b[tc.at] = tc.to
		_, err := DecodeRecord(b)
		if !errors.Is(err, tc.err) {
			t.Errorf("byte %d is %d: %v", tc.at, tc.to, err)
		}
		wantText(t, err, tc.text)
	}
	if _, err := DecodeRecord(nil); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("nothing: %v", err)
	}
}

// What is said of a packing must be able to be, whatever the data is.
func TestRecordsOfUnknownPackingsAreRefused(t *testing.T) {
	t.Parallel()
	of := func(v kv.Value) []byte { return Record{Value: v, Version: 1}.AppendTo(nil) }
	packed := kv.Value{Kind: kv.String, Data: []byte("packed"), Packing: kv.Zstd, Plain: 100}
	if _, err := DecodeRecord(of(packed)); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*kv.Value){
		"a packing of the future": func(v *kv.Value) { v.Packing = 3 },
		"longer than it was":      func(v *kv.Value) { v.Plain = 5 },
		"as long as it was":       func(v *kv.Value) { v.Plain = 6 },
		"longer than a value is":  func(v *kv.Value) { v.Plain = kv.DefaultMaxValueBytes + 1 },
		"without data":            func(v *kv.Value) { v.Data = nil },
	} {
		v := packed
		change(&v)
		_, err := DecodeRecord(of(v))
		if !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
		wantText(t, err, "unknown packing of value")
	}
	b := of(packed)
	b[3] = 0 // not packed, in the format of packed ones
	if _, err := DecodeRecord(b); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("no packing: %v", err)
	}
}
