package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pxkv/node/kv"
	"pxkv/node/match"
)

// Whatever a filter asks for, and however small the pages are, a list through any node has just what is wanted.
func TestAListHasWhatItsFilterWants(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 5))
			_, servers := of(t, 3, tiny(rng), partitions(4))
			for i := range 300 {
				value := kv.RawValue(fmt.Appendf(nil, `{"age":%d,"name":"n%d"}`, i%40, i), "application/json")
				if i%7 == 0 {
					value = kv.Value{Kind: kv.String, Data: []byte("text")}
				}
				_, err := servers[i%3].node.Write(within(t, patience), &kv.Command{
					Op: kv.OpPut, Key: fmt.Appendf(nil, "u%03d", i), Value: value,
				})
				must(t, err)
			}
			all := servers[0].listed(kv.ListQuery{})
			for range 40 {
				q := kv.ListQuery{
					Limit: rng.IntN(2) * rng.IntN(20), KeysOnly: rng.IntN(3) == 0,
					Consistency: kv.Linearizable,
					Filter: []kv.Filter{
						{Where: "value.age > 30"}, {Where: `value.age in 3..5 && key endsWith "3"`}, {Type: "string"}, {Glob: "u*7"},
						{Regex: "^u0.*9$", Type: "object"}, {Where: "value.age > 100"},
						{Where: "not (value.age < 39)"}, {},
					}[rng.IntN(8)],
				}
				if rng.IntN(2) == 0 {
					q.From = fmt.Appendf(nil, "u%03d", rng.IntN(300))
				}
				if rng.IntN(2) == 0 {
					q.To = fmt.Appendf(nil, "u%03d", rng.IntN(300))
				}
				want := whatIsWanted(t, q, all)
				if got := keysOf(servers[rng.IntN(3)].listed(q)); !slices.Equal(got, want) {
					t.Fatalf("%+v: %q, want %q", q, got, want)
				}
			}
		})
	}
}

// whatIsWanted is what a list is to have of all items.
func whatIsWanted(t *testing.T, q kv.ListQuery, all []kv.Item) (keys []string) {
	f, e := match.Compile(q.Filter)
	if e != nil {
		t.Fatal(e)
	}
	for i := range all {
		key := string(all[i].Key)
		if key >= string(q.From) && (len(q.To) == 0 || key < string(q.To)) && (f == nil || f.Match(&all[i], 0)) &&
			(q.Limit == 0 || len(keys) < q.Limit) {
			keys = append(keys, key)
		}
	}
	return keys
}

func TestABadFilterIsRefused(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 1)
	_, err := collect(servers[0].node.List(within(t, patience), kv.ListQuery{Filter: kv.Filter{Where: "value."}}))
	wantKind(t, err, kv.Invalid)
}

// A list that finds nothing tells that it goes on, and ends with its client.
func TestAListThatFindsNothingEndsWithItsClient(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, partitions(2), func(c *cluster) { c.limits.PageLooked = 1 })
	servers[0].fill(strangeKeys(200), func(string) string { return strings.Repeat("x", 10) })
	ctx, cancel := context.WithCancel(within(t, patience))
	steps := make(chan struct{}, 1000)
	_, err := collect(servers[0].node.List(ctx, kv.ListQuery{
		Filter: kv.Filter{Where: `value == "y"`},
		Progress: func() {
			if steps <- struct{}{}; len(steps) == 5 {
				cancel()
			}
		},
	}))
	if err == nil || !errors.Is(ctx.Err(), context.Canceled) || len(steps) > 50 {
		t.Errorf("after %d steps of 200: %v", len(steps), err)
	}
}

// A page is not looked through to its end for nobody.
func TestAFilterEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 1, partitions(1))
	servers[0].fill(strangeKeys(20), func(string) string { return "x" })
	n := servers[0].node
	v, e := n.view(within(t, patience), 0)
	if e != nil {
		t.Fatal(e)
	}
	r := scanRequest{filter: kv.Filter{Where: `value == "y"`}, maxItems: maxPageItems, maxLen: maxPageBytes}
	ctx, cancel := context.WithCancel(t.Context())
	if pg, _, e := n.scanLocal(ctx, v, &r); e != nil || len(pg.items) > 0 {
		t.Errorf("got %d items that do not match, and %v", len(pg.items), e)
	}
	cancel()
	_, _, e = n.scanLocal(ctx, v, &r)
	if e == nil || e.Kind != kv.Unavailable {
		t.Errorf("after the end of the request: %v", e)
	}
}

// Lists with a filter are bounded in number: while their places are taken, one of any node waits, writes and lists
// without a filter do not, and it ends with its client all the same.
func TestFiltersAreBoundedInNumber(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3, partitions(2), func(c *cluster) { c.limits.PageLooked, c.limits.Filtering = 1, 2 })
	servers[0].fill(strangeKeys(50), func(string) string { return "x" })
	for _, s := range servers {
		for range 2 {
			s.node.filtering.begin()
		}
	}
	nothing := kv.ListQuery{Filter: kv.Filter{Where: `value == "y"`}}
	ctx, cancel := context.WithCancel(within(t, patience))
	ended := make(chan error, 20)
	var pages atomic.Int64
	for i := range 20 {
		go func() {
			q := nothing
			q.Progress = func() { pages.Add(1) }
			_, err := collect(servers[i%3].node.List(ctx, q))
			ended <- err
		}()
	}
	for i := range 30 {
		s := servers[i%3]
		_, err := s.node.Write(within(t, patience), put(fmt.Sprint("new", i), "x"))
		must(t, err)
		if got := len(s.listed(kv.ListQuery{Prefix: []byte("new")})); got != i+1 {
			t.Errorf("%d keys while filters wait, want %d", got, i+1)
		}
	}
	if len(ended) > 0 || pages.Load() > 0 {
		t.Errorf("%d pages were made without a place, and %d lists ended", pages.Load(), len(ended))
	}
	cancel()
	for range 20 {
		if err := <-ended; err == nil {
			t.Error("a list ends well for nobody")
		}
	}
	for _, s := range servers {
		for range 2 {
			s.node.filtering.end()
		}
	}
	if got := servers[1].listed(nothing); len(got) > 0 {
		t.Errorf("got %d keys", len(got))
	}
}

// Beside writes, looking rests by how long it looked, and not longer than its request; without them not at all.
func TestFiltersRestBesideWrites(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		looked, left, want time.Duration
		writes             int64
	}{
		"no writes":       {looked: time.Second, left: time.Hour},
		"by what it took": {looked: 20 * time.Millisecond, left: time.Hour, writes: 1, want: 60 * time.Millisecond},
		"not for long":    {looked: time.Minute, left: time.Hour, writes: 1, want: longestRest},
		"the request's end": {
			looked: 20 * time.Millisecond, left: time.Millisecond, writes: 1, want: time.Millisecond,
		},
		"nothing to rest for": {left: time.Hour, writes: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &Node{}
			since, before := time.Now(), n.proposals.Load()
			time.Sleep(c.looked)
			n.proposals.Add(c.writes)
			ctx, cancel := context.WithTimeout(t.Context(), c.left)
			defer cancel()
			begin := time.Now()
			if n.rest(ctx, since, before); time.Since(begin) != c.want {
				t.Errorf("%s: rests %v, want %v", name, time.Since(begin), c.want)
			}
		})
	}
}
