package rpc

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"pxkv/node/kv"
)

// What other nodes are asked for is mostly short, and nobody knows before. An answer of any length has a place, of
// which there are few to each node: a link has a bound for answers, and whoever asks for many long ones at a time would
// have them read over there and sent, only to be thrown away here. Who finds none asks for what is not long, and waits
// for a place when it turns out to be. So what is short never waits.
const (
	// mostPlaces is how many answers of any length one node is asked for at a time: fewer of the longest than its
	// link lets wait.
	mostPlaces = 3
	// mostWaiting is how many wait for a place to one node; who comes then is refused.
	mostWaiting = 1024
	// longShare is what part of the longest value is not long.
	longShare = 32
)

// Place is leave for one answer. It goes with the request's Tally, and ends when the answer is there or can come no
// more, whether anybody waits for it or not.
type Place struct {
	// Room is how many bytes of a value the answer may have; 0: any number.
	Room int
	// Longer says that one who was told of a longer value may wait for a place.
	Longer bool
	lane   *lane // nil: nothing is taken
}

// end gives the place to who waits.
func (p *Place) end() {
	if l := p.lane; l != nil {
		p.lane = nil
		l.open.Add(-1)
		if l.waiting.Load() > 0 {
			l.mu.Lock()
			l.admit()
			l.mu.Unlock()
		}
	}
}

// Place returns the place for an answer of a node, which is counted on an account. Whom it is asked for need not read
// and send what would be thrown away. It waits for nothing.
func (c *Client) Place(to kv.NodeID, a *kv.Account) Place {
	room := a.Room()
	switch {
	case room < int64(c.o.ValueBytes):
		return Place{Room: int(max(room, LeastRoom))}
	case room == math.MaxInt64 || placesForAll: // nothing is counted
		return Place{}
	}
	l := c.lanes.of(to)
	if l.waiting.Load() == 0 && l.take(c.placesIn(room)) { // those who wait come first
		return Place{lane: l}
	}
	return Place{Room: max(c.o.ValueBytes/longShare, LeastRoom), Longer: true}
}

// AwaitPlace waits for a place for an answer that is long. Nobody waits for room: where there is none, and no answer is
// under way for which there was, it is refused.
func (c *Client) AwaitPlace(ctx context.Context, to kv.NodeID, a *kv.Account) (Place, *kv.Error) {
	l := c.lanes.of(to)
	w := &waiter{given: make(chan bool, 1), most: func() int { return c.placesIn(a.Room()) }}
	if !l.enqueue(w) {
		return Place{}, kv.ErrOverloaded()
	}
	select {
	case ok := <-w.given:
		if ok {
			return Place{lane: l}, nil
		}
		return Place{}, kv.ErrOverloaded()
	case <-ctx.Done():
	}
	l.leave(w)
	return Place{}, kv.Errorf(kv.Unavailable, "node %s is busy with long values", c.o.Names.Of(to))
}

// placesIn is how many places there are to one node while there is so much room.
func (c *Client) placesIn(room int64) int {
	return int(min(room/int64(max(c.o.ValueBytes, 1)), mostPlaces))
}

// lanes is the places to all nodes.
type lanes struct {
	mu sync.Mutex // held while to is replaced
	to atomic.Pointer[map[kv.NodeID]*lane]
}

func (ls *lanes) of(to kv.NodeID) *lane {
	if all := ls.to.Load(); all != nil && (*all)[to] != nil {
		return (*all)[to]
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	next := map[kv.NodeID]*lane{}
	if all := ls.to.Load(); all != nil {
		maps.Copy(next, *all)
	}
	if next[to] == nil {
		next[to] = &lane{}
	}
	ls.to.Store(&next)
	return next[to]
}

// keep forgets the places to all others. Who has one, or waits, goes on.
func (ls *lanes) keep(members []kv.NodeID) {
	all := ls.to.Load()
	if all == nil || len(*all) <= len(members) {
		return
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	next := maps.Clone(*ls.to.Load())
	maps.DeleteFunc(next, func(id kv.NodeID, _ *lane) bool { return !slices.Contains(members, id) })
	ls.to.Store(&next)
}

// lane is the places to one node. While anybody waits some are taken, so that there is an end that lets one in.
type lane struct {
	open    atomic.Int32 // places that are taken
	waiting atomic.Int32 // the length of queue; 0 spares every request the lock
	mu      sync.Mutex
	queue   []*waiter // who came first is first
}

type waiter struct {
	given chan bool  // has room for the one word: whether there is a place
	most  func() int // places that there are, as seen by who waits
}

// take takes a place where fewer than so many are taken.
func (l *lane) take(most int) bool {
	for {
		n := l.open.Load()
		if int(n) >= most {
			return false
		}
		if l.open.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// enqueue lets one wait, unless too many do.
func (l *lane) enqueue(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= mostWaiting {
		return false
	}
	l.queue = append(l.queue, w)
	l.waiting.Add(1) // before it is looked whether any place is taken: see end
	l.admit()
	return true
}

// admit gives places to who waits, in order. Where none is taken and there is none to give, for want of room, nothing
// would end for which to wait. l.mu is held.
func (l *lane) admit() {
	for len(l.queue) > 0 {
		w := l.queue[0]
		most := w.most()
		given := l.take(most)
		switch {
		case given:
		case l.open.Load() > 0:
			return
		case most > 0:
			continue // one has just ended
		}
		l.queue[0] = nil
		l.queue = l.queue[1:]
		l.waiting.Add(-1)
		w.given <- given
	}
	l.queue = nil
}

// leave takes one out who waits no more, with what it was given.
func (l *lane) leave(w *waiter) {
	l.mu.Lock()
	if i := slices.Index(l.queue, w); i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
		l.waiting.Add(-1)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	if <-w.given {
		p := Place{lane: l}
		p.end()
	}
}
