//go:build processes

package processes

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// What a test leaves open is drawn: how its nodes keep, compress and encrypt what they write. PROCESSES_SEED repeats
// a run.
var drawSeed = sync.OnceValue(func() uint64 {
	if v, err := strconv.ParseUint(os.Getenv("PROCESSES_SEED"), 10, 64); err == nil {
		return v
	}
	return uint64(time.Now().UnixNano())
})

// draw returns numbers for one thing that a test leaves open, which depend on nothing but the seed, the test and
// the words.
func draw(t *testing.T, what ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintln(h, append([]any{t.Name()}, what...)...)
	return rand.New(rand.NewPCG(drawSeed(), h.Sum64()))
}
