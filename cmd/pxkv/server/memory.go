package server

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
)

const (
	// unknownMemory is what is assumed where the system does not tell how much there is.
	unknownMemory = 1 << 30
	// The budget of what is held for others is an eighth of the memory, within these bounds.
	leastBudget, mostBudget = 64 << 20, 512 << 20
)

// limitMemory tells the runtime how much memory there is, unless the user did: seven tenths of what the
// control group allows, or the machine has. The rest is for what the runtime does not count: what
// the system holds for connections, and stacks of threads. Near the limit the collector runs as
// often as it must. It returns how much memory there is. root is as in memoryOf.
func limitMemory(log *slog.Logger, root string) int64 {
	given := os.Getenv("GOMEMLIMIT") != ""
	if limit := debug.SetMemoryLimit(-1); given && limit < math.MaxInt64 { // else it is off
		return limit
	}
	there := memoryOf(root)
	if there == 0 {
		return unknownMemory
	}
	if !given {
		debug.SetMemoryLimit(there / 10 * 7)
		log.Debug("memory", "there", there, "limit", there/10*7)
	}
	return there
}

// newBudget is what a node with so much memory holds for clients and other nodes.
func newBudget(memory int64) *kv.Budget {
	return kv.NewBudget(min(max(memory/8, leastBudget), mostBudget))
}

// registerBudget shows how much of a budget is in use.
func registerBudget(b *kv.Budget, r prometheus.Registerer) {
	r.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pxkv_held_bytes",
			Help: "Bytes held for clients and other nodes: requests, values, pages, and answers that they have " +
				"not taken.",
		}, func() float64 { return float64(b.Held()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pxkv_held_limit_bytes", Help: "Most bytes that are held for clients and other nodes.",
		}, func() float64 { return float64(b.Limit()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "pxkv_held_refused_total", Help: "Times that there was no room for bytes of clients and other nodes.",
		}, func() float64 { return float64(b.Refused()) }),
	)
}

const (
	// lookAtMemory is how often it is looked whether memory can go back to the system.
	lookAtMemory = 5 * time.Second
	// restMemory is how long nothing is given back after it was. While nothing else happens that is
	// twice as long each time, up to longestRest: each time costs a run of the collector.
	restMemory, longestRest = 20 * time.Second, 10 * time.Minute
	// calmBytes is how much is allocated between two looks at most when a load has gone.
	calmBytes = 20 << 20
)

// returnMemory gives memory back to the system when a load has gone. The runtime does that by
// itself while the collector runs; but with the load the reason to run it goes, and what the last
// requests left would stay for minutes. It goes on until ctx ends.
func returnMemory(ctx context.Context) error {
	ticker := time.NewTicker(lookAtMemory)
	defer ticker.Stop()
	var calm calmness
	for {
		select {
		case now := <-ticker.C:
			if calm.tells(now, allocated()) {
				debug.FreeOSMemory()
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// calmness tells from what is allocated when a load has gone. How much memory there is tells nothing: what was in use
// the last time may be garbage by now, and nobody knows before the collector has run. Nor does it tell that the
// collector has not run for a while: with a large heap and a moderate load it seldom does.
type calmness struct {
	allocated uint64    // in bytes, at the last look
	gave      time.Time // when memory was given back
	rest      time.Duration
}

// tells reports whether memory is to be given back, at a look at which so much has been allocated since the start.
func (c *calmness) tells(now time.Time, allocated uint64) bool {
	busy := allocated-c.allocated > calmBytes
	c.allocated = allocated
	if busy {
		c.rest = restMemory
	}
	if busy || now.Sub(c.gave) < c.rest {
		return false
	}
	c.gave, c.rest = now, min(max(2*c.rest, restMemory), longestRest)
	return true
}

// allocated is how many bytes have been allocated since the start.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
