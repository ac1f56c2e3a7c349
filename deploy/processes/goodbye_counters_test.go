//go:build processes

package processes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// counters are clients that count, each for itself, by go-redis: with a pool for each node, and a mind to send a
// command again when its connection has broken. Every other one counts in pipelines.
type counters struct {
	t               *testing.T
	nodes           []*node
	stop            context.CancelFunc
	wg              sync.WaitGroup
	unknown, failed atomic.Int64
	sums            [8]int64 // that were acknowledged; of each client
}

// neverFull is a size of go-redis's pool that as many failed dials do not reach while a node restarts. After them it
// answers for the node, with the last error, and looks for itself once a second whether the node is back: a client that
// tries the next node once would have asked nobody but that one, which is the next to be restarted.
const neverFull = 10_000

func startCounters(t *testing.T, nodes []*node) *counters {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &counters{t: t, nodes: nodes, stop: stop}
	doors := make([]*redis.Client, len(nodes))
	for i, n := range nodes {
		doors[i] = redis.NewClient(&redis.Options{
			Addr: n.resp, PoolSize: neverFull,
			// A command that has no answer by then is sent again: on a busy machine, and after the usual 3 s, it would
			// be counted twice.
			ReadTimeout: longPatience,
		})
		t.Cleanup(func() { doors[i].Close() })
	}
	for i := range c.sums {
		c.wg.Go(func() { c.count(ctx, doors, i) })
	}
	t.Cleanup(c.end)
	return c
}

func (c *counters) end() {
	c.stop()
	c.wg.Wait()
}

func counterKey(client int) string { return fmt.Sprintf("counter-%d", client) }

// count counts through one node after the other, and asks the next one, once, what was certainly not done.
func (c *counters) count(ctx context.Context, doors []*redis.Client, client int) {
	size := 1 + 19*(client%2)
	for turn := client; ctx.Err() == nil; turn++ {
		left, err := c.add(doors[turn%len(doors)], client, size)
		if left > 0 && isNotDone(err) {
			left, err = c.add(doors[(turn+1)%len(doors)], client, left)
		}
		switch {
		case left > 0 && isNotDone(err):
			c.failed.Add(int64(left))
		case left > 0:
			c.unknown.Add(int64(left))
			c.t.Logf("a count ended unknown: %v", err)
		}
		select {
		case <-time.After(breath):
		case <-ctx.Done():
		}
	}
}

// add returns how many of some counts were not acknowledged, and why the last of them was not.
func (c *counters) add(door *redis.Client, client, size int) (left int, err error) {
	ctx := context.Background()
	if size == 1 {
		if err = door.Incr(ctx, counterKey(client)).Err(); err != nil {
			return 1, err
		}
		c.sums[client]++
		return 0, nil
	}
	pipe := door.Pipeline()
	for range size {
		pipe.Incr(ctx, counterKey(client))
	}
	counts, _ := pipe.Exec(ctx) // each has its own error
	for _, count := range counts {
		if e := count.Err(); e != nil {
			left, err = left+1, e
		} else {
			c.sums[client]++
		}
	}
	return left, err
}

// isNotDone reports whether an error of go-redis says that a command was certainly not carried out.
func isNotDone(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" || err != nil && strings.HasPrefix(err.Error(), "CLUSTERDOWN ")
}

// verify ends the clients and compares what they were told with what was counted.
func (c *counters) verify() {
	c.t.Helper()
	c.end()
	door := plainClient(c.t, c.nodes[0])
	total := int64(0)
	for client, sum := range c.sums {
		counted, err := door.Get(context.Background(), counterKey(client)).Int64()
		if err != nil || counted != sum {
			c.t.Errorf("client %d was told of %d counts, and there are %d (%v)", client, sum, counted, err)
		}
		total += sum
	}
	unknown, failed := c.unknown.Load(), c.failed.Load()
	c.t.Logf("go-redis: %d counts, %d unknown, %d failed", total, unknown, failed)
	if unknown+failed > 0 || total == 0 {
		c.t.Errorf("go-redis: of %d counts %d ended unknown and %d failed, want none", total, unknown, failed)
	}
}
