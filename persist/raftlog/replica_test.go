package raftlog

import (
	"errors"
	"io"
	"log"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

func TestReplicaIsRaftStorage(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem(), newStore())
	r := bootstrap(t, db, 5, 9)

	hs, cs, err := r.InitialState()
	must(t, err)
	if hs.GetTerm() != 1 || hs.GetCommit() != 1 || len(cs.GetVoters()) != 1 {
		t.Errorf("bootstrapped replica starts with %v, %v", hs, cs)
	}
	appendAll(t, db, r, entries(2, 20, 1))
	appendAll(t, db, r, entries(15, 30, 4)) // overwrites
	applyTo(db, r, 25)
	b := db.NewBatch()
	must(t, b.Truncate(r, 10)) // what is not durable in Pebble must not go
	if first, _ := r.FirstIndex(); first != 2 {
		t.Errorf("first is %d before the flush", first)
	}
	db.store.flush()
	must(t, b.Truncate(r, 10))
	must(t, b.Commit())

	if first, _ := r.FirstIndex(); first != 11 {
		t.Errorf("first is %d", first)
	}
	if last, _ := r.LastIndex(); last != 30 {
		t.Errorf("last is %d", last)
	}
	for _, tc := range []struct {
		index, term uint64
		err         error
	}{{9, 0, raft.ErrCompacted}, {10, 1, nil}, {11, 1, nil}, {14, 1, nil}, {15, 4, nil}, {30, 4, nil}, {31, 0,
		raft.ErrUnavailable}} {
		if term, err := r.Term(tc.index); term != tc.term || !errors.Is(err, tc.err) {
			t.Errorf("term of %d is %d, %v", tc.index, term, err)
		}
	}
	for _, tc := range []struct {
		lo, hi, max uint64
		n           int
		err         error
	}{
		{10, 12, 1 << 20, 0, raft.ErrCompacted},
		{11, 32, 1 << 20, 0, raft.ErrUnavailable},
		{11, 31, 1 << 20, 20, nil},
		{11, 31, 0, 1, nil},   // at least one
		{11, 31, 100, 2, nil}, // two of about 42 bytes
		{20, 20, 0, 0, nil},
	} {
		if es, err := r.Entries(tc.lo, tc.hi, tc.max); len(es) != tc.n || !errors.Is(err, tc.err) {
			t.Errorf("entries %d to %d of %d bytes: %d, %v", tc.lo, tc.hi, tc.max, len(es), err)
		}
	}
	s, err := r.Snapshot()
	must(t, err)
	if s.GetMetadata().GetIndex() != 25 || s.GetMetadata().GetTerm() != 4 || s.GetData() != nil {
		t.Errorf("snapshot is %v", s)
	}
	must(t, db.Close())
}

func TestLearnerWaitsForItsSnapshot(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem(), newStore())
	b := db.NewBatch()
	r := b.Create(0, 3, nil)
	must(t, b.Commit())
	hs, cs, err := r.InitialState()
	must(t, err)
	if !raft.IsEmptyHardState(hs) || cs == nil {
		t.Errorf("starts with %v, %v", hs, cs)
	}
	if _, err := r.Snapshot(); !errors.Is(err, raft.ErrSnapshotTemporarilyUnavailable) {
		t.Errorf("snapshot of nothing: %v", err)
	}
	if first, _ := r.FirstIndex(); first != 1 {
		t.Errorf("first is %d", first)
	}
	must(t, db.Close())
}

// TestRaftStartsFromReplica holds the Storage against raft itself, across a restart.
func TestRaftStartsFromReplica(t *testing.T) {
	t.Parallel()
	fs, effects := vfs.NewMem(), newStore()
	db := openTest(t, fs, effects)
	r := bootstrap(t, db, 0, 1)
	appendAll(t, db, r, entries(2, 9, 1))
	applyTo(db, r, 7) // ahead of the stored commit index
	must(t, db.Close())

	db = openTest(t, fs, effects)
	replicas, err := db.Replicas()
	must(t, err)
	rn, err := raft.NewRawNode(&raft.Config{
		ID: 1, ElectionTick: 10, HeartbeatTick: 1, Storage: replicas[0], Applied: replicas[0].Applied().Index,
		MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 16, Logger: &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
	})
	must(t, err)
	if got := rn.BasicStatus().HardState.GetCommit(); got != 7 {
		t.Errorf("commit is %d, should be raised to the applied 7", got)
	}
	must(t, db.Close())
}

