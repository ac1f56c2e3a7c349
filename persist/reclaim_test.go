package persist

import (
	"bytes"
	"fmt"
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
	fs := vfs.NewMem()
	open := func() (*DB, []*Replica) {
		db, err := Open(Options{Dir: "node", FS: fs, Light: true, segmentBytes: segment, reuse: true})
		must(t, err)
		all, err := db.Replicas()
		must(t, err)
		return db, all
	}
	db, _ := open()
	busy, stuck, idle := bootstrap(t, db, 0, 1), bootstrap(t, db, 1, 1), bootstrap(t, db, 2, 1)
	appendAll(t, db, stuck, entries(2, 40, 1))
	appendAll(t, db, idle, entries(2, 5, 1))
	applyTo(t, db, idle, 5)
	moved := 0
	write := func(from, to uint64) {
		for i := from; i <= to; i++ {
			appendAll(t, db, busy, []*raftpb.Entry{entry(i, 1, string(make([]byte, 1000)))})
			moved += len(db.reclaiming.move)
			applyTo(t, db, busy, i)
			b := db.NewBatch()
			must(t, b.Truncate(busy, i-i%7))
			must(t, b.Commit())
		}
	}
	small := func(what string) {
		t.Helper()
		if bytes, segments := db.log.Bytes(); bytes > 40*segment || segments > 40 {
			t.Errorf("%s the log has %d bytes in %d segments, %d of them live", what, bytes, segments, busy.LogBytes()+stuck.LogBytes()+idle.LogBytes())
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
	want, err := storeText(db)
	must(t, err)
	must(t, db.Close())
	for range 2 {
		var all []*Replica
		db, all = open()
		busy, stuck, idle = all[0], all[1], all[2]
		got, err := storeText(db)
		must(t, err)
		if got != want {
			t.Fatalf("after a restart\n%s\nshould be\n%s", brief(got), brief(want))
		}
		stuck.tail = tail{} // its entries are read from where they were moved to
		got, err = storeText(db)
		must(t, err)
		if got != want {
			t.Fatalf("read from disk\n%s\nshould be\n%s", brief(got), brief(want))
		}
		last, _ := busy.LastIndex()
		write(last+1, last+1000)
		small("after a restart")
		want, err = storeText(db)
		must(t, err)
		must(t, db.Close())
	}
}

// TestMovedEntriesMayChangeMeanwhile truncates and overwrites entries while their move is on
// its way to the disk.
func TestMovedEntriesMayChangeMeanwhile(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	db, err := Open(Options{Dir: "node", FS: fs, Light: true, segmentBytes: 4 << 10})
	must(t, err)
	busy := bootstrap(t, db, 0, 1)
	var others []*Replica
	for p := kv.PartitionID(1); p <= 3; p++ {
		r := bootstrap(t, db, p, 1)
		appendAll(t, db, r, entries(2, 9, 1))
		applyTo(t, db, r, 5)
		others = append(others, r)
	}
	flushAll(db)
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
		applyTo(t, db, busy, i)
		flushAll(db)
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
	before, err := storeText(db)
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
		got, err := storeText(db)
		must(t, err)
		if got != before {
			t.Errorf("%s\n%s\nshould be\n%s", what, brief(got), brief(before))
		}
		disk := fs.CrashClone(vfs.CrashCloneCfg{})
		must(t, db.Close())
		db, err = Open(Options{Dir: "node", FS: disk, Light: true, segmentBytes: 4 << 10})
		must(t, err)
		replicas, err := db.Replicas()
		must(t, err)
		for _, r := range replicas {
			r.tail = tail{}
		}
	}
	must(t, db.Close())
}

// TestSnapshotIsInstalledByTheNextStart loses power between the record that decides and what
// Pebble does with it.
func TestSnapshotIsInstalledByTheNextStart(t *testing.T) {
	t.Parallel()
	for _, made := range []string{"new", "old"} {
		t.Run(fmt.Sprint("a replica that is ", made), func(t *testing.T) {
			t.Parallel()
			from := openTest(t, vfs.NewMem())
			filled(t, from, 3)
			stream := streamOf(t, from, 3)
			want, err := partitionDataText(from, 3)
			must(t, err)
			must(t, from.Close())

			fs := vfs.NewCrashableMem()
			db := openTest(t, fs)
			r := learner(t, db, 3, 44)
			if made == "old" {
				appendAll(t, db, r, entries(1, 9, 1))
				applyTo(t, db, r, 9)
				flushAll(db)
			}
			staged, err := db.StageSnapshot(3, bytes.NewReader(stream))
			must(t, err)
			b := db.NewBatch()
			b.Install(r, staged, raftHardState(hardState{term: 3, vote: 44}))
			b.do(b.before)
			must(t, db.log.Append(b.buf, true, false))
			disk := fs.CrashClone(vfs.CrashCloneCfg{})

			for range 2 {
				db, err = Open(Options{Dir: "node", FS: disk, Light: true})
				must(t, err)
				got, err := partitionDataText(db, 3)
				must(t, err)
				replicas, err := db.Replicas()
				must(t, err)
				r := replicas[0]
				if hs, _, _ := r.InitialState(); got != want || r.Applied().Index != 50 || r.log.first() != 51 || hs.GetVote() != 44 || hs.GetCommit() != 50 {
					t.Errorf("applied %d, log begins at %d, hard state %v, data\n%s\nshould be\n%s", r.Applied().Index, r.log.first(), hs, got, want)
				}
				disk = disk.CrashClone(vfs.CrashCloneCfg{})
			}
		})
	}
}
