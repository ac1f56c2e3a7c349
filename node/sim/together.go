package sim

import (
	"time"

	"pxkv/node/local"
	"pxkv/node/replica"
)

// pairTries is how often a pair is read key by key before a view is opened, as node does.
const pairTries = 4

// readPair reads the keys of a pair together, with time passing in between: they are of one moment, and
// hold the same. It draws nothing, sends nothing, and is no part of the history.
func (n *node) readPair(key string, gap time.Duration, tries int) {
	h := n.host.Handle(n.w.partition(key))
	if h == nil || h.Applied() == 0 {
		return
	}
	if tries == 0 {
		n.viewPair(h, key)
		return
	}
	v := local.Fresh(h)
	first := n.peek(v, key+"a")
	n.do(gap, func() {
		second := n.peek(v, key+"b")
		switch {
		case h.Gone():
		case !v.Holds():
			n.w.stats.Torn++
			n.readPair(key, gap, tries-1)
		default:
			n.w.check.together(n, h, key, first, second)
		}
	})
}

// viewPair does the same from a state that the store keeps.
func (n *node) viewPair(h *replica.Handle, key string) {
	n.w.stats.Views++
	var both [2]peeked
	err := n.io(func() error {
		state, err := n.db.NewView(h.Partition)
		if err != nil {
			return err
		}
		v := local.Kept(h, state.Applied())
		for i, end := range []string{"a", "b"} {
			k := &local.Key{View: v, Name: []byte(key + end)}
			if e := k.LoadKept(state); e != nil {
				err = e
			}
			both[i] = n.peeked(k)
		}
		if e := state.Close(); e != nil {
			err = e
		}
		return err
	})
	if !n.reap() && err == nil && !h.Gone() {
		n.w.check.together(n, h, key, both[0], both[1])
	}
}

// peeked is what a read found; failed and due ones say nothing.
type peeked struct {
	value uint64
	void  bool
}

// peek reads a key, where this node leads through the cache.
func (n *node) peek(v local.View, key string) peeked {
	k := &local.Key{View: v, Name: []byte(key)}
	if n.host.Handle(v.Partition()) == nil {
		return peeked{void: true}
	}
	if n.host.Handle(v.Partition()).Leader().Self && k.Cached(n.cache) {
		return n.peeked(k)
	}
	err := n.io(func() error { return k.Load(n.db.Store) })
	if n.reap() || err != nil {
		return peeked{void: true}
	}
	return n.peeked(k)
}

func (n *node) peeked(k *local.Key) peeked {
	res, due, ok := k.Result(n.cache, n.now, false)
	if due || !ok {
		return peeked{void: true}
	}
	return peeked{value: numberOf(res.Item.Value.Data)}
}

// together checks that both keys of a pair hold the same.
func (c *checker) together(n *node, h *replica.Handle, key string, first, second peeked) {
	if first.void || second.void {
		return
	}
	c.w.stats.Pairs++
	if first.value != second.value {
		c.w.fail("%s: partition %v: the keys of %s were read together and hold %d and %d", n.name, h.Partition, key,
			first.value, second.value)
	}
}
