package persist

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// filled is a partition that has applied up to index 50.
func filled(t testing.TB, db *DB, p kv.PartitionID) *raftlog.Replica {
	t.Helper()
	r := bootstrap(t, db, p, 1)
	appendAll(t, db, r, entries(2, 60, 3))
	applyTo(t, db, r, 50)
	return r
}

func streamOf(t testing.TB, db *DB, p kv.PartitionID) []byte {
	t.Helper()
	s, err := db.OpenSnapshot(p)
	must(t, err)
	var stream bytes.Buffer
	_, err = s.WriteTo(&stream)
	must(t, errors.Join(err, s.Close()))
	return stream.Bytes()
}

func learner(t testing.TB, db *DB, p kv.PartitionID, id kv.ReplicaID) *raftlog.Replica {
	t.Helper()
	b := db.NewBatch()
	r := b.Create(p, id, nil)
	must(t, b.Commit())
	return r
}

func TestSnapshotTravels(t *testing.T) {
	t.Parallel()
	from, fs := openTest(t, vfs.NewMem()), vfs.NewMem()
	filled(t, from, 3)
	stream := streamOf(t, from, 3)

	to := openTest(t, fs)
	r := learner(t, to, 3, 44)
	rest := bytes.NewReader(append(bytes.Clone(stream), "what comes next"...))
	staged, err := to.StageSnapshot(3, rest)
	must(t, err)
	if left, _ := io.ReadAll(rest); string(left) != "what comes next" {
		t.Errorf("the reader is left at %q", left)
	}
	if staged.Partition() != 3 || staged.Applied().Index != 50 || staged.Applied().Term != 3 {
		t.Errorf("staged is %v", staged.Applied())
	}
	b := to.NewBatch()
	b.SetHardState(r, raftHardState(hardState{term: 3}))
	b.Install(r, staged, raftHardState(hardState{term: 3, vote: 44}))
	b.Append(r, entries(51, 55, 3))
	must(t, b.Commit())

	for range 2 { // before and after a restart
		want, err := partitionDataText(from, 3)
		must(t, err)
		got, err := partitionDataText(to, 3)
		must(t, err)
		if got != want || strings.Count(got, "key") != 49 {
			t.Errorf("data is %s\nshould be %s", got, want)
		}
		hs, cs, err := r.InitialState()
		must(t, err)
		if hs.GetCommit() != 50 || hs.GetVote() != 44 || len(cs.GetVoters()) != 1 {
			t.Errorf("hard state is %v, conf state %v", hs, cs)
		}
		if es, err := r.Entries(51, 56, 1<<20); err != nil || len(es) != 5 || r.ID() != 44 {
			t.Errorf("replica %d: entries after it: %v, %v", r.ID(), es, err)
		}
		must(t, to.Close())
		to = openTest(t, fs)
		replicas, err := to.Replicas()
		must(t, err)
		r = replicas[0]
	}
	must(t, errors.Join(to.Close(), from.Close()))
	if names, err := fs.List("node/staging"); err == nil {
		t.Errorf("staging still has %v", names)
	}
}

func TestUnfinishedStagingIsRemoved(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openTest(t, fs)
	filled(t, db, 3)
	staged, err := db.StageSnapshot(3, bytes.NewReader(streamOf(t, db, 3)))
	must(t, err)
	discarded, err := db.StageSnapshot(3, bytes.NewReader(streamOf(t, db, 3)))
	must(t, err)
	discarded.Discard()
	discarded.Discard()
	if names, err := fs.List("node/staging"); err != nil || len(names) != 1 {
		t.Errorf("staging of %d has %v, %v", staged.Number(), names, err)
	}
	must(t, db.Close())
	db = openTest(t, fs)
	if names, _ := fs.List("node/staging"); len(names) != 0 {
		t.Errorf("staging has %v after a restart", names)
	}
	must(t, db.Close())
}

