package salvage

import (
	"bytes"
	"container/heap"
	"fmt"

	"pxkv/node/kv"
	"pxkv/node/match"
	"pxkv/persist/data"
)

// Query says which pairs are wanted. Zero is all of them.
type Query struct {
	Prefix, From, To []byte // From is the first key, To is above the last one; empty is no bound
	Filter           kv.Filter
}

// pageKeys is how many keys are read at a time of each partition.
const pageKeys = 256

// Pairs calls f with each pair that is wanted, in the order of the keys. What has expired by the time of its group is
// left out. The item is f's until it returns. An error of f ends it.
func (s *Salvage) Pairs(q Query, f func(*kv.Item) error) error {
	filter, wrong := match.Compile(q.Filter)
	if wrong != nil {
		return wrong
	}
	var next cursors
	for _, p := range s.partitions {
		if p.from == nil {
			continue
		}
		c := &cursor{of: p, query: data.Query{Prefix: q.Prefix, From: q.From, To: q.To, KeysOnly: true,
			MaxItems: pageKeys}}
		if more, err := c.advance(); err != nil {
			return err
		} else if more {
			next = append(next, c)
		}
	}
	heap.Init(&next)
	for len(next) > 0 {
		c := next[0]
		it, err := c.item()
		if err != nil {
			return err
		}
		now := c.of.from.applied.TimeMS
		if it != nil && !kv.Expired(it.Deadline, now) && (filter == nil || filter.Match(it, now)) {
			if err := f(it); err != nil {
				return err
			}
		}
		more, err := c.advance()
		if err != nil {
			return err
		}
		if more {
			heap.Fix(&next, 0)
		} else {
			heap.Pop(&next)
		}
	}
	return nil
}

// cursor is where one partition is read. It holds keys, and no values: those of all partitions may be large.
type cursor struct {
	of    *partition
	query data.Query
	keys  []kv.Item // from the next one on
	begun bool
	ended bool // nothing follows behind keys
}

// advance goes to the next key, and reports whether there is one.
func (c *cursor) advance() (bool, error) {
	if c.begun && len(c.keys) > 0 {
		c.keys = c.keys[1:]
	}
	c.begun = true
	for len(c.keys) == 0 && !c.ended {
		keys, next, err := c.of.from.dir.db.Scan(c.of.id, c.query)
		if err != nil {
			return false, err
		}
		c.keys, c.query.From, c.ended = keys, next, next == nil
	}
	return len(c.keys) > 0, nil
}

func (c *cursor) item() (*kv.Item, error) {
	key := c.keys[0].Key
	rec, found, err := c.of.from.dir.db.Get(c.of.id, key)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("partition %s: the key %q is gone while it is read", c.of.id, key)
	}
	it := rec.Item()
	it.Key = key
	return &it, nil
}

// cursors are a heap by the next key.
type cursors []*cursor

// Len implements heap.Interface.
func (c cursors) Len() int { return len(c) }

// Less implements heap.Interface.
func (c cursors) Less(i, j int) bool { return bytes.Compare(c[i].keys[0].Key, c[j].keys[0].Key) < 0 }

// Swap implements heap.Interface.
func (c cursors) Swap(i, j int) { c[i], c[j] = c[j], c[i] }

// Push implements heap.Interface.
func (c *cursors) Push(x any) { *c = append(*c, x.(*cursor)) }

// Pop implements heap.Interface.
func (c *cursors) Pop() any {
	last := len(*c) - 1
	x := (*c)[last]
	*c = (*c)[:last]
	return x
}
