package data

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/disktest"
)

// A snapshot that does not fit is refused while the reserve is still whole.
func TestStagingLeavesTheReserveAlone(t *testing.T) {
	t.Parallel()
	src := openTest(t, vfs.NewMem())
	bootstrap(t, src, 0, 1)
	noise := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for i := range 40 {
		a := src.NewApply()
		a.Put(0, fmt.Appendf(nil, "big%d", i), Record{Value: kv.Value{Kind: kv.Binary, Data: noise}, Version: 1})
		must(t, a.Commit())
	}
	stream := streamOf(t, src, 0)
	shut(t, src)

	q := disktest.NewQuota(64 << 20)
	db := openTest(t, q)
	learner(db, 0, 2)
	staged, err := db.StageSnapshot(0, bytes.NewReader(stream))
	if !errors.Is(err, ErrNoRoom) || !errors.Is(err, kv.NoRoom) {
		t.Fatalf("staged: %v, %v", staged, err)
	}
	if r, err := db.LookForRoom(); err != nil || r.Growth() < 20<<20 {
		t.Errorf("afterwards there is %+v, %v", r, err)
	}
	shut(t, db)
}
