package sim

import (
	"errors"
	"time"

	"pxkv/node/cache"
	"pxkv/node/kv"
	"pxkv/node/replica"
)

// A turn meets a broken invariant: the process ends, and everybody who waits is told so, once.

var errBroken = errors.New("broken invariant, by the schedule")

// fragile is a cache that panics when its node is to break while effects are made readable.
type fragile struct {
	*cache.Cache
	n *node
}

// Begin implements replica.Cache.
func (f fragile) Begin(p kv.PartitionID, key []byte) {
	f.n.breaks(inBegin)
	f.Cache.Begin(p, key)
}

// End implements replica.Cache.
func (f fragile) End(p kv.PartitionID, key []byte, now *kv.Item) {
	f.n.breaks(inEnd)
	f.Cache.End(p, key, now)
}

// breakpoint is where a turn panics next; 0: nowhere.
type breakpoint int

const (
	inOrder breakpoint = iota + 1
	inBegin
	inEnd
	inAnswer
)

// breakSome lets a node panic in its next turn, or as soon as it comes by the place.
func (w *World) breakSome(n *node) {
	if !n.up || !n.killable() || n.breakAt != 0 {
		return
	}
	n.breakAt = inOrder + breakpoint(w.rng.IntN(4))
	if n.breakAt == inOrder {
		n.in.Orders = append(n.in.Orders, func(*replica.Host) { n.breaks(inOrder) })
		n.schedule()
	}
}

func (n *node) breaks(here breakpoint) {
	if n.breakAt == here {
		n.breakAt, n.broken = 0, true
		panic(errBroken)
	}
}

// endBroken ends the process as the loop and cmd/pxkv do.
func (n *node) endBroken() {
	w := n.w
	w.stats.Panics++
	n.host.Shutdown()
	if len(n.asked) != 0 {
		w.fail("%s: %d requests that it had taken were never answered when a turn panicked", n.name, len(n.asked))
	}
	n.crash()
	n.restart(w.between(10*time.Millisecond, time.Second))
}
