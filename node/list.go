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
	n        *Node
	req      scanRequest
	page     page
	next     int
	progress func()
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

// startMerge fetches the first page of every partition, some at a time, until one cannot be had: then the others are of
// no use, and not waited for.
func (n *Node) startMerge(ctx context.Context, q kv.ListQuery, partitions int) (merge, error) {
	items := n.o.Limits.PageItems
	if q.Limit > 0 {
		items = min(items, q.Limit)
	}
	streams := make([]*stream, partitions)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var failed sync.Once
	var first error
	var next, wg = make(chan int, partitions), sync.WaitGroup{}
	for p := range partitions {
		streams[p] = &stream{n: n, progress: q.Progress, req: scanRequest{
			partition: kv.PartitionID(p), from: q.From, prefix: q.Prefix, to: q.To, filter: q.Filter,
			keysOnly: q.KeysOnly,
			stale:    q.Consistency == kv.Stale, maxItems: items, maxLen: n.o.Limits.PageBytes,
		}}
		next <- p
	}
	close(next)
	for range min(listWorkers, partitions) {
		wg.Go(func() {
			for p := range next {
				if err := streams[p].fetch(ctx); err != nil {
					failed.Do(func() { first = err })
					stop()
					return
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		return nil, first
	}
	var m merge
	for _, s := range streams {
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
		s.req.from = s.page.from()
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

// Pages of a filter are put together until they are this share of a page, or so many were taken and there is an
// item: each may have few. So the partitions of a list are looked through side by side, when it begins.
const (
	fullShare   = 2
	pagesAtOnce = 16
)

// fetch takes the next items in place of those before, which are held until then: so a list that goes on seldom finds
// its room taken.
func (s *stream) fetch(ctx context.Context) error {
	before := s.page.held
	s.next = 0
	pg, err := s.fetchPage(ctx)
	full := func(pages int) bool {
		return pages >= pagesAtOnce || len(pg.items) >= s.req.maxItems/fullShare || pg.held >= s.req.maxLen/fullShare
	}
	for pages := 1; err == nil && pg.more && s.req.filter != (kv.Filter{}); pages++ {
		if len(pg.items) > 0 && full(pages) {
			break
		}
		if s.progress != nil {
			s.progress()
		}
		s.req.from = pg.from()
		var next page
		if next, err = s.fetchPage(ctx); err != nil {
			break
		}
		pg.items, pg.more, pg.next = append(pg.items, next.items...), next.more, next.next
		pg.held += next.held
	}
	if err != nil {
		return err
	}
	kv.AccountOf(ctx).Give(before)
	s.page = pg
	return nil
}

// fetchPage takes one page.
func (s *stream) fetchPage(ctx context.Context) (pg page, err error) {
	n, p := s.n, s.req.partition
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if s.req.stale {
		if v, ok := n.asIs(p); ok {
			_, e := n.scanTaken(ctx, v, &s.req, true, pg.take(ctx))
			switch {
			case e == nil:
				return pg, nil
			case e.Kind == kv.Overloaded:
				return page{}, e
			}
		}
	}
	return pageMethod.Ask(ctx, n.client, n, p, s.req)
}
