package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pxkv/node/kv"
)

// However many read long and short values together, in any way, with places for few of them: what they are told is
// right, what is short is never refused, and nothing is left over.
func TestLongValuesAreReadInPlaces(t *testing.T) {
	t.Parallel()
	const longest, most = 64 << 10, 40 << 10
	c, servers := of(t, 3, partitions(8), func(c *cluster) {
		c.maxValue = longest
		c.limits = Limits{ValueBytes: longest, ReadBytes: longest}
	})
	valueOf := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 1+i*i*997%most) }
	const keys = 40
	for i := range keys {
		servers[0].write(put(fmt.Sprint("k", i), valueOf(i)))
	}
	s := servers[1]
	b := kv.NewBudget(1 << 20)
	var done, refused atomic.Int64
	check := func(i int, data []byte, err error, alone bool) {
		switch {
		case kv.KindOf(err) == kv.Overloaded && (len(valueOf(i)) > 1<<10 || !alone): // all of a partition together
			refused.Add(1)
		case err != nil:
			t.Errorf("value %d of %d bytes: %v", i, len(valueOf(i)), err)
		case string(data) != valueOf(i):
			t.Errorf("value %d of %d bytes is %d bytes, %.10q", i, len(valueOf(i)), len(data), data)
		default:
			done.Add(1)
		}
	}
	before := c.net.requests(reqReads)
	var clients sync.WaitGroup
	for n := range 30 {
		clients.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			for range 10 {
				account(t, b, func(ctx context.Context, _ *kv.Account) {
					if rng.IntN(3) == 0 {
						i := rng.IntN(keys)
						res, err := s.node.Read(ctx, fmt.Append(nil, "k", i), kv.ReadOptions{})
						check(i, res.Item.Value.Data, err, true)
						return
					}
					var cmds []kv.Command
					var asked []int
					for range 1 + rng.IntN(8) {
						i := rng.IntN(keys)
						asked = append(asked, i)
						cmds = append(cmds, reading(fmt.Sprint("k", i)))
						if rng.IntN(4) == 0 { // the same key is written behind its read
							asked = append(asked, -1)
							cmds = append(cmds, *put(fmt.Sprint("k", i), valueOf(i)))
						}
					}
					for j, a := range s.node.Batch(ctx, cmds) {
						switch i := asked[j]; {
						case i >= 0:
							check(i, []byte(value(a)), asErr(a.Err), len(cmds) == 1)
						case a.Err != nil && a.Err.Kind != kv.Overloaded:
							t.Errorf("a write: %v", a.Err)
						}
					}
				})
			}
		})
	}
	clients.Wait()
	if b.Held() != 0 || done.Load() < 300 {
		t.Errorf("%d bytes are held at the end; %d values were read, %d refused", b.Held(), done.Load(), refused.Load())
	}
	if c.net.requests(reqReads) == before {
		t.Error("nobody asked for a little of a value: this tries nothing")
	}
}
