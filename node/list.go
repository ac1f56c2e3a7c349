package node

import (
	"bytes"
	"container/heap"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// A list holds one page a partition, however many keys there are.
const (
	maxPageItems = 256
	maxPageBytes = 64 << 10 // of keys and values; a page has at least one item
	listWorkers  = 8        // pages fetched at once when a list begins
)

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
	items := maxPageItems
	if q.Limit > 0 {
		items = min(items, q.Limit)
	}
	streams := make([]*stream, partitions)
	errs := make([]error, partitions)
	var next, wg = make(chan int, partitions), sync.WaitGroup{}
	for p := range partitions {
		streams[p] = &stream{n: n, req: scanRequest{
			partition: kv.PartitionID(p), from: q.From, prefix: q.Prefix, keysOnly: q.KeysOnly,
			stale: q.Consistency == kv.Stale, maxItems: items, maxLen: maxPageBytes,
		}}
		next <- p
	}
	close(next)
	for range min(listWorkers, partitions) {
		wg.Go(func() {
			for p := range next {
				errs[p] = streams[p].fetch(ctx)
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

func (s *stream) fetch(ctx context.Context) error {
	s.next = 0
	n, p := s.n, s.req.partition
	ctx, cancel := n.bound(ctx)
	defer cancel()
	if s.req.stale {
		if h := n.o.Loop.Handle(p); h != nil && h.Applied() > 0 {
			var e *kv.Error
			if s.page, _, e = n.scanLocal(ctx, h, &s.req); e == nil {
				return nil
			}
		}
	}
	return n.try(ctx, p, func(ctx context.Context, to kv.NodeID) *kv.Error {
		var e *kv.Error
		if to == n.o.ID {
			s.page, e = n.scanHere(ctx, &s.req)
		} else {
			s.page, e = n.forwardScan(ctx, to, &s.req)
		}
		return e
	})
}

// scanHere reads a page as the leader.
func (n *Node) scanHere(ctx context.Context, r *scanRequest) (page, *kv.Error) {
	h := n.o.Loop.Handle(r.partition)
	if h == nil {
		return page{}, errNotHere(r.partition)
	}
	if !h.HasLease(bootTime()) {
		if e := n.confirm(ctx, r.partition); e != nil {
			return page{}, e
		}
	}
	pg, due, e := n.scanLocal(ctx, h, r)
	if !due {
		return pg, e
	}
	if e := n.advance(ctx, r.partition); e != nil {
		return page{}, e
	}
	pg, _, e = n.scanLocal(ctx, h, r)
	return pg, e
}

// scanLocal reads a page of what has not expired. It reports whether an item is due, as readLocal
// does. A page without items is the last.
func (n *Node) scanLocal(ctx context.Context, h *replica.Handle, r *scanRequest) (pg page, due bool, e *kv.Error) {
	from := r.from
	for {
		at := h.Time()
		items, more, err := n.o.DB.Scan(r.partition, from, r.prefix, r.keysOnly, r.maxItems, r.maxLen)
		switch {
		case err != nil:
			return page{}, false, kv.Errorf(kv.Internal, "partition %s: scan: %v", r.partition, err)
		case h.Gone():
			return page{}, false, errNotHere(r.partition)
		}
		pg = page{more: more}
		if more {
			from = after(items[len(items)-1].Key)
		}
		items = slices.DeleteFunc(items, func(it kv.Item) bool {
			life := replica.Alive
			if it.Deadline != 0 {
				life = h.Life(it.Deadline, at, Clock())
			}
			due = due || life == replica.Due
			return life == replica.Expired
		})
		if pg.items = items; len(items) > 0 || !more {
			return pg, due, nil
		}
		if ctx.Err() != nil {
			return page{}, false, kv.Errorf(kv.Unavailable, "partition %s: too many expired keys to list in time", r.partition)
		}
	}
}

// after is the smallest key above a key.
func after(key []byte) []byte { return append(append(make([]byte, 0, len(key)+1), key...), 0) }

func (n *Node) forwardScan(ctx context.Context, to kv.NodeID, r *scanRequest) (page, *kv.Error) {
	b, err := n.ask(ctx, to, reqScan, r.encode())
	if err != nil {
		return page{}, kv.Errorf(kv.Unavailable, "node %s did not answer: %v", to, err)
	}
	d, e := decodeAnswer(b)
	if e != nil {
		return page{}, e
	}
	return decodePage(&d)
}

// answerScan serves another node's page. It reads many keys, so it gets a goroutine.
func (n *Node) answerScan(deadline time.Time, request []byte, reply func([]byte, error)) {
	r, err := decodeScan(request)
	if err != nil {
		n.refuse(reply, err)
		return
	}
	n.answer(deadline, reply, func(ctx context.Context) {
		pg, e := n.scanHere(ctx, &r)
		if e != nil {
			reply(encodeError(e), nil)
			return
		}
		reply(pg.encode(), nil)
	})
}
