package node

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"pxkv/node/kv"
)

func TestRequestsSurviveTheWire(t *testing.T) {
	t.Parallel()
	for _, r := range []scanRequest{
		{partition: 3, from: []byte("f"), prefix: []byte("p"), keysOnly: true, maxItems: 7, maxLen: 9},
		{partition: 0, from: []byte{}, prefix: []byte{}, stale: true, maxItems: maxPageItems, maxLen: maxPageBytes},
	} {
		got, err := decodeScan(r.encode())
		if err != nil || got.partition != r.partition || !bytes.Equal(got.from, r.from) || !bytes.Equal(got.prefix, r.prefix) ||
			got.keysOnly != r.keysOnly || got.stale != r.stale || got.maxItems != r.maxItems || got.maxLen != r.maxLen {
			t.Errorf("%+v arrives as %+v, %v", r, got, err)
		}
	}
	opt := kv.ReadOptions{Consistency: kv.Stale, MinIndex: math.MaxUint64}
	key, got, err := decodeRead(encodeRead([]byte("k\x00"), opt))
	if err != nil || string(key) != "k\x00" || got != opt {
		t.Errorf("read of %q with %+v arrives as %q with %+v, %v", "k\x00", opt, key, got, err)
	}
	refusal := &kv.Error{Kind: kv.NotLeader, Text: "elsewhere", Leader: 7}
	if _, e := decodeAnswer(encodeError(refusal)); e == nil || *e != *refusal {
		t.Errorf("%+v arrives as %+v", refusal, e)
	}
}

// What another node asks for must cost no more than what this one would ask for.
func TestAScanRequestIsBounded(t *testing.T) {
	t.Parallel()
	for _, r := range []scanRequest{{maxItems: 0, maxLen: 1}, {maxItems: 1, maxLen: 0}, {maxItems: math.MaxInt64, maxLen: math.MaxInt64}} {
		got, err := decodeScan(r.encode())
		if err == nil && (got.maxItems < 1 || got.maxItems > maxPageItems || got.maxLen < 1 || got.maxLen > maxPageBytes) {
			t.Errorf("%+v arrives as %+v: 0 would mean no limit to the store", r, got)
		}
	}
	b := (&scanRequest{partition: 3, maxItems: 1, maxLen: 1}).encode()
	if _, err := decodeScan(append(binary.AppendUvarint(b[:1:1], 1<<32|3), b[2:]...)); err == nil {
		t.Error("a partition that does not fit its type was accepted")
	}
}

// A malformed answer is refused before it makes this node allocate many times its size. The
// test does not run beside others, for it counts what the process allocates.
func TestAPageIsBounded(t *testing.T) {
	for name, b := range map[string][]byte{
		"many items that are not there": append(binary.AppendUvarint([]byte{answerOK, 0}, 1<<20), make([]byte, 1<<20)...),
		"more items than a page has":    (&page{items: make([]kv.Item, maxPageItems+1)}).encode(),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d, e := decodeAnswer(b)
		if e == nil {
			_, e = decodePage(&d)
		}
		runtime.ReadMemStats(&after)
		if e == nil {
			t.Errorf("%s: accepted", name)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 256<<10 {
			t.Errorf("%s: %d bytes were allocated for %d", name, allocated, len(b))
		}
	}
}

func FuzzScanRequest(f *testing.F) {
	f.Add((&scanRequest{partition: 3, from: []byte("from"), prefix: []byte("prefix"), keysOnly: true, maxItems: 7, maxLen: 9}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeScan(b)
		if err != nil {
			return
		}
		if r.maxItems < 1 || r.maxItems > maxPageItems || r.maxLen < 1 || r.maxLen > maxPageBytes {
			t.Fatalf("unbounded: %+v", r)
		}
		again, err := decodeScan(r.encode())
		if err != nil || !bytes.Equal(again.encode(), r.encode()) {
			t.Fatalf("%+v arrives as %+v, %v", r, again, err)
		}
	})
}

func FuzzReadRequest(f *testing.F) {
	f.Add(encodeRead([]byte("key"), kv.ReadOptions{Consistency: kv.Stale, MinIndex: 300}))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, opt, err := decodeRead(b)
		if err != nil {
			return
		}
		if kv.ValidateKey(key) != nil || opt.Consistency > kv.Stale {
			t.Fatalf("accepted %q with %+v", key, opt)
		}
		k, o, err := decodeRead(encodeRead(key, opt))
		if err != nil || !bytes.Equal(k, key) || o != opt {
			t.Fatalf("%q with %+v arrives as %q with %+v, %v", key, opt, k, o, err)
		}
	})
}

