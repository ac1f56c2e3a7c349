package data

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
)

// What a partition has is told apart from what its neighbours have, whether it is on disk already or not.
func TestEstimateBytes(t *testing.T) {
	t.Parallel()
	s := openTest(t, vfs.NewMem())
	for p := range 3 {
		bootstrap(t, s, kv.PartitionID(p), 1)
	}
	const size, count = 1000, 300
	value := make([]byte, size)
	rng := rand.New(rand.NewPCG(1, 1))
	a := s.NewApply()
	for i := range count {
		for j := range value {
			value[j] = byte(rng.Uint32()) // that cannot be compressed
		}
		a.Put(1, fmt.Appendf(nil, "key %d", i), stringRecord(string(value), uint64(i+1)))
	}
	must(t, a.Commit())
	look := func(when string) {
		t.Helper()
		for p, want := range []int64{0, size * count, 0} {
			if got := s.EstimateBytes(kv.PartitionID(p)); got < want || got > want+want/4+8192 {
				t.Errorf("%s: partition %d has about %d bytes, want about %d", when, p, got, want)
			}
		}
		if got := s.EstimateBytes(9); got != 0 {
			t.Errorf("%s: a partition that is not here has %d bytes", when, got)
		}
	}
	look("in the write buffer")
	must(t, s.Flush())
	look("in tables")
}
