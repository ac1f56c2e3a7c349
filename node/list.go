package node

import (
	"bytes"
	"container/heap"
	"context"
	"iter"
	"sync"

	"pxkv/node/kv"
)

// listWorkers is how many pages are fetched at once when a list begins. It holds one page a partition, however many
// keys there are.
const listWorkers = 8

// List yields the items of the whole cluster in byte order of their keys, merged from all
// partitions. Each page is linearizable for its partition; the list as a whole is not one
// snapshot.
func (n *Node) List(ctx context.Context, q kv.ListQuery) iter.Seq2[kv.Item, error] {
	return func(yield func(kv.Item, error) bool) {
		s := n.o.Machine.State()
		if s == nil {
			yield(kv.Item{}, errNotJoined())
			return
		}
		m, err := n.startMerge(ctx, q, s.Partitions)
		if err != nil {
			yield(kv.Item{}, err)
			return
		}
		for i := 1; len(m) > 0; i++ {
			// Behind the last item that is wanted nothing is fetched: that could fail, too.
			if !yield(m[0].page.items[m[0].next], nil) || i == q.Limit {
				return
			}
			if err := m.advance(ctx); err != nil {
				yield(kv.Item{}, err)
				return
			}
		}
	}
}

// stream is what a list knows of one partition.
type stream struct {
	n    *Node
	req  scanRequest
	page page
	next int
}

func (s *stream) key() []byte { return s.page.items[s.next].Key }

// merge is a heap of streams by their next key.
type merge []*stream

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return bytes.Compare(m[i].key(), m[j].key()) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)        { *m = append(*m, x.(*stream)) }
func (m *merge) Pop() any {
	old := *m
	s := old[len(old)-1]
	*m = old[:len(old)-1]
	return s
}

// startMerge fetches the first page of every partition, some at a time.
func (n *Node) startMerge(ctx context.Context, q kv.ListQuery, partitions int) (merge, error) {
	items := n.o.Limits.PageItems
	if q.Limit > 0 {
		items = min(items, q.Limit)
	}
	streams := make([]*stream, partitions)
	errs := make([]error, partitions)
	var next, wg = make(chan int, partitions), sync.WaitGroup{}
	for p := range partitions {
		streams[p] = &stream{n: n, req: scanRequest{
			partition: kv.PartitionID(p), from: q.From, prefix: q.Prefix, keysOnly: q.KeysOnly,
			stale: q.Consistency == kv.Stale, maxItems: items, maxLen: n.o.Limits.PageBytes,
		}}
		next <- p
	}
	close(next)
	for range min(listWorkers, partitions) {
		wg.Go(func() {
			for p := range next {
				if errs[p] = streams[p].fetch(ctx); errs[p] != nil {
					for range next { // of the others nothing is used
					}
				}
			}
		})
	}
	wg.Wait()
	var m merge
	for p, s := range streams {
		if errs[p] != nil {
			return nil, errs[p]
		}
		if len(s.page.items) > 0 {
			m = append(m, s)
		}
	}
	heap.Init(&m)
	return m, nil
}

// advance moves on from the smallest key, fetching its partition's next page when needed.
func (m *merge) advance(ctx context.Context) error {
	s := (*m)[0]
	if s.next++; s.next == len(s.page.items) {
		if !s.page.more {
			heap.Pop(m)
			return nil
		}
		// The next page begins after the last key: with the smallest key that is larger.
		last := s.page.items[s.next-1].Key
		s.req.from = after(last)
		if err := s.fetch(ctx); err != nil {
			return err
		}
		if len(s.page.items) == 0 {
			heap.Pop(m)
			return nil
		}
	}
	heap.Fix(m, 0)
	return nil
}

// fetch takes the next page in place of the one before, which is held until then: so a list that goes on seldom finds
// its room taken.
func (s *stream) fetch(ctx context.Context) error {
	s.next = 0
	n, p := s.n, s.req.partition
	ctx, cancel := n.bound(ctx)
	defer cancel()
	before := s.page.held
	if s.req.stale {
		if v, ok := n.asIs(p); ok {
			_, e := n.scanTaken(ctx, v, &s.req, true, s.page.take(ctx))
			switch {
			case e == nil:
				kv.AccountOf(ctx).Give(before)
				return nil
			case e.Kind == kv.Overloaded:
				return e
			}
		}
	}
	pg, err := pageMethod.Ask(ctx, n.client, n, p, s.req)
	if err != nil {
		return err
	}
	kv.AccountOf(ctx).Give(before)
	s.page = pg
	return nil
}
