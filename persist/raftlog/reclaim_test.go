package raftlog

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// TestLogStaysSmall lets one group write much and truncate it, beside one whose few entries are
// not even applied, one that is idle, and one that is created late. The log must not grow with
// what was truncated, and lose nothing that was not.
func TestLogStaysSmall(t *testing.T) {
	t.Parallel()
	const segment = 16 << 10
	fs, effects := vfs.NewMem(), newStore()
	open := func() (*node, []*Replica) {
		db, err := openErr(t, fs, effects, Options{Limits: Limits{SegmentBytes: segment}, Reuse: true})
		must(t, err)
		all, err := db.Replicas()
		must(t, err)
		return db, all
	}
	db, _ := open()
	busy, stuck, idle := bootstrap(t, db, 0, 1), bootstrap(t, db, 1, 1), bootstrap(t, db, 2, 1)
	appendAll(t, db, stuck, entries(2, 40, 1))
	appendAll(t, db, idle, entries(2, 5, 1))
	applyTo(db, idle, 5)
	moved := 0
	write := func(from, to uint64) {
		for i := from; i <= to; i++ {
			appendAll(t, db, busy, []*raftpb.Entry{entry(i, 1, string(make([]byte, 1000)))})
			moved += len(db.reclaiming.move)
			applyTo(db, busy, i)
			if i%20 == 0 {
				db.store.flush()
			}
			b := db.NewBatch()
			must(t, b.Truncate(busy, i-i%7))
			must(t, b.Commit())
		}
	}
	small := func(what string) {
		t.Helper()
		if bytes, segments := db.Files(); bytes > 40*segment || segments > 40 {
			t.Errorf("%s the log has %d bytes in %d segments, %d of them live", what, bytes, segments,
				busy.LogBytes()+stuck.LogBytes()+idle.LogBytes())
		}
	}
	write(2, 2000)
	small("after two megabytes")
	if moved == 0 {
		t.Error("nothing was moved")
	}
	late := bootstrap(t, db, 3, 1)
	appendAll(t, db, late, entries(2, 5, 1))
	write(2001, 4000)
	small("after four megabytes")
	want, err := logText(db)
	must(t, err)
	must(t, db.Close())
	for range 2 {
		var all []*Replica
		db, all = open()
		busy, stuck, idle = all[0], all[1], all[2]
		got, err := logText(db)
		must(t, err)
		if got != want {
			t.Fatalf("after a restart\n%s\nshould be\n%s", got, want)
		}
		stuck.tail = tail{} // its entries are read from where they were moved to
		got, err = logText(db)
		must(t, err)
		if got != want {
			t.Fatalf("read from disk\n%s\nshould be\n%s", got, want)
		}
		last, _ := busy.LastIndex()
		write(last+1, last+1000)
		small("after a restart")
		want, err = logText(db)
		must(t, err)
		must(t, db.Close())
	}
}

// TestMovedEntriesMayChangeMeanwhile truncates and overwrites entries while their move is on
// its way to the disk.
func TestMovedEntriesMayChangeMeanwhile(t *testing.T) {
	t.Parallel()
	fs, effects := vfs.NewCrashableMem(), newStore()
	db, err := openErr(t, fs, effects, Options{Limits: Limits{SegmentBytes: 4 << 10}})
	must(t, err)
	busy := bootstrap(t, db, 0, 1)
	var others []*Replica
	for p := kv.PartitionID(1); p <= 3; p++ {
		r := bootstrap(t, db, p, 1)
		appendAll(t, db, r, entries(2, 9, 1))
		applyTo(db, r, 5)
		others = append(others, r)
	}
	db.store.flush()
	var moving *Batch
	for i := uint64(2); moving == nil; i++ {
		b := db.NewBatch()
		if len(db.reclaiming.move) > 0 {
			moving = b
			break
		}
		if i > 1000 {
			t.Fatal("nothing was moved")
		}
		b.Append(busy, []*raftpb.Entry{entry(i, 1, string(make([]byte, 1000)))})
		must(t, b.Commit())
		applyTo(db, busy, i)
		db.store.flush()
		b = db.NewBatch()
		must(t, b.Truncate(busy, i))
		if !b.Empty() {
			must(t, b.Commit())
		}
	}
	must(t, moving.Truncate(others[0], 4))
	moving.SetHardState(others[1], raftHardState(hardState{term: 2}))
	moving.Append(others[1], entries(7, 8, 2))
	moving.Destroy(others[2])
	before, err := logText(db)
	must(t, err)
	must(t, moving.Commit())
	b := db.NewBatch() // the replicas now look for the entries in their new place
	if len(db.reclaiming.move) > 0 {
		t.Error("the move is not finished")
	}
	if !b.Empty() {
		must(t, b.Commit())
	}
	for _, what := range []string{"after the move", "after a power loss"} {
		got, err := logText(db)
		must(t, err)
		if got != before {
			t.Errorf("%s\n%s\nshould be\n%s", what, got, before)
		}
		disk := fs.CrashClone(vfs.CrashCloneCfg{})
		must(t, db.Close())
		db, err = openErr(t, disk, effects, Options{Limits: Limits{SegmentBytes: 4 << 10}})
		must(t, err)
		replicas, err := db.Replicas()
		must(t, err)
		for _, r := range replicas {
			r.tail = tail{}
		}
	}
	must(t, db.Close())
}
