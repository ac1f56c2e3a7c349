//go:build processes

package processes

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	crowdClients = 24
	crowdKeys    = 48                     // at once
	opsPerKey    = 300                    // then a fresh key takes its place: porcupine's search grows fast with them
	patience     = 4 * time.Second        // of one client with one request, where nodes may stand still
	longPatience = 20 * time.Second       // where none does: whoever has no answer by then will not have one
	avoidance    = 500 * time.Millisecond // of a node that did not answer
	breath       = 8 * time.Millisecond   // between two operations of a client, on average
)

// crowd is many clients at all nodes, who all want the same few keys. Every other one speaks the
// Redis protocol.
type crowd struct {
	t       *testing.T
	nodes   []*node
	history *history
	values  atomic.Uint64
	keys    [crowdKeys]place

	patience time.Duration // with one request

	again  bool         // what a node has certainly not done is asked of the next one, once
	failed atomic.Int64 // what that one has not done, either

	stop context.CancelFunc
	wg   sync.WaitGroup

	mu        sync.Mutex
	surprises []error
}

// place holds one key at a time.
type place struct {
	mu             sync.Mutex
	number, ops    int
	value, version uint64 // as last seen by anybody
}

func newCrowd(t *testing.T, nodes []*node) *crowd { return newCrowdOn(t, nodes, 0) }

// newCrowdOn begins with keys of a number, of which those that follow must be new as well.
func newCrowdOn(t *testing.T, nodes []*node, number int) *crowd {
	c := &crowd{t: t, nodes: nodes, history: newHistory(), patience: patience}
	c.begin(number)
	return c
}

// newPoliteCrowd is one whose clients try the next node once.
func newPoliteCrowd(t *testing.T, nodes []*node) *crowd {
	c := &crowd{t: t, nodes: nodes, history: newHistory(), patience: longPatience, again: true}
	c.begin(0)
	return c
}

func (c *crowd) begin(number int) {
	for i := range c.keys {
		c.keys[i].number = number
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	for i := range crowdClients {
		c.wg.Go(func() { c.client(ctx, i) })
	}
	c.t.Cleanup(c.end)
}

// end stops the clients and waits for them.
func (c *crowd) end() {
	c.stop()
	c.wg.Wait()
}

func (c *crowd) surprise(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.surprises = append(c.surprises, err); len(c.surprises) <= 10 {
		c.t.Error(err)
	}
}

// client works until ctx ends. What is under way then is completed: an operation that was
// cut short would be one of unknown outcome.
func (c *crowd) client(ctx context.Context, number int) {
	door := newClient
	if number%2 == 1 {
		door = newRedisClient
	}
	cl := door(c.history, &c.values, c.patience, c.surprise)
	defer cl.close()
	rng := rand.New(rand.NewPCG(uint64(number), uint64(time.Now().UnixNano())))
	avoid := make([]time.Time, len(c.nodes))
	for ctx.Err() == nil {
		i := rng.IntN(len(c.nodes))
		if time.Now().Before(avoid[i]) {
			i = (i + 1) % len(c.nodes)
		}
		at := rng.IntN(len(c.keys))
		drawn, version := c.keys[at].draw(rng, at)
		op, how := cl.do(context.WithoutCancel(ctx), c.nodes[i], drawn, version)
		if c.again && (how == refused || how == unavailable) {
			avoid[i] = time.Now().Add(avoidance)
			i = (i + 1) % len(c.nodes)
			if op, how = cl.do(context.WithoutCancel(ctx), c.nodes[i], drawn, version); how == refused ||
				how == unavailable {
				c.failed.Add(1)
			}
		}
		switch how {
		case answered:
			c.keys[at].saw(op, at)
		case unknown, refused:
			avoid[i] = time.Now().Add(avoidance)
		}
		select {
		case <-time.After(time.Duration(rng.Int64N(2 * int64(breath)))):
		case <-ctx.Done():
		}
	}
}

// draw decides what to do next with the key at a place.
func (p *place) draw(rng *rand.Rand, at int) (op operation, version uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ops++; p.ops > opsPerKey {
		p.number, p.ops, p.value, p.version = p.number+1, 1, 0, 0
	}
	op.key = p.key(at)
	switch n := rng.IntN(100); {
	case n < 40:
		op.kind = opGet
	case n < 60:
		op.kind = opPut
	case n < 70:
		op.kind = opDelete
	case n < 80 || p.version == 0:
		op.kind = opCreate
	default:
		op.kind, op.expect, version = opSwap, p.value, p.version
	}
	return op, version
}

func (p *place) key(at int) string { return fmt.Sprintf("crowd-%d-%d", at, p.number) }

// saw remembers the newest version that anybody saw, for swaps to build on.
func (p *place) saw(op operation, at int) {
	value := op.value
	if op.kind == opGet {
		value = op.seen
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !op.hidden && op.version > p.version && op.key == p.key(at) {
		p.value, p.version = value, op.version
	}
}