func TestOldEntriesAreReadFromDisk(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem(), newStore())
	r := bootstrap(t, db, 0, 1)
	big := string(make([]byte, 20<<10))
	for i := uint64(2); i <= 300; i++ {
		appendAll(t, db, r, []*raftpb.Entry{entry(i, 1, big)})
		applyTo(db, r, i)
	}
	if r.tail.bytes > db.o.Limits.TailBytes+32<<10 {
		t.Errorf("tail holds %d bytes", r.tail.bytes)
	}
	es, err := r.Entries(2, 301, 1<<30)
	must(t, err)
	if len(es) != 299 {
		t.Fatalf("%d entries", len(es))
	}
	for i, e := range es {
		if e.GetIndex() != uint64(i)+2 || len(e.GetData()) != len(big) {
			t.Fatalf("entry %d has index %d and %d bytes", i, e.GetIndex(), len(e.GetData()))
		}
	}
	must(t, db.Close())
}

func TestTailKeepsWhatIsNotCommitted(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem(), newStore())
	r := bootstrap(t, db, 0, 1)
	b := db.NewBatch()
	big := string(make([]byte, 1<<20))
	for i := uint64(2); i <= 11; i++ {
		b.Append(r, []*raftpb.Entry{entry(i, 1, big)})
	}
	es, err := r.Entries(2, 12, 1<<30)
	must(t, err)
	if len(es) != 10 {
		t.Errorf("%d entries before the commit", len(es))
	}
	must(t, b.Commit())
	appendAll(t, db, r, entries(12, 12, 1))
	if r.tail.bytes > db.o.Limits.TailBytes+db.o.Limits.UnappliedBytes {
		t.Errorf("tail holds %d bytes, nothing of it applied", r.tail.bytes)
	}
	applyTo(db, r, 11)
	appendAll(t, db, r, entries(13, 13, 1))
	if r.tail.bytes > db.o.Limits.TailBytes {
		t.Errorf("tail holds %d bytes, all applied", r.tail.bytes)
	}
	must(t, db.Close())
}

func TestLogBytes(t *testing.T) {
	t.Parallel()
	fs, effects := vfs.NewMem(), newStore()
	db := openTest(t, fs, effects)
	r := bootstrap(t, db, 0, 1)
	size := func(from, to uint64) (n int64) {
		for _, e := range entries(from, to, 1) {
			n += int64(entrySize(e))
		}
		return n
	}
	near := func(what string, r *Replica, want int64) {
		t.Helper()
		if got := r.LogBytes(); got != want {
			t.Errorf("%s: %d bytes, should be %d", what, got, want)
		}
	}
	near("empty", r, 0)
	appendAll(t, db, r, entries(2, 5000, 1))
	near("full", r, size(2, 5000))
	applyTo(db, r, 5000)
	b := db.NewBatch()
	must(t, b.Truncate(r, 3000))
	must(t, b.Commit())
	near("truncated", r, size(3001, 5000))
	must(t, db.Close())

	db = openTest(t, fs, effects)
	replicas, _ := db.Replicas()
	r = replicas[0]
	near("reopened", r, size(3001, 5000))
	b = db.NewBatch()
	must(t, b.Truncate(r, 5000))
	must(t, b.Commit())
	if r.LogBytes() != 0 {
		t.Errorf("truncated to nothing: %d bytes", r.LogBytes())
	}
	must(t, db.Close())
}

// A log that gets no more entries keeps no more of them in memory than any other.
func TestTailShrinksWhenItIsApplied(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem(), newStore())
	r := bootstrap(t, db, 0, 1)
	big := string(make([]byte, 100<<10))
	var all []*raftpb.Entry
	for i := uint64(2); i <= 11; i++ {
		all = append(all, entry(i, 1, big))
	}
	appendAll(t, db, r, all)
	applyTo(db, r, 11)
	if got, limit := r.Held().Tail, db.o.Limits.TailBytes; got > limit {
		t.Errorf("tail holds %d bytes, all applied; the limit is %d", got, limit)
	}
	must(t, db.Close())
}
