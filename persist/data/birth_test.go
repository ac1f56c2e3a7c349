package data

import (
	"bytes"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/state"
)

// That partitions go reaches the tables, which can shrink then, though nothing else is written, and with few flushes
// for many of them.
func TestDeletedPartitionsAreFlushedTogether(t *testing.T) {
	t.Parallel()
	const partitions = 24
	db := openWith(t, vfs.NewMem(), options{})
	value := bytes.Repeat([]byte("incompressible, as far as this test goes"), 100)
	for p := range kv.PartitionID(partitions) {
		b := db.NewBirth(p, 1, &state.Applied{Index: 1, Term: 1})
		for k := range byte(20) {
			b.Put([]byte{k}, value)
		}
		b.Commit()
	}
	must(t, db.pebble.Flush())
	flushes := db.Flushes()
	for p := range kv.PartitionID(partitions) {
		must(t, db.Destroy(p))
		if under := db.flushes.last; under != nil {
			<-under
		}
	}
	for end := time.Now().Add(time.Minute); db.Flushes() == flushes; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is flushed")
		}
	}
	if n := db.Flushes() - flushes; n > partitions/4 {
		t.Errorf("%d flushes for %d partitions", n, partitions)
	}
	shut(t, db)
}
