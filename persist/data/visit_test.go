package data

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
)

func countKeys(db *Store, p kv.PartitionID) (n int64, err error) {
	err = db.Visit(p, func([]byte) bool { return true }, func([]byte, int64) { n++ }, func() bool { return true })
	return n, err
}

// Visit tells of every key that matches, with its deadline, passed or not, until it is told to stop.
func TestVisitTellsDeadlines(t *testing.T) {
	t.Parallel()
	db := openTest(t, vfs.NewMem())
	bootstrap(t, db, 1, 1)
	a := db.NewApply()
	const keys = 2 * visitStep
	for i := range keys {
		rec := stringRecord("v", uint64(i+1))
		rec.DeadlineMS = int64(i % 3)
		a.Put(1, fmt.Appendf(nil, "k%05d", i), rec)
	}
	must(t, a.Commit())
	next, sum := 1, 0
	err := db.Visit(1, func(key []byte) bool { return key[5]%2 == 1 }, func(key []byte, deadlineMS int64) {
		if want := fmt.Sprintf("k%05d", next); string(key) != want || deadlineMS != int64(next%3) {
			t.Fatalf("visited %q with deadline %d, want %s with %d", key, deadlineMS, want, next%3)
		}
		next, sum = next+2, sum+1
	}, func() bool { return true })
	if err != nil || sum != keys/2 {
		t.Errorf("visited %d of %d keys, %v", sum, keys/2, err)
	}
	visited := 0
	err = db.Visit(1, func([]byte) bool { return true }, func([]byte, int64) { visited++ }, func() bool {
		return false
	})
	if !errors.Is(err, ErrStopped) || visited >= keys {
		t.Errorf("told to stop, it visited %d keys: %v", visited, err)
	}
	shut(t, db)
}
