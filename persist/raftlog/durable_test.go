package raftlog

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/state"
)

// What is durable is asked of few replicas at a time, however many there are: the turn of all groups
// waits for it.
func TestAFewReplicasAtATimeAreAskedWhatIsDurable(t *testing.T) {
	db := openTest(t, vfs.NewMem(), newStore())
	defer func() { must(t, db.Close()) }()
	const n = 3*learnAtOnce + 10
	b := db.NewBatch()
	var rs []*Replica
	for p := range n {
		rs = append(rs, b.Create(kv.PartitionID(p), kv.ReplicaID(p+1), &state.Applied{Index: 1, Term: 1}))
	}
	must(t, b.Commit())
	open := func() (n int) {
		for _, r := range rs {
			if r.durability.created {
				n++
			}
		}
		return n
	}
	for _, r := range rs {
		db.store.applied[r.partition] = labelled{r.id, r.Applied()}
	}
	db.store.flush()
	if open() != n {
		t.Fatalf("%d of %d replicas wait for their beginning to be durable", open(), n)
	}
	for looks, want := range []int{n - learnAtOnce, n - 2*learnAtOnce, 10, 0} {
		more := db.learnCreated(db.batches.Load())
		if open() != want || more != (want > 0) {
			t.Fatalf("after %d looks %d replicas wait, and there are more: %v; want %d", looks+1, open(), more, want)
		}
	}
	before := rs[0].durability.learned
	rs[1].durability.learned = 0
	db.learn(rs[1])
	if rs[0].durability.learned != before || rs[1].durability.learned != db.store.Flushes() {
		t.Error("one replica was asked for, and others were asked too")
	}
}
