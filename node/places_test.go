package node

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/ring"
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

// Nothing but a long value waits for a place, also where one was read by other means after it was found to be long.
func TestOnlyLongValuesWaitForPlaces(t *testing.T) {
	t.Parallel()
	told := &share{long: true}
	for _, c := range []struct {
		keys []wanted
		long bool
	}{
		{[]wanted{{key: []byte("k")}}, true}, {},
		{[]wanted{{key: []byte("k"), part: kv.Part{Kind: kv.NoValue}}}, false},
	} {
		if s := (&step{share: told, keys: c.keys}); s.long() != c.long {
			t.Errorf("what reads %+v waits for a place: %v", c.keys, s.long())
		}
	}
}

// Each request that may bring long values has a place of its own, whatever travels before it in other requests.
func TestNoRequestForLongValuesIsWithoutAPlace(t *testing.T) {
	t.Parallel()
	const longest, places = 64 << 10, 3
	for name, before := range map[string]kv.Part{
		"behind a part": {Kind: kv.RangeOfValue, End: 9}, "behind another one": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, servers := of(t, 3, partitions(8), func(c *cluster) {
				c.maxValue = longest
				c.limits = Limits{ValueBytes: longest, ReadBytes: longest, RequestBytes: 64}
			})
			s := servers[0]
			led := map[kv.PartitionID]string{} // keys in two partitions that another node leads
			for i := 0; len(led) < 2; i++ {
				key := fmt.Sprint("k", i)
				p := ring.PartitionOfKey([]byte(key), c.partitions)
				if id, _ := s.node.client.Leader(p); id == servers[1].id() && led[p] == "" {
					led[p] = key
					s.write(put(key, strings.Repeat("v", longest/2)))
				}
			}
			keys := slices.Collect(maps.Values(led))
			b := kv.NewBudget(100 * longest)
			read := func(ctx context.Context) {
				var a kv.Account
				a.Open(b, kv.OfClients)
				defer a.Close()
				s.node.Batch(kv.WithAccount(ctx, &a), []kv.Command{readingPart(keys[0], before), reading(keys[1])})
			}
			asked := make(chan struct{}, 100)
			c.net.setJudge(func(r request) fate {
				if r.from != s.id() || r.kind != reqSteps {
					return deliver
				}
				asked <- struct{}{}
				return holdAnswer
			})
			ctx, cancel := context.WithCancel(within(t, patience))
			var clients sync.WaitGroup
			for range places {
				clients.Go(func() { read(ctx) })
			}
			for range places {
				<-asked
			}
			late, end := context.WithTimeout(ctx, 100*time.Millisecond)
			defer end()
			read(late)
			if n := len(asked); n > 0 {
				t.Errorf("%d whole values are asked for, and there are %d places", places+n, places)
			}
			cancel()
			clients.Wait()
		})
	}
}
