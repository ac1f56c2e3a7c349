//go:build processes

package processes

import (
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// anyStore keeps the data of all nodes of a test on disk or in memory, as it is drawn. It is for tests in which no
// process ends before the last check: what nodes in memory have goes with it. STORE_SEED repeats a run.
func anyStore(t *testing.T) setting {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if v, err := strconv.ParseUint(os.Getenv("STORE_SEED"), 10, 64); err == nil {
		seed = v
	}
	name := fnv.New64a()
	_, _ = name.Write([]byte(t.Name()))
	store := []string{"disk", "memory"}[rand.New(rand.NewPCG(seed, name.Sum64())).IntN(2)]
	t.Logf("STORE_SEED=%d: --store %s", seed, store)
	return flags("--store", store)
}
