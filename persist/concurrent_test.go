package persist

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// TestReadersBesideTheLoop runs a loop, a persister and readers, as a node does. Each entry
// puts its own index under one key, so every view tells whether it is of one moment. Meanwhile
// the other partition is replaced by snapshots of the first.
func TestReadersBesideTheLoop(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	r := bootstrap(t, db, 1, 1)
	other := bootstrap(t, db, 2, 1)
	const last = 1500
	stop := make(chan struct{})
	var readers sync.WaitGroup
	read := func(f func()) {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					f()
				}
			}
		})
	}
	var staged sync.Mutex
	var ready *Staged
	read(func() {
		v, err := db.NewView(1)
		must(t, err)
		rec, ok, err := v.Get([]byte("index"))
		must(t, err)
		if want := v.Applied().Index; ok != (want > 1) || ok && rec.Version != want {
			t.Errorf("view of index %d has %d", want, rec.Version)
		}
		must(t, v.Close())
	})
	read(func() {
		_, _, err := db.Get(2, []byte("index"))
		must(t, err)
		_, _, err = db.Scan(1, nil, nil, false, 10, 1000)
		must(t, err)
		db.Tombstone(1)
	})
	read(func() {
		stream := bytes.NewBuffer(streamOf(t, db, 1))
		s, err := db.StageSnapshot(1, io.LimitReader(stream, int64(stream.Len()/2)))
		if s != nil || err == nil {
			t.Error("half a snapshot was staged")
		}
		twin := openTest(t, vfs.NewMem())
		defer func() { must(t, twin.Close()) }()
		bootstrap(t, twin, 2, 1)
		full, err := db.StageSnapshot(2, bytes.NewReader(streamOf(t, twin, 2)))
		must(t, err)
		staged.Lock()
		defer staged.Unlock()
		if ready != nil {
			full.Discard()
			return
		}
		ready = full
	})

	batches, committed := make(chan *Batch, 4), make(chan struct{}, 4)
	var persister sync.WaitGroup
	persister.Go(func() {
		for b := range batches {
			must(t, b.Commit())
			committed <- struct{}{}
		}
	})
	for i := uint64(2); i <= last; i++ {
		b := db.NewBatch()
		b.Append(r, []*raftpb.Entry{entry(i, 1, string(make([]byte, 2000)))})
		b.SetHardState(r, raftHardState(hardState{1, 1, i - 1}))
		if i%50 == 0 {
			must(t, b.Truncate(r, r.Applied().Index))
		}
		staged.Lock()
		if ready != nil {
			b.Install(other, ready, raftHardState(hardState{term: 1}))
			ready = nil
		}
		staged.Unlock()
		batches <- b
		<-committed
		a := db.NewApply()
		a.Put(1, []byte("index"), stringRecord("v", i))
		a.SetApplied(r, Applied{Index: i, Term: 1, Conf: &raftpb.ConfState{}, Replicas: []kv.Replica{{ID: 1}}})
		must(t, a.Commit())
	}
	close(batches)
	persister.Wait()
	close(stop)
	readers.Wait()
	must(t, db.Close())
}
