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
	"pxkv/node/rpc"
)

// content is what is behind the first byte of a request or an answer.
func content(b []byte) kv.Decoder { return kv.NewDecoder(b[1:]) }

// readRequestOf asks for a key, for which there is so much room.
func readRequestOf(key []byte, opt kv.ReadOptions, room int) []byte {
	return (&readRequest{key: key, opt: opt}).encode(room)
}

func TestRequestsSurviveTheWire(t *testing.T) {
	t.Parallel()
	for _, r := range []scanRequest{
		{partition: 3, from: []byte("f"), prefix: []byte("p"), keysOnly: true, maxItems: 7, maxLen: 9},
		{partition: 3, to: []byte("t"), maxItems: 1, maxLen: 1},
		{partition: 3, filter: kv.Filter{Glob: "g", Regex: "r", Type: "t", Where: "w"}, maxItems: 1, maxLen: 1},
		{partition: 0, from: []byte{}, prefix: []byte{}, stale: true, noLonger: true, maxItems: maxPageItems,
			maxLen: maxPageBytes},
	} {
		got, err := decodeScan(content(r.encode()))
		if err != nil || got.partition != r.partition || !bytes.Equal(got.from, r.from) ||
			!bytes.Equal(got.prefix, r.prefix) ||
			got.keysOnly != r.keysOnly || got.stale != r.stale || got.noLonger != r.noLonger ||
			!bytes.Equal(got.to, r.to) || got.filter != r.filter ||
			got.maxItems != r.maxItems || got.maxLen != r.maxLen {
			t.Errorf("%+v arrives as %+v, %v", r, got, err)
		}
	}
	for _, pg := range []page{
		{}, {more: true, next: []byte("n")},
		{items: []kv.Item{{Key: []byte("k"), Value: kv.Value{Kind: kv.String}}}, more: true},
		{items: []kv.Item{{Key: []byte("k"), Value: kv.Value{Kind: kv.String}}}, more: true, next: []byte("n")},
	} {
		d, e := rpc.DecodeAnswer(pg.encode())
		if got, ok := decodePage(d); e != nil || !ok || len(got.items) != len(pg.items) || got.more != pg.more ||
			!bytes.Equal(got.next, pg.next) {
			t.Errorf("%+v arrives as %+v", pg, got)
		}
	}
	opt := kv.ReadOptions{Consistency: kv.Stale, MinIndex: math.MaxUint64}
	got, err := decodeRead(content(readRequestOf([]byte("k\x00"), opt, 9)))
	if err != nil || string(got.key) != "k\x00" || got.opt != opt || got.most != 0 {
		t.Errorf("read of %q with %+v arrives as %+v, %v", "k\x00", opt, got, err)
	}
	got, err = decodeRead(content(readRequestOf([]byte("k"), kv.ReadOptions{MinIndex: 3}, 9)))
	if err != nil || got.most != 9 || got.opt != (kv.ReadOptions{}) {
		t.Errorf("a read within 9 bytes arrives as %+v, %v", got, err)
	}
	refusal := &kv.Error{Kind: kv.NotLeader, Text: "elsewhere", Leader: 7}
	if _, e := rpc.DecodeAnswer(rpc.EncodeError(refusal)); e == nil || *e != *refusal {
		t.Errorf("%+v arrives as %+v", refusal, e)
	}
}

// What another node asks for must cost no more than what this one would ask for.
func TestAScanRequestIsBounded(t *testing.T) {
	t.Parallel()
	for _, r := range []scanRequest{
		{maxItems: 0, maxLen: 1}, {maxItems: 1, maxLen: 0}, {maxItems: math.MaxInt64, maxLen: math.MaxInt64},
	} {
		got, err := decodeScan(content(r.encode()))
		if err == nil && (got.maxItems < 1 || got.maxItems > maxPageItems || got.maxLen < 1 ||
			got.maxLen > maxPageBytes) {
			t.Errorf("%+v arrives as %+v: 0 would mean no limit to the store", r, got)
		}
	}
	b := (&scanRequest{partition: 3, maxItems: 1, maxLen: 1}).encode()
	if _, err := decodeScan(content(append(binary.AppendUvarint(b[:1:1], 1<<32|3), b[2:]...))); err == nil {
		t.Error("a partition that does not fit its type was accepted")
	}
}

