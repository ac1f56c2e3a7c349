package persist

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/disktest"
	"pxkv/persist/raftlog"
)

// fillUp writes values of one MiB with their log entries until there is no room, as a node does.
func fillUp(t *testing.T, db *DB, r *raftlog.Replica, value []byte) (keys int) {
	t.Helper()
	for ; keys < 1000; keys++ {
		cmd := kv.Command{Op: kv.OpPut, Key: fmt.Appendf(nil, "key%06d", keys), Value: kv.Value{Data: value}}
		if !db.TakeRoom(cmd.Growth()) {
			if room, err := db.LookForRoom(); err != nil || room.Growth() < 3*cmd.Growth() {
				return keys
			}
			continue // the look found room again
		}
		step(t, db, r, string(value), func(a *data.Apply, version uint64) {
			a.Put(r.Partition(), cmd.Key, data.Record{
				Value: kv.Value{Kind: kv.Binary, Data: value}, Version: version, ModifiedMS: 1,
			})
		})
	}
	t.Fatal("the disk is never full")
	return 0
}

// step appends an entry, applies it, and cuts the log as a node would.
func step(t *testing.T, db *DB, r *raftlog.Replica, entryData string, effects func(a *data.Apply, version uint64)) {
	t.Helper()
	index := lastOf(r) + 1
	b := db.NewBatch()
	b.SetHardState(r, raftHardState(hardState{term: 3, commit: index}))
	b.Append(r, entriesOf(index, 3, entryData))
	if r.LogBytes() > 1<<20 {
		must(t, b.Truncate(r, r.Applied().Index))
	}
	must(t, b.Commit())
	a := db.NewApply()
	ap := r.Applied()
	ap.Index, ap.Term, ap.Revision = index, 3, ap.Revision+1
	effects(a, ap.Revision)
	a.SetApplied(r, ap)
	must(t, a.Commit())
}

// At every size of disk writes are refused before anything runs into the end of it, a restart
// takes nothing of the reserve, and what is deleted becomes room.
func TestAFullDiskIsRefusedInTimeAndCanBeEmptied(t *testing.T) {
	t.Parallel()
	value := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(value)
	for _, megabytes := range []int64{24, 48, 100, 300} {
		t.Run(fmt.Sprint(megabytes, " MB"), func(t *testing.T) {
			t.Parallel()
			q := disktest.NewQuota(megabytes << 20)
			open := func() *DB {
				db, err := Open(Options{
					Dir: "node", FS: q, StallAfter: -1, ReuseSegments: true, Fatal: func(text string) { panic(text) },
				})
				must(t, err)
				return db
			}
			db := open()
			r := bootstrap(t, db, 1, 1)
			keys := fillUp(t, db, r, value)
			if keys < int(megabytes)/8 {
				t.Errorf("full after %d MiB", keys)
			}
			used := int64(0)
			for i := range 5 {
				must(t, db.Close())
				if i == 0 {
					used = q.Used.Load()
				} else if more := q.Used.Load() - used; more > 2<<20 {
					t.Errorf("%d restarts took %d KiB", i, more>>10)
				}
				db = open()
				all, err := db.Replicas()
				must(t, err)
				r = all[0]
				step(t, db, r, "x", func(*data.Apply, uint64) {})
			}
			if keys > 0 && !db.TakeRoom(0) {
				t.Fatal("a deletion is refused")
			}
			for i := range keys {
				step(t, db, r, "delete", func(a *data.Apply, _ uint64) { a.Delete(1, fmt.Appendf(nil, "key%06d", i)) })
			}
			deadline := time.Now().Add(3 * time.Minute) // a busy machine writes all of it anew, several times
			for {
				step(t, db, r, "x", func(*data.Apply, uint64) {}) // a node is never quite still
				room, err := db.LookForRoom()
				must(t, err)
				if int64(room.Free) > q.Total*3/4 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("all is deleted, and there is no room: %+v", room)
				}
				time.Sleep(10 * time.Millisecond)
			}
			must(t, db.Close())
		})
	}
}