func TestInstallOfTheWrongSnapshotIsABrokenInvariant(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	r := filled(t, db, 3)
	filled(t, db, 4)
	other, err := db.StageSnapshot(4, bytes.NewReader(streamOf(t, db, 4)))
	must(t, err)
	gone, err := db.StageSnapshot(3, bytes.NewReader(streamOf(t, db, 3)))
	must(t, err)
	gone.Discard()
	for _, s := range []*data.Staged{other, gone} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it went through")
				}
			}()
			db.NewBatch().Install(r, s, &raftpb.HardState{})
		}()
	}
	must(t, db.Close())
}

// A state that is void stays so until a snapshot is installed; then never again.
func TestAVoidStateIsRememberedUntilASnapshotIsInstalled(t *testing.T) {
	t.Parallel()
	from, fs := openTest(t, vfs.NewMem()), vfs.NewMem()
	filled(t, from, 3)
	stream := streamOf(t, from, 3)
	must(t, from.Close())

	db := openTest(t, fs)
	r := bootstrap(t, db, 3, 1)
	appendAll(t, db, r, entries(2, 60, 3))
	applyTo(t, db, r, 40)
	b := db.NewBatch()
	b.Void(r)
	if !b.NeedsSync() {
		t.Error("the mark may be lost")
	}
	must(t, b.Commit())
	again := func() {
		t.Helper()
		must(t, db.Close())
		db = openTest(t, fs)
		all, err := db.Replicas()
		must(t, err)
		r = all[0]
	}
	again()
	if !r.Void() {
		t.Fatal("not void after a restart")
	}

	staged, err := db.StageSnapshot(3, bytes.NewReader(stream))
	must(t, err)
	b = db.NewBatch()
	rest, err := r.Entries(51, 61, 1<<20)
	must(t, err)
	b.Install(r, staged, raftHardState(hardState{term: 3, commit: 55}))
	b.Append(r, rest)
	must(t, b.Commit())
	for range 2 {
		last, _ := r.LastIndex()
		hs, _, err := r.InitialState()
		must(t, err)
		if r.Void() || r.Applied().Index != 50 || last != 60 || hs.GetCommit() != 55 {
			t.Errorf("void %v, applied %d, log to %d, commit %d", r.Void(), r.Applied().Index, last, hs.GetCommit())
		}
		again()
	}
	must(t, db.Close())
}

// A copy that was given up is void at each start until a snapshot has replaced it. One that is alone is kept.
func TestACopyThatWasGivenUpIsVoidUntilItIsReplaced(t *testing.T) {
	t.Parallel()
	from, fs := openTest(t, vfs.NewMem()), vfs.NewMem()
	filled(t, from, 3)
	stream := streamOf(t, from, 3)
	must(t, from.Close())

	if err := GiveUp(fs, "node", 3); err == nil {
		t.Error("there is no store, and it is given up")
	}
	db := openTest(t, fs)
	bootstrap(t, db, 2, 1)
	b := db.NewBatch()
	b.Create(3, 2, &state.Applied{Index: 1, Term: 1, Conf: &raftpb.ConfState{Voters: []uint64{1, 2}}})
	b.Create(5, 3, nil) // it waits for its first snapshot
	must(t, b.Commit())
	for _, p := range []kv.PartitionID{2, 3, 4, 5, kv.Meta} {
		must(t, GiveUp(fs, "node", p)) // while it is open
	}
	void := func() (lone, given bool) {
		t.Helper()
		must(t, db.Close())
		db = openTest(t, fs)
		return db.Replica(2).Void(), db.Replica(3).Void()
	}
	for range 2 {
		if lone, given := void(); lone || !given {
			t.Fatalf("void: the only copy %v, the other %v", lone, given)
		}
	}
	staged, err := db.StageSnapshot(3, bytes.NewReader(stream))
	must(t, err)
	b = db.NewBatch()
	b.Install(db.Replica(3), staged, raftHardState(hardState{term: 3}))
	must(t, b.Commit())
	for range 2 {
		if lone, given := void(); lone || given {
			t.Fatalf("void after a snapshot: %v and %v", lone, given)
		}
	}
	if names, err := fs.List(fs.PathJoin("node", rebuildDir)); err != nil || len(names) > 0 {
		t.Errorf("left over: %v, %v", names, err)
	}
	must(t, db.Close())
}