// A malformed answer is refused before it makes this node allocate many times its size. The
// test does not run beside others, for it counts what the process allocates.
func TestAPageIsBounded(t *testing.T) {
	for name, b := range map[string][]byte{
		"many items that are not there": append(binary.AppendUvarint(append(rpc.NewAnswer(0), 0), 1<<20),
			make([]byte, 1<<20)...),
		"more of nothing":            (&page{more: true}).encode(),
		"more items than a page has": (&page{items: make([]kv.Item, maxPageItems+1)}).encode(),
	} {
		mustCostLittle(t, name, len(b), func() bool {
			d, e := rpc.DecodeAnswer(b)
			if e != nil {
				return false
			}
			_, ok := decodePage(d)
			return ok
		})
	}
}

// The same holds for a step of a walk, and for what other nodes ask in steps.
func TestKeysOfOtherNodesAreBounded(t *testing.T) {
	empty := make([]byte, 1<<20) // so many keys of no bytes
	walked := append(binary.AppendUvarint(append(rpc.NewAnswer(0), 0), uint64(len(empty))), empty...)
	mustCostLittle(t, "a walk", len(walked), func() bool {
		_, ok := decodeWalkStep(walkRequest{}, content(walked))
		return ok
	})
	c, servers := of(t, 1, partitions(1))
	c.stop() // it allocates as well
	n := servers[0].node
	asked := append(binary.AppendUvarint([]byte{1, 0}, uint64(len(empty))), empty...)
	asked = append(asked, 0) // no unit
	mustCostLittle(t, "steps", len(asked), func() bool {
		_, err := n.decodeStepRequest(reqSteps, kv.NewDecoder(asked))
		return err == nil
	})
}

// mustCostLittle checks that what cannot be is refused, and that this allocates no more than some 100 KiB.
func mustCostLittle(t *testing.T, what string, size int, decode func() (ok bool)) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ok := decode()
	runtime.ReadMemStats(&after)
	if ok {
		t.Errorf("%s: accepted", what)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 256<<10 {
		t.Errorf("%s: %d bytes were allocated for %d", what, allocated, size)
	}
}

func FuzzScanRequest(f *testing.F) {
	f.Add((&scanRequest{
		partition: 3, from: []byte("from"), prefix: []byte("prefix"), keysOnly: true, maxItems: 7, maxLen: 9,
	}).encode()[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeScan(kv.NewDecoder(b))
		if err != nil {
			return
		}
		if r.maxItems < 1 || r.maxItems > maxPageItems || r.maxLen < 1 || r.maxLen > maxPageBytes {
			t.Fatalf("unbounded: %+v", r)
		}
		again, err := decodeScan(content(r.encode()))
		if err != nil || !bytes.Equal(again.encode(), r.encode()) {
			t.Fatalf("%+v arrives as %+v, %v", r, again, err)
		}
	})
}

func FuzzReadRequest(f *testing.F) {
	f.Add(readRequestOf([]byte("key"), kv.ReadOptions{Consistency: kv.Stale, MinIndex: 300}, 0)[1:])
	f.Add(readRequestOf([]byte("key"), kv.ReadOptions{}, 300)[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRead(kv.NewDecoder(b))
		if err != nil {
			return
		}
		if kv.ValidateKey(r.key) != nil || r.opt.Consistency > kv.Stale {
			t.Fatalf("accepted %+v", r)
		}
		again, err := decodeRead(content(readRequestOf(r.key, r.opt, r.most)))
		if err != nil || !bytes.Equal(again.key, r.key) || again.opt != r.opt || again.most != r.most {
			t.Fatalf("%+v arrives as %+v, %v", r, again, err)
		}
	})
}

