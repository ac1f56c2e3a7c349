package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/disk"
	"pxkv/persist/state"
	"pxkv/persist/wal"
)

func TestNeedsSync(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem(), newStore())
	r := bootstrap(t, db, 0, 1)
	appendAll(t, db, r, entries(2, 9, 1))
	applyTo(db, r, 5)
	db.store.flush()
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

// A commit index that was written without a sync outlives a crash when that is asked for later.
func TestSyncHardState(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	db := openTest(t, fs, newStore())
	r := bootstrap(t, db, 0, 1)
	appendAll(t, db, r, entries(2, 9, 1))
	b := db.NewBatch()
	b.SetHardState(r, raftHardState(hardState{1, 0, 6}))
	must(t, b.Commit())
	b = db.NewBatch()
	b.SetHardState(r, raftHardState(hardState{1, 0, 6}))
	b.SyncHardState(r)
	must(t, b.Commit())
	again := openTest(t, fs.CrashClone(vfs.CrashCloneCfg{}), newStore())
	defer func() { must(t, again.Close()) }()
	all, err := again.Replicas()
	must(t, err)
	if got := all[0].hard.commit; got != 6 {
		t.Errorf("after a power loss the commit index is %d, want 6", got)
	}
	b = db.NewBatch()
	b.SyncHardState(r)
	if !b.Empty() || b.NeedsSync() {
		t.Error("what is on the disk is written once more")
	}
	must(t, db.Close())
}

func TestReplicaIDsAreUsedOnce(t *testing.T) {
	t.Parallel()
	fs, effects := vfs.NewMem(), newStore()
	db := openTest(t, fs, effects)
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
	effects.applied[4] = labelled{12, next.Applied()}
	must(t, db.Close())

	db = openTest(t, fs, effects)
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

// TestRecoveryRefusesWhatDoesNotFitTogether writes batches that no pxkv would leave behind, or lets the state
// be one that the log does not explain.
func TestRecoveryRefusesWhatDoesNotFitTogether(t *testing.T) {
	t.Parallel()
	const p = 3
	forged := func(kind byte, fill func(*Batch)) func(*testing.T, *node) {
		return func(t *testing.T, db *node) {
			b := db.NewBatch()
			b.op(kind, p, true)
			fill(b)
			must(t, b.Commit())
		}
	}
	logEntry := func(as, index, term uint64) func(*testing.T, *node) {
		return forged(opAppend, func(b *Batch) {
			e := entry(index, term, "x")
			room, _ := b.room(as, entrySize(e))
			putEntry(room, p, e)
		})
	}
	applied := func(ap state.Applied) func(*testing.T, *node) {
		return func(_ *testing.T, db *node) { db.store.applied[p] = labelled{7, ap} }
	}
	for _, tc := range []struct {
		what  string
		write func(*testing.T, *node)
		text  string
	}{
		{"commit above the log", forged(opHardState, func(b *Batch) {
			b.hardState(hardState{1, 0, 99})
		}), "partition 3: data is corrupt: replica 7: commit is 99, log ends at 10"},
		{"applied above the log", applied(state.Applied{Index: 11, Term: 1}), "applied is 11, log ends at 10"},
		{"applied below the log", forged(opTruncate, func(b *Batch) {
			b.entryID(entryID{10, 1})
		}), "log begins at 11, applied is only 1"},
		{"truncated above the log", forged(opTruncate, func(b *Batch) {
			b.entryID(entryID{11, 1})
		}), "log of 2 to 10 is truncated up to 11"},
		{"applied far below the log", applied(state.Applied{}), "log begins at 2, applied is only 0"},
		{"applied of another term", applied(state.Applied{Index: 5, Term: 4}),
			"applied entry 5 has term 4, in the log it has 1"},
		{"a term that was forgotten", logEntry(11, 11, 6), "hard state has term 1, log ends with term 6"},
		{"a gap", logEntry(12, 12, 1), "entry 12 in a log of 2 to 10"},
		{"an entry in the wrong place", logEntry(11, 10, 1), "checksum differs"},
		{"a term that goes back", logEntry(5, 5, 0), "has term 0, less than the 1 before it"},
		{"an entry moved from nowhere", forged(opMove, func(b *Batch) {
			b.entry(p, entry(11, 1, "x"))
		}), "entry 11 in a log of 2 to 10"},
		{"a replica where one is", forged(opCreate,
			func(b *Batch) { b.uvarints(8); b.bytes(state.Applied{}.AppendTo(nil)) }), "created where one is"},
		{"the end of another replica", forged(opDestroy, func(b *Batch) {
			b.uvarints(8)
		}), "another replica is destroyed"},
		{"a checkpoint of another log", forged(opReplica, func(b *Batch) {
			b.uvarints(7, 1, 0, 1, 1, 1, 9)
		}), "the checkpoint knows another replica"},
		{"a checkpoint of fewer", forged(opCheckpoint, func(b *Batch) {
			b.uvarints(0, 0)
		}), "the checkpoint knows other replicas"},
		{"a tombstone from nowhere", forged(opTombstone, func(b *Batch) { b.uvarints(3) }), "another tombstone"},
		{"an unknown operation", forged(99, func(*Batch) {}), "unknown operation 99"},
		{"an operation cut short", forged(opHardState, func(*Batch) {}), "bad number"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			fs, effects := vfs.NewMem(), newStore()
			db := openTest(t, fs, effects)
			r := bootstrap(t, db, p, 7)
			appendAll(t, db, r, entries(2, 10, 1))
			tc.write(t, db)
			must(t, db.Close())
			for range 2 { // nothing is touched by the first
				_, err := openErr(t, fs, effects, Options{})
				if !errors.Is(err, codec.ErrCorrupt) && !errors.Is(err, codec.ErrFormat) {
					t.Fatalf("error is %v", err)
				}
				wantText(t, err, tc.text)
			}
		})
	}
}

func TestReplicasAreSorted(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem(), newStore())
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
	if _, err := db.Replicas(); !errors.Is(err, disk.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	must(t, db.Close())
}

func TestAppendOfAGapIsABrokenInvariant(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem(), newStore())
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

// A state that is void stays so, whatever becomes of the segment that says it.
func TestACheckpointSaysWhatIsVoid(t *testing.T) {
	t.Parallel()
	fs, effects := vfs.NewMem(), newStore()
	db := openTest(t, fs, effects)
	r := bootstrap(t, db, 3, 1)
	b := db.NewBatch()
	b.Void(r)
	if !b.NeedsSync() {
		t.Error("the mark may be lost")
	}
	must(t, b.Commit())
	must(t, db.Close())
	db = openTest(t, fs, effects)
	b = db.NewBatch()
	b.checkpoint() // and what was before it may be gone
	checkpoint, rp := bytes.Clone(b.buf[wal.HeaderLen:]), newReplay()
	must(t, b.Commit())
	must(t, rp.batch(1, checkpoint))
	if !db.Replica(3).Void() || !rp.replicas[3].void {
		t.Errorf("void after a restart: %v, by the checkpoint: %v", db.Replica(3).Void(), rp.replicas[3].void)
	}
	must(t, db.Close())
}
