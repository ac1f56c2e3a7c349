package node

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"pxkv/node/kv"
)

// collect reads a list to its end.
func collect(list iter.Seq2[kv.Item, error]) (items []kv.Item, err error) {
	for it, e := range list {
		if err != nil {
			return items, fmt.Errorf("the list goes on after %w", err)
		}
		if err = e; e == nil {
			items = append(items, it)
		}
	}
	return items, err
}

// listed reads a list that must succeed.
func (s *server) listed(q kv.ListQuery) []kv.Item {
	s.c.t.Helper()
	items, err := collect(s.node.List(within(s.c.t, patience), q))
	if err != nil {
		s.c.t.Fatalf("list %+v through %s: %v", q, s.name, err)
	}
	return items
}

func keysOf(items []kv.Item) (keys []string) {
	for _, it := range items {
		keys = append(keys, string(it.Key))
	}
	return keys
}

// fill writes keys with their own text as value, many at a time.
func (s *server) fill(keys []string, value func(key string) string) {
	s.c.t.Helper()
	errs := make(chan error, len(keys))
	slots := make(chan struct{}, 32)
	for _, key := range keys {
		slots <- struct{}{}
		go func() {
			_, err := s.node.Write(within(s.c.t, patience), put(key, value(key)))
			errs <- err
			<-slots
		}()
	}
	for range keys {
		must(s.c.t, <-errs)
	}
}

func itself(key string) string { return key }

// strangeKeys are byte strings that share prefixes, end in 0 and 255, and lie in all partitions.
func strangeKeys(n int) []string {
	rng := rand.New(rand.NewPCG(7, 7))
	alphabet := []byte{0, 1, 'a', 'b', '{', '}', 0x7f, 0xff}
	set := map[string]bool{}
	for len(set) < n {
		key := make([]byte, 1+rng.IntN(6))
		for i := range key {
			key[i] = alphabet[rng.IntN(len(alphabet))]
		}
		set[string(key)] = true
	}
	keys := make([]string, 0, n)
	for key := range set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func TestListsAreInByteOrderOverAllPartitions(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 4)
	keys := strangeKeys(600)
	servers[0].fill(keys, itself)
	queries := []kv.ListQuery{
		{}, {KeysOnly: true}, {Limit: 1}, {Limit: 100}, {Limit: 600}, {Limit: 601},
		{Prefix: []byte("a")}, {Prefix: []byte{0xff}}, {Prefix: []byte{0xff, 0xff}}, {Prefix: []byte("zz")},
		{From: []byte("b")}, {From: []byte{0}}, {From: []byte{
			0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		}}, {From: []byte(keys[300])},
		{Prefix: []byte("a"), From: []byte("ab"), Limit: 7}, {Prefix: []byte("a"), From: []byte("b")},
		{Prefix: []byte("b"), From: []byte("a")},
		{Prefix: []byte("{"), KeysOnly: true, Limit: 3},
	}
	for _, q := range queries {
		var want []string
		for _, key := range keys {
			if strings.HasPrefix(key, string(q.Prefix)) && key >= string(q.From) &&
				(q.Limit == 0 || len(want) < q.Limit) {
				want = append(want, key)
			}
		}
		for _, s := range servers {
			got := s.listed(q)
			if !slices.Equal(keysOf(got), want) {
				t.Fatalf("%+v through %s: %d keys, want %d:\n%q\n%q", q, s.name, len(got), len(want), keysOf(got), want)
			}
			for _, it := range got {
				if q.KeysOnly != (len(it.Value.Data) == 0) || !q.KeysOnly && !bytes.Equal(it.Value.Data, it.Key) ||
					it.Version == 0 || it.Modified == 0 || it.Value.Kind != kv.String {
					t.Fatalf("%+v through %s: item %+v", q, s.name, it)
				}
			}
		}
	}
}

// apart is a cluster of two nodes in which each partition is on one of them: what one lists
// of the other's partitions is forwarded, page by page, and can be counted.
func apart(t *testing.T) (c *cluster, lister, holder *server) {
	c, servers := of(t, 2, replicas(1), partitions(4))
	return c, servers[0], servers[1]
}

