package persist

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

func TestNeedsSync(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	r := bootstrap(t, db, 0, 1)
	appendAll(t, db, r, entries(2, 9, 1))
	applyTo(t, db, r, 5)
	flushAll(db)
	for _, tc := range []struct {
		what        string
		fill        func(*Batch)
		empty, sync bool
	}{
		{"nothing", func(*Batch) {}, true, false},
		{"the same hard state", func(b *Batch) { b.SetHardState(r, raftHardState(r.hard)) }, true, false},
		{"no hard state", func(b *Batch) { b.SetHardState(r, nil) }, true, false},
		{"a commit index", func(b *Batch) { b.SetHardState(r, raftHardState(hardState{1, 0, 6})) }, false, false},
		{"a truncation", func(b *Batch) { must(t, b.Truncate(r, 3)) }, false, false},
		{"a truncation below the first", func(b *Batch) { must(t, b.Truncate(r, 2)) }, true, false},
		{"a vote", func(b *Batch) { b.SetHardState(r, raftHardState(hardState{1, 7, 6})) }, false, true},
		{"a term", func(b *Batch) { b.SetHardState(r, raftHardState(hardState{2, 7, 6})) }, false, true},
		{"an entry", func(b *Batch) { b.Append(r, entries(10, 10, 2)) }, false, true},
		{"no entries", func(b *Batch) { b.Append(r, nil) }, true, false},
		{"a replica", func(b *Batch) { b.Create(1, 1, nil) }, false, true},
		{"the end of one", func(b *Batch) { b.Destroy(r) }, false, true},
	} {
		b := db.NewBatch()
		tc.fill(b)
		if b.Empty() != tc.empty || b.NeedsSync() != tc.sync {
			t.Errorf("%s: empty %v, needs sync %v", tc.what, b.Empty(), b.NeedsSync())
		}
		must(t, b.Commit())
	}
	must(t, db.Close())
}

func TestReplicaIDsAreUsedOnce(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openTest(t, fs)
	r := bootstrap(t, db, 4, 10)
	b := db.NewBatch()
	if b.Create(4, 11, nil) != nil {
		t.Error("a second replica of the partition was created")
	}
	b.Destroy(r)
	if b.Create(4, 10, nil) != nil || b.Create(4, 9, nil) != nil {
		t.Error("a destroyed replica was created again")
	}
	next := b.Create(4, 12, nil)
	if next == nil || b.NeedsSync() != true {
		t.Fatal("the next replica was not created")
	}
	must(t, b.Commit())
	must(t, db.Close())

	db = openTest(t, fs)
	if got := db.Tombstone(4); got != 10 {
		t.Errorf("tombstone is %d after a restart", got)
	}
	replicas, err := db.Replicas()
	must(t, err)
	if len(replicas) != 1 || replicas[0].ID() != 12 {
		t.Errorf("replicas are %v", replicas)
	}
	must(t, db.Close())
}

func TestDestroyLeavesNothing(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	for _, p := range []kv.PartitionID{6, 7, 8, kv.Meta} {
		r := bootstrap(t, db, p, 1)
		appendAll(t, db, r, entries(2, 20, 1))
		applyTo(t, db, r, 20)
	}
	replicas, err := db.Replicas()
	must(t, err)
	b := db.NewBatch()
	b.Destroy(replicas[1])
	b.Destroy(replicas[3])
	must(t, b.Commit())
	for p, want := range map[kv.PartitionID]int{6: 19, 7: 0, 8: 19, kv.Meta: 0} {
		if items, _, err := db.Scan(p, nil, nil, true, 0, 0); err != nil || len(items) != want {
			t.Errorf("partition %s has %d items, %v", p, len(items), err)
		}
	}
	if _, err := db.NewView(7); !errors.Is(err, ErrNoReplica) {
		t.Errorf("view of a destroyed partition: %v", err)
	}
	must(t, db.Close())
}

