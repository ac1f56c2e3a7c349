package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// filled is a partition that has applied up to index 50.
func filled(t testing.TB, db *DB, p kv.PartitionID) *Replica {
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

func learner(t testing.TB, db *DB, p kv.PartitionID, id kv.ReplicaID) *Replica {
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

// TestSnapshotIsOfOneMoment streams while the partition is written, replaced and destroyed.
func TestSnapshotIsOfOneMoment(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	r := filled(t, db, 1)
	before := streamOf(t, db, 1)
	s, err := db.OpenSnapshot(1)
	must(t, err)
	v, err := db.NewView(1)
	must(t, err)

	applyTo(t, db, r, 60)
	other := openTest(t, vfs.NewMem())
	appendAll(t, other, filled(t, other, 1), entries(61, 90, 3))
	staged, err := db.StageSnapshot(1, bytes.NewReader(streamOf(t, other, 1)))
	must(t, err)
	b := db.NewBatch()
	b.Install(r, staged, raftHardState(hardState{term: 3}))
	must(t, b.Commit())
	b = db.NewBatch()
	b.Destroy(r)
	must(t, b.Commit())
	must(t, db.pebble.Flush())

	var stream bytes.Buffer
	_, err = s.WriteTo(&stream)
	must(t, err)
	if !bytes.Equal(stream.Bytes(), before) || s.Applied().Index != 50 {
		t.Error("the snapshot is not what it was when it was opened")
	}
	if items, _, err := v.Scan(nil, nil, true, 0, 0); err != nil || len(items) != 49 {
		t.Errorf("the view has %d items, %v", len(items), err)
	}
	if rec, ok, err := v.Get([]byte("key0007")); err != nil || !ok || string(rec.Value.Data) != "value 7" {
		t.Errorf("the view has %v, %v, %v", rec, ok, err)
	}
	if _, ok, err := v.Get([]byte("key")); ok || err != nil {
		t.Errorf("the view has what is not there: %v", err)
	}
	must(t, errors.Join(s.Close(), v.Close(), db.Close(), other.Close()))
}

func TestLargeSnapshot(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 0, 1)
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for i := range 40 {
		a := db.NewApply()
		a.Put(0, fmt.Appendf(nil, "big%d", i), Record{Value: kv.Value{Kind: kv.Binary, Data: noise}, Version: 1})
		must(t, a.Commit())
	}
	a := db.NewApply()
	a.Put(0, []byte("huge"), Record{Value: kv.Value{Kind: kv.Binary, Data: bytes.Repeat(noise, 8)}, Version: 1})
	must(t, a.Commit())
	stream := streamOf(t, db, 0)

	to := openTest(t, vfs.NewMem())
	r := learner(t, to, 0, 2)
	staged, err := to.StageSnapshot(0, bytes.NewReader(stream))
	must(t, err)
	if len(staged.tables) < 2 {
		t.Errorf("%d bytes lie in %d table", len(stream), len(staged.tables))
	}
	b := to.NewBatch()
	b.Install(r, staged, raftHardState(hardState{term: 1}))
	must(t, b.Commit())
	if !bytes.Equal(streamOf(t, to, 0), stream) {
		t.Error("the copy streams something else")
	}
	must(t, errors.Join(db.Close(), to.Close()))
}

func TestEmptySnapshot(t *testing.T) {
	t.Parallel()
	from, to := openTest(t, vfs.NewMem()), openTest(t, vfs.NewMem())
	bootstrap(t, from, 2, 1)
	r := filled(t, to, 2)
	staged, err := to.StageSnapshot(2, bytes.NewReader(streamOf(t, from, 2)))
	must(t, err)
	b := to.NewBatch()
	b.Install(r, staged, raftHardState(hardState{term: 3}))
	must(t, b.Commit())
	if items, _, err := to.Scan(2, nil, nil, false, 0, 0); err != nil || len(items) != 0 {
		t.Errorf("%d items are left, %v", len(items), err)
	}
	must(t, errors.Join(from.Close(), to.Close()))
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
		t.Errorf("staging of %s has %v, %v", staged.dir, names, err)
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
	for _, s := range []*Staged{other, gone} {
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