// tag returns a hash tag whose partition a node leads.
func tag(t testing.TB, s *server) string {
	t.Helper()
	for i := range 1000 {
		if tag := fmt.Sprintf("{%d}", i); s.node.Owner([]byte(tag)).Leader == s.name {
			return tag
		}
	}
	t.Fatalf("%s leads nothing", s.name)
	return ""
}

func numbered(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s%06d", prefix, i)
	}
	return keys
}

func (c *cluster) remotePartitions(s *server) (n int) {
	for _, p := range s.node.Partitions() {
		if p.Leader != s.name {
			n++
		}
	}
	return n
}

// pages counts the pages that are asked for from now on, and shows each to a check. One that a busy node
// was asked for twice is one.
func (c *cluster) pages(check func(page []byte)) (fetched func() int) {
	var mu sync.Mutex
	asked := map[string]bool{}
	c.net.setJudge(func(r request) fate {
		if r.kind == reqScan {
			check(r.payload)
			mu.Lock()
			defer mu.Unlock()
			asked[string(r.payload)] = true
		}
		return deliver
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(asked)
	}
}

func TestAListFetchesPageByPage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		keys, valueBytes int
		q                kv.ListQuery
		items, pages     int // of the one partition with keys, as far as the list reads it
	}{
		"256 items fill a page": {keys: 3*maxPageItems + 1, items: 3*maxPageItems + 1, pages: 4},
		"exactly one page":      {keys: maxPageItems, items: maxPageItems, pages: 1},
		"64 KiB fill a page":    {keys: 40, valueBytes: 8 << 10, items: 40, pages: 5},
		"keys only: values do not count": {keys: 40, valueBytes: 8 << 10, q: kv.ListQuery{KeysOnly: true}, items: 40,
			pages: 1},
		"a value larger than a page":    {keys: 5, valueBytes: 1 << 20, items: 5, pages: 5},
		"a limit within the first page": {keys: 2 * maxPageItems, q: kv.ListQuery{Limit: 10}, items: 10, pages: 1},
		"a limit at the end of a page": {keys: 2 * maxPageItems, q: kv.ListQuery{Limit: maxPageItems},
			items: maxPageItems, pages: 1},
		"a limit beyond the first page": {keys: 2*maxPageItems + 1, q: kv.ListQuery{Limit: maxPageItems + 1},
			items: maxPageItems + 1, pages: 2},
		"a limit of large values": {keys: 5, valueBytes: 1 << 20, q: kv.ListQuery{Limit: 2}, items: 2,
			pages: 2},
		"a limit of as many as there are": {keys: 20, q: kv.ListQuery{Limit: 20}, items: 20, pages: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, lister, holder := apart(t)
			keys := numbered(tag(t, holder), test.keys)
			holder.fill(keys, func(key string) string { return key + strings.Repeat("x", test.valueBytes) })
			fetched := c.pages(func(page []byte) {
				if scan, err := decodeScan(content(page)); err != nil ||
					test.q.Limit > 0 && scan.maxItems > test.q.Limit {
					t.Errorf("%d items of a page are asked for, and the limit is %d (%v)", scan.maxItems, test.q.Limit,
						err)
				}
			})
			got := lister.listed(test.q)
			if !slices.Equal(keysOf(got), keys[:test.items]) {
				t.Errorf("%d keys, want %d", len(got), test.items)
			}
			// Of each other partition of the holder one page is fetched, which is empty.
			if pages, want := fetched(), c.remotePartitions(lister)-1+test.pages; pages != want {
				t.Errorf("%d pages were fetched, want %d", pages, want)
			}
		})
	}
}

// The key that follows the last of a page may be that one and a zero byte.
func TestPagesMeetWithoutAGap(t *testing.T) {
	t.Parallel()
	_, lister, holder := apart(t)
	keys := numbered(tag(t, holder), maxPageItems)
	last := keys[maxPageItems-1]
	keys = append(keys, last+"\x00", last+"\x00\x00", last+"\x01")
	holder.fill(keys, itself)
	for _, s := range []*server{lister, holder} {
		if got := keysOf(s.listed(kv.ListQuery{})); !slices.Equal(got, keys) {
			t.Errorf("%s lists %d keys, want %d", s.name, len(got), len(keys))
		}
	}
}