// answeredSteps are steps of each kind with each ending.
func answeredSteps(item kv.Item) []*step {
	return []*step{
		{keys: [][]byte{[]byte("k"), []byte("l")}, read: []kv.ReadResult{{Found: true, Item: item}, {}}},
		{keys: [][]byte{[]byte("k")}, err: kv.Errorf(kv.NotLeader, "elsewhere")},
		{unit: []byte("unit"), commands: 1, result: kv.TransactionResult{Results: []kv.Result{{Outcome: kv.Done, Number: 7, Item: &item}}}},
		{unit: []byte("unit"), commands: 1, result: kv.TransactionResult{Conflict: true}},
		{keys: [][]byte{[]byte("k"), []byte("l")}, unit: []byte("unit"), commands: 1, read: []kv.ReadResult{{}}},
	}
}

func TestStepAnswersRoundTrip(t *testing.T) {
	t.Parallel()
	item := kv.Item{Key: []byte{}, Value: kv.Value{Kind: kv.JSON, Data: []byte("{}")}, Version: 9}
	want := answeredSteps(item)
	got := answeredSteps(item)
	for _, s := range got {
		s.read, s.result, s.err = nil, kv.TransactionResult{}, nil
	}
	d, e := decodeAnswer(encodeStepAnswer(want))
	if e != nil || !decodeSteps(&d, got) {
		t.Fatalf("not understood: %v", e)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("step %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}

// FuzzAnswer reads every kind of answer out of whatever arrives.
func FuzzAnswer(f *testing.F) {
	item := kv.Item{Key: []byte("k"), Value: kv.Value{Kind: kv.JSON, ContentType: "application/json", Data: []byte("{}")}, Version: 9, Modified: -1, Deadline: 1}
	f.Add(encodeError(&kv.Error{Kind: kv.NotLeader, Text: "elsewhere", Leader: 7}))
	f.Add((&page{items: []kv.Item{item, item}, more: true}).encode())
	f.Add((&kv.Result{Outcome: kv.Done, Created: true, Version: 3, Receipt: kv.Receipt{Partition: 1, Index: 2, Node: "n"}}).AppendTo([]byte{answerOK}))
	f.Add((&kv.ReadResult{Found: true, Item: item, StalenessMS: 4}).AppendTo([]byte{answerOK}))
	f.Add([]byte{answerOK, 0, 1, 200, 1})
	f.Add(encodeStepAnswer(answeredSteps(item)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, e := decodeAnswer(b)
		if e != nil {
			if e.Kind < kv.Invalid || e.Kind > kv.Internal {
				t.Fatalf("error of kind %d", e.Kind)
			}
			return
		}
		asPage := d
		if pg, e := decodePage(&asPage); e == nil {
			if len(pg.items) > maxPageItems {
				t.Fatalf("%d items", len(pg.items))
			}
			again := kv.NewDecoder(pg.encode()[1:])
			if pg2, e := decodePage(&again); e != nil || !slices.EqualFunc(pg.items, pg2.items, func(a, b kv.Item) bool { return bytes.Equal(a.AppendTo(nil), b.AppendTo(nil)) }) {
				t.Fatalf("%+v arrives as %+v, %v", pg, pg2, e)
			}
		}
		asSteps, steps := d, answeredSteps(item)
		for _, s := range steps {
			s.read, s.result, s.err = nil, kv.TransactionResult{}, nil
		}
		if decodeSteps(&asSteps, steps) {
			again := kv.NewDecoder(encodeStepAnswer(steps)[1:])
			for _, s := range steps {
				s.read, s.result, s.err = nil, kv.TransactionResult{}, nil
			}
			if !decodeSteps(&again, steps) {
				t.Fatal("what was understood is not any more")
			}
		}
		asRead := d
		asRead.ReadReadResult()
		if res, e := decodeResult(&d); e == nil && (res.Outcome < kv.Done || !res.Outcome.Known()) {
			t.Fatalf("outcome %d", res.Outcome)
		}
	})
}
