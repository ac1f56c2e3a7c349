package persist

import (
	"bytes"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/state"
)

// TestReadersBesideTheLoop runs a loop, a persister and readers, as a node does. Each entry
// puts its own index under one key, so every view tells whether it is of one moment. Meanwhile
// the other partition is replaced by snapshots.
func TestReadersBesideTheLoop(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	r := bootstrap(t, db, 1, 1)
	other := bootstrap(t, db, 2, 1)
	stop, staged := make(chan struct{}), make(chan *data.Staged, 1)
	var readers sync.WaitGroup
	for _, read := range []func(){
		func() { readView(t, db) },
		func() { readAll(t, db) },
		func() { stage(t, db, staged) },
	} {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					read()
				}
			}
		})
	}
	batches, committed := make(chan *Batch, 4), make(chan struct{}, 4)
	var persister sync.WaitGroup
	persister.Go(func() {
		for b := range batches {
			must(t, b.Commit())
			committed <- struct{}{}
		}
	})
	for i := uint64(2); i <= 1500; i++ {
		b := db.NewBatch()
		b.Append(r, []*raftpb.Entry{entry(i, 1, string(make([]byte, 2000)))})
		b.SetHardState(r, raftHardState(hardState{1, 1, i - 1}))
		if i%50 == 0 {
			must(t, b.Truncate(r, r.Applied().Index))
		}
		select {
		case s := <-staged:
			b.Install(other, s, raftHardState(hardState{term: 1}))
		default:
		}
		batches <- b
		<-committed
		a := db.NewApply()
		a.Put(1, []byte("index"), stringRecord("v", i))
		a.SetApplied(r, state.Applied{Index: i, Term: 1, Conf: &raftpb.ConfState{}, Replicas: []kv.Replica{{ID: 1}}})
		must(t, a.Commit())
	}
	close(batches)
	persister.Wait()
	close(stop)
	readers.Wait()
	must(t, db.Close())
}

func readView(t *testing.T, db *DB) {
	v, err := db.NewView(1)
	must(t, err)
	rec, _, ok, err := v.GetPart([]byte("index"), kv.Part{})
	must(t, err)
	if want := v.Applied().Index; ok != (want > 1) || ok && rec.Version != want {
		t.Errorf("view of index %d has %d", want, rec.Version)
	}
	must(t, v.Close())
}

func readAll(t *testing.T, db *DB) {
	_, _, err := db.Get(2, []byte("index"))
	must(t, err)
	_, _, err = db.Scan(1, data.Query{MaxItems: 10, MaxBytes: 1000})
	must(t, err)
	db.Tombstone(1)
}

// stage stages half a snapshot, which fails, and a whole one.
func stage(t *testing.T, db *DB, staged chan<- *data.Staged) {
	stream := streamOf(t, db, 1)
	if s, err := db.StageSnapshot(1, bytes.NewReader(stream[:len(stream)/2])); s != nil || err == nil {
		t.Error("half a snapshot was staged")
	}
	twin := openTest(t, vfs.NewMem())
	bootstrap(t, twin, 2, 1)
	s, err := db.StageSnapshot(2, bytes.NewReader(streamOf(t, twin, 2)))
	must(t, err)
	must(t, twin.Close())
	select {
	case staged <- s:
	default:
		s.Discard()
	}
}