func TestAListThatIsBrokenOffFetchesNoMore(t *testing.T) {
	t.Parallel()
	c, lister, holder := apart(t)
	holder.fill(numbered(tag(t, holder), 5*maxPageItems), itself)
	first := c.remotePartitions(lister) // pages: one a partition, before the first item
	fetched := c.pages(func([]byte) {})
	seen := 0
	for _, err := range lister.node.List(within(t, patience), kv.ListQuery{}) {
		must(t, err)
		if seen++; seen == 1 && fetched() != first {
			t.Errorf("%d pages before the first item, want %d", fetched(), first)
		}
		if seen == maxPageItems+10 {
			break
		}
	}
	if fetched() != first+1 {
		t.Errorf("%d pages for %d items, want %d", fetched(), seen, first+1)
	}
}

func TestAListGoesOnWhenLeadersChange(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 4)
	var keys []string
	for i := range c.partitions {
		keys = append(keys, numbered(fmt.Sprintf("{%d}", i), 2*maxPageItems)...)
	}
	slices.Sort(keys)
	servers[0].fill(keys, itself)
	for _, s := range []*server{servers[0], servers[3]} {
		var got []string
		for it, err := range s.node.List(within(t, patience), kv.ListQuery{}) {
			must(t, err)
			got = append(got, string(it.Key))
			switch len(got) {
			case 100:
				c.net.isolate(servers[1])
			case len(keys) / 2:
				c.net.heal()
			}
		}
		if !slices.Equal(got, keys) {
			t.Errorf("through %s: %d keys, want %d", s.name, len(got), len(keys))
		}
		c.settled(4)
	}
}

func TestAListThatCannotGoOnSaysSo(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	servers[0].fill(numbered("{x}", 3*maxPageItems), itself)
	lister := servers[0]
	if lister.node.Owner([]byte("{x}")).Leader == lister.name {
		lister = servers[1]
	}
	seen := 0
	var last error
	eventually(t, "it has caught up", func() error {
		stale := kv.ListQuery{Consistency: kv.Stale, Prefix: []byte("{x}"), KeysOnly: true}
		if got := len(lister.listed(stale)); got != 3*maxPageItems {
			return fmt.Errorf("%d keys in a stale list", got)
		}
		return nil
	})
	for _, err := range lister.node.List(within(t, 200*c.tick), kv.ListQuery{Prefix: []byte("{x}")}) {
		if last != nil {
			t.Fatalf("the list goes on after %v", last)
		}
		if last = err; err == nil {
			if seen++; seen == 10 {
				c.net.isolate(lister)
			}
		}
	}
	wantKind(t, last, kv.Unavailable)
	if seen < 10 || seen > maxPageItems {
		t.Errorf("%d items before the error", seen)
	}
	c.net.heal()
	c.settled(3)
	// A stale list is content with what is here, which is all once the node has caught up.
	c.net.isolate(lister)
	stale := kv.ListQuery{Consistency: kv.Stale, Prefix: []byte("{x}"), KeysOnly: true}
	if got := len(lister.listed(stale)); got != 3*maxPageItems {
		t.Errorf("%d keys in a stale list, want %d", got, 3*maxPageItems)
	}
	_, err := collect(lister.node.List(within(t, 30*c.tick), kv.ListQuery{}))
	wantKind(t, err, kv.Unavailable)
}

// An error after the last item that was asked for would spoil an answer that is complete.
func TestAListEndsAtItsLimitWhateverFollows(t *testing.T) {
	t.Parallel()
	c, lister, holder := apart(t)
	keys := numbered(tag(t, holder), 20)
	holder.fill(keys, itself)
	seen := 0
	// Whoever looked further would do so until the time is over.
	for _, err := range lister.node.List(within(t, patience/10), kv.ListQuery{Limit: 10}) {
		must(t, err)
		if seen++; seen == 10 {
			c.net.isolate(holder)
		}
	}
	if seen != 10 {
		t.Errorf("%d items", seen)
	}
}