// answeredSteps are steps of each kind with each ending.
func answeredSteps(item kv.Item) []*step {
	return []*step{
		{keys: []wanted{{key: []byte("k")}, {key: []byte("l")}}, read: []kv.ReadResult{
			{Found: true, Item: item, Length: int64(len(item.Value.Data))}, {},
		}},
		{keys: []wanted{{key: []byte("k")}}, err: kv.Errorf(kv.NotLeader, "elsewhere")},
		{unit: []byte("unit"), commands: 1, result: kv.TransactionResult{
			Results: []kv.Result{{Outcome: kv.Done, Number: 7, Item: &item}},
		}},
		{unit: []byte("unit"), commands: 1, result: kv.TransactionResult{Conflict: true}},
		{keys: []wanted{{key: []byte("k")}, {key: []byte("l")}}, unit: []byte("unit"), commands: 1,
			read: []kv.ReadResult{{}}},
	}
}

func unanswered(item kv.Item) []*step {
	steps := answeredSteps(item)
	for _, s := range steps {
		s.read, s.result, s.err = nil, kv.TransactionResult{}, nil
	}
	return steps
}

func TestStepAnswersRoundTrip(t *testing.T) {
	t.Parallel()
	item := kv.Item{Key: []byte{}, Value: kv.Value{Kind: kv.JSON, Data: []byte("{}")}, Version: 9}
	want, got := answeredSteps(item), unanswered(item)
	d, e := rpc.DecodeAnswer(encodeStepAnswer(reqSteps, want))
	if e != nil || !decodeSteps(reqSteps, d, got) {
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
	item := kv.Item{Key: []byte("k"), Value: kv.Value{Kind: kv.JSON, ContentType: "application/json",
		Data: []byte("{}")}, Version: 9, Modified: -1, Deadline: 1}
	f.Add(rpc.EncodeError(&kv.Error{Kind: kv.NotLeader, Text: "elsewhere", Leader: 7}))
	f.Add((&page{items: []kv.Item{item, item}, more: true}).encode())
	f.Add((&kv.Result{
		Outcome: kv.Done, Created: true, Version: 3, Receipt: kv.Receipt{Partition: 1, Index: 2, Node: "n"},
	}).AppendTo(rpc.NewAnswer(0)))
	f.Add((&kv.ReadResult{Found: true, Item: item, StalenessMS: 4}).AppendTo(rpc.NewAnswer(0)))
	f.Add(append(rpc.NewAnswer(0), 0, 1, 200, 1))
	f.Add(encodeStepAnswer(reqSteps, answeredSteps(item)))
	f.Add(encodeStepAnswer(reqReads, answeredSteps(item)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, e := rpc.DecodeAnswer(b)
		if e != nil {
			if e.Kind < kv.Invalid || e.Kind > kv.Internal {
				t.Fatalf("error of kind %d", e.Kind)
			}
			return
		}
		if pg, ok := decodePage(d); ok {
			if len(pg.items) > maxPageItems {
				t.Fatalf("%d items", len(pg.items))
			}
			same := func(a, b kv.Item) bool { return bytes.Equal(a.AppendTo(nil), b.AppendTo(nil)) }
			if again, ok := decodePage(content(pg.encode())); !ok || !slices.EqualFunc(pg.items, again.items, same) {
				t.Fatalf("%+v arrives as %+v, %v", pg, again, ok)
			}
		}
		for _, kind := range []uint8{reqSteps, reqReads} {
			steps := unanswered(item)
			if !decodeSteps(kind, d, steps) {
				continue
			}
			if !decodeSteps(kind, content(encodeStepAnswer(kind, steps)), unanswered(item)) {
				t.Fatal("what was understood is not any more")
			}
		}
		asRead := d
		asRead.ReadReadResult()
		if res, ok := decodeResult(d); ok && (res.Outcome < kv.Done || !res.Outcome.Known()) {
			t.Fatalf("outcome %d", res.Outcome)
		}
	})
}
