package persist

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"pxkv/persist/data"
	"pxkv/persist/disktest"
	"pxkv/persist/raftlog"
)

// The disk takes as long as it likes over an install. Meanwhile turns go on: they apply, look at the
// expiry index, fill batches and cut logs.
func TestATurnWaitsForNoInstall(t *testing.T) {
	t.Parallel()
	src := openTest(t, vfs.NewMem())
	filled(t, src, 2)
	stream := streamOf(t, src, 2)
	must(t, src.Close())

	var begun atomic.Bool
	disk := disktest.NewHeld(func(op errorfs.Op) bool {
		begun.CompareAndSwap(false, op.Kind == errorfs.OpLink) // Pebble takes the tables over
		return begun.Load() && strings.Contains(op.Path, "MANIFEST")
	})
	db, err := Open(Options{
		Dir: "node", FS: errorfs.Wrap(vfs.NewMem(), disk), StallAfter: -1, Fatal: func(text string) { panic(text) },
	})
	must(t, err)
	r1, r2 := filled(t, db, 1), learner(t, db, 2, 7)
	staged, err := db.StageSnapshot(2, bytes.NewReader(stream))
	must(t, err)

	release := disk.Hold()
	b := db.NewBatch()
	b.Install(r2, staged, raftHardState(hardState{term: 3}))
	if !b.Waits() {
		t.Error("a batch that installs may be committed in a turn")
	}
	installed := make(chan error, 1)
	go func() { installed <- b.Commit() }()
	disk.Await(t)

	turns := make(chan struct{})
	go func() {
		defer close(turns)
		for i := range 200 {
			a := db.NewApply()
			value := stringRecord(strings.Repeat("v", 40<<10), uint64(i+1))
			value.DeadlineMS = int64(i + 1)
			a.Put(1, fmt.Appendf(nil, "key%04d", i), value)
			ap := r1.Applied()
			ap.Revision++
			a.SetApplied(r1, ap)
			if err := a.Commit(); err != nil {
				t.Error(err)
			}
			if due, _, err := db.Due(1, data.Due{}, int64(i+1), 1000); err != nil || len(due) != i+1 ||
				!due[i].Current {
				t.Errorf("after %d keys %d are due, %v", i+1, len(due), err)
			}
			batch := db.NewBatch()
			if err := batch.Truncate(r1, 40); err != nil {
				t.Error(err)
			}
		}
	}()
	select {
	case <-turns:
	case <-time.After(30 * time.Second):
		t.Error("a turn waits for an install")
	}
	release()
	<-turns
	must(t, <-installed)
	if items, _, err := db.Scan(1, data.Query{KeysOnly: true}); err != nil || len(items) != 200 {
		t.Errorf("there are %d keys, %v", len(items), err)
	}
	must(t, db.Close())
}

// Few keys that are written over and over come to nothing in the write buffers; the log holds every
// write until they are flushed.
func TestFewKeysDoNotPinTheLog(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	options := Options{
		Dir: "node", FS: vfs.NewMem(), ReuseSegments: true, Fatal: func(text string) { panic(text) },
		Limits: Limits{Log: raftlog.Limits{SegmentBytes: limit / 4, PinnedBytes: limit}},
	}
	db, err := Open(options)
	must(t, err)
	r := bootstrap(t, db, 1, 1)
	idle := bootstrap(t, db, 2, 1)
	appendAll(t, db, idle, entries(2, 3, 3))
	applyTo(t, db, idle, 2)
	value := strings.Repeat("v", 1000)
	most, mostOfGroup, patience := int64(0), int64(0), 20_000
	for range 30_000 { // 30 MB in all
		index := lastOf(r) + 1
		b := db.NewBatch()
		b.Append(r, entriesOf(index, 3, value))
		if r.LogBytes() > limit/2 {
			must(t, b.Truncate(r, r.Applied().Index))
		}
		must(t, b.Commit())
		a := db.NewApply()
		ap := r.Applied()
		ap.Index, ap.Term, ap.Revision = index, 3, ap.Revision+1
		a.Put(1, []byte("counter"), stringRecord("1", ap.Revision))
		a.SetApplied(r, ap)
		must(t, a.Commit())
		total, _ := db.Files()
		most, mostOfGroup = max(most, total), max(mostOfGroup, r.LogBytes())
		if total > 4*limit && patience > 0 { // how much is written while a flush goes on depends on the machine
			patience--
			time.Sleep(time.Millisecond)
		}
	}
	if most > 16*limit || mostOfGroup > 8*limit {
		t.Errorf("the log grew to %d KiB, that of the group to %d KiB", most>>10, mostOfGroup>>10)
	}
	must(t, db.Close())
}