// TestOpenRefusesWhatDoesNotFitTogether writes records that no pxkv would leave behind.
func TestOpenRefusesWhatDoesNotFitTogether(t *testing.T) {
	t.Parallel()
	const p = 3
	forged := func(kind byte, fill func(*Batch)) func(*testing.T, *DB) {
		return func(t *testing.T, db *DB) {
			b := db.NewBatch()
			b.op(kind, p, true)
			fill(b)
			must(t, b.Commit())
		}
	}
	logEntry := func(as, index, term uint64) func(*testing.T, *DB) {
		return forged(opAppend, func(b *Batch) {
			e := entry(index, term, "x")
			room, _ := b.room(as, entrySize(e))
			putEntry(room, p, e)
		})
	}
	stored := func(key, value []byte) func(*testing.T, *DB) {
		return func(t *testing.T, db *DB) { must(t, db.pebble.Set(key, value, pebble.NoSync)) }
	}
	applied := func(id kv.ReplicaID, ap Applied) func(*testing.T, *DB) {
		return stored(kindKey(p, kindApplied), appendAppliedRecord(nil, id, &ap))
	}
	for _, tc := range []struct {
		what  string
		write func(*testing.T, *DB)
		text  string
	}{
		{"commit above the log", forged(opHardState, func(b *Batch) { b.hardState(hardState{1, 0, 99}) }), "partition 3: data is corrupt: replica 7: commit is 99, log ends at 10"},
		{"applied above the log", applied(7, Applied{Index: 11, Term: 1}), "applied is 11, log ends at 10"},
		{"applied below the log", forged(opTruncate, func(b *Batch) { b.entryID(entryID{10, 1}) }), "log begins at 11, applied is only 1"},
		{"truncated above the log", forged(opTruncate, func(b *Batch) { b.entryID(entryID{11, 1}) }), "log of 2 to 10 is truncated up to 11"},
		{"applied far below the log", applied(7, Applied{}), "log begins at 2, applied is only 0"},
		{"applied of another term", applied(7, Applied{Index: 5, Term: 4}), "applied entry 5 has term 4, in the log it has 1"},
		{"a term that was forgotten", logEntry(11, 11, 6), "hard state has term 1, log ends with term 6"},
		{"a gap", logEntry(12, 12, 1), "entry 12 in a log of 2 to 10"},
		{"an entry in the wrong place", logEntry(11, 10, 1), "checksum differs"},
		{"a term that goes back", logEntry(5, 5, 0), "has term 0, less than the 1 before it"},
		{"an entry moved from nowhere", forged(opMove, func(b *Batch) { b.entry(p, entry(11, 1, "x")) }), "entry 11 in a log of 2 to 10"},
		{"a replica where one is", forged(opCreate, func(b *Batch) { b.uvarints(8); b.bytes(Applied{}.appendTo(nil)) }), "created where one is"},
		{"the end of another replica", forged(opDestroy, func(b *Batch) { b.uvarints(8) }), "another replica is destroyed"},
		{"a checkpoint of another log", forged(opReplica, func(b *Batch) { b.uvarints(7, 1, 0, 1, 1, 1, 9) }), "the checkpoint knows another replica"},
		{"a checkpoint of fewer", forged(opCheckpoint, func(b *Batch) { b.uvarints(0, 0) }), "the checkpoint knows other replicas"},
		{"a tombstone from nowhere", forged(opTombstone, func(b *Batch) { b.uvarints(3) }), "another tombstone"},
		{"an unknown operation", forged(99, func(*Batch) {}), "unknown operation 99"},
		{"an operation cut short", forged(opHardState, func(*Batch) {}), "bad number in record"},
		{"data of a later replica", applied(9, Applied{Index: 5, Term: 1}), "data of replica 9, which the log does not know"},
		{"data without a replica", stored(appendDataKey(nil, 1, []byte("k")), stringRecord("v", 1).AppendTo(nil)), "partition 1: data is corrupt: the applied state is missing"},
		{"a newer applied state", stored(kindKey(p, kindApplied), []byte{9}), "unknown format version 9 of applied record"},
		{"a newer database", stored(formatKey, []byte{3}), "unknown format version 3 of database"},
		{"an empty applied state", stored(kindKey(p, kindApplied), nil), "record ends early"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			db := openTest(t, fs)
			r := bootstrap(t, db, p, 7)
			appendAll(t, db, r, entries(2, 10, 1))
			tc.write(t, db)
			must(t, db.Close())
			_, err := Open(Options{Dir: "node", FS: fs, Light: true})
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFormat) {
				t.Fatalf("error is %v", err)
			}
			wantText(t, err, tc.text)
			// Nothing was touched and the lock is free.
			_, again := Open(Options{Dir: "node", FS: fs, Light: true})
			wantText(t, again, err.Error())
		})
	}
}

func TestReplicasAreSorted(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	for _, p := range []kv.PartitionID{kv.Meta, 5, 0, 300, 2} {
		bootstrap(t, db, p, kv.ReplicaID(p%7+1))
	}
	replicas, err := db.Replicas()
	must(t, err)
	var got []kv.PartitionID
	for _, r := range replicas {
		got = append(got, r.Partition())
	}
	if fmt.Sprint(got) != fmt.Sprint([]kv.PartitionID{0, 2, 5, 300, kv.Meta}) {
		t.Errorf("order is %v", got)
	}
	must(t, db.Close())
	if _, err := db.Replicas(); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	must(t, db.Close())
}

func TestAppendOfAGapIsABrokenInvariant(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	r := bootstrap(t, db, 0, 1)
	for _, es := range [][]*raftpb.Entry{entries(3, 3, 1), entries(1, 1, 1), {entry(2, 1, ""), entry(4, 1, "")}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("append of %d to %d went through", es[0].GetIndex(), es[len(es)-1].GetIndex())
				}
			}()
			db.NewBatch().Append(r, es)
		}()
	}
	must(t, db.Close())
}
