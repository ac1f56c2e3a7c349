package data

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/state"
)

// TestEffectsAreBufferedAndBounded writes few keys of many partitions again and again. Pebble does
// not get each of those writes, whoever reads sees them, and the buffers stay small.
func TestEffectsAreBufferedAndBounded(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	const partitions = 10
	var replicas []*replica
	for p := range kv.PartitionID(partitions) {
		replicas = append(replicas, bootstrap(t, db, p, 1))
	}
	write := func(r *replica, n uint64) {
		a := db.NewApply()
		a.Put(r.Partition(), []byte("key"), stringRecord(fmt.Sprint("value ", n), n))
		a.SetApplied(r, state.Applied{Index: n, Term: 1, Revision: n})
		must(t, a.Commit())
	}
	inPebble := func(p kv.PartitionID) bool {
		_, closer, err := db.pebble.Get(appendDataKey(nil, p, []byte("key")))
		if errors.Is(err, pebble.ErrNotFound) {
			return false
		}
		must(t, err)
		must(t, closer.Close())
		return true
	}
	write(replicas[0], 2)
	if inPebble(0) {
		t.Error("Pebble has a write at once")
	}
	if rec, ok, err := db.Get(0, []byte("key")); !ok || err != nil || rec.Version != 2 {
		t.Errorf("the write is read as %v %v, %v", rec, ok, err)
	}
	v, err := db.NewView(0)
	must(t, err)
	rec, _, ok, err := v.GetPart([]byte("key"), kv.Part{})
	if !ok || err != nil || rec.Version != 2 || v.Applied().Index != 2 {
		t.Errorf("a view of index %d reads %v %v, %v", v.Applied().Index, rec, ok, err)
	}
	must(t, v.Close())
	if !inPebble(0) {
		t.Error("Pebble does not have what was listed")
	}
	drained := 0
	for n := uint64(3); n <= 200; n++ {
		for _, r := range replicas {
			write(r, n)
			total := 0
			for _, b := range *db.buffers.all.Load() {
				total += int(b.bytes.Load())
				if b.bytes.Load() == 0 {
					drained++
				}
				if b.bytes.Load() > db.o.Limits.BufferBytes {
					t.Fatalf("the buffer of partition %s has %d bytes", b.partition, b.bytes.Load())
				}
			}
			if int64(total) > db.o.Limits.AllBufferBytes || int64(total) != db.buffers.total.Load() {
				t.Fatalf("the buffers have %d bytes, counted are %d", total, db.buffers.total.Load())
			}
		}
	}
	if drained == 0 {
		t.Error("nothing was drained")
	}
	shut(t, db)
}

// A turn that adds to many buffers drains as many of them as it takes.
func TestManySmallBuffersAreBoundedTogether(t *testing.T) {
	t.Parallel()
	db := openWith(t, vfs.NewMem(), options{limits: Limits{AllBufferBytes: 4 << 10}, waits: true})
	var replicas []*replica
	for p := range kv.PartitionID(32) {
		replicas = append(replicas, bootstrap(t, db, p, 1))
	}
	for n := uint64(2); n < 12; n++ {
		a := db.NewApply()
		for _, r := range replicas {
			ap := r.Applied()
			ap.Index = n
			a.Put(r.Partition(), []byte("key"), Record{Version: n})
			a.SetApplied(r, ap)
		}
		must(t, a.Commit())
		if all, most := db.Buffered(); all > 4<<10 {
			t.Fatalf("the buffers have %d bytes, the fullest of them %d", all, most)
		}
	}
	shut(t, db)
}
