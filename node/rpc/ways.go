package rpc

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"pxkv/node/kv"
)

// ways knows how other nodes can be asked: directly, or by way of a third one. Gossip does not tell:
// two nodes that are cut from each other only, or one of which hears nothing of the other, are both
// alive to everybody.
type ways struct {
	cuts atomic.Int32 // nodes that cannot be asked directly; 0 spares every request a lock
	mu   sync.Mutex
	to   map[kv.NodeID]way
}

// way is how a node could be asked the last time.
type way struct {
	cut bool      // not directly
	via kv.NodeID // a node that led to it, when cut; 0: none
	// silent: nothing comes from it, when cut; it may be this node that is cut off.
	silent bool
}

// get returns the way to a node; known is false before it was first asked.
func (w *ways) get(to kv.NodeID) (_ way, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, known := w.to[to]
	return v, known
}

// around returns the node by whose way another is to be asked, 0 for none, and whether it is cut off.
func (w *ways) around(to kv.NodeID) (via kv.NodeID, cut bool) {
	if w.cuts.Load() == 0 {
		return 0, false
	}
	v, _ := w.get(to)
	return v.via, v.cut
}

func (w *ways) set(to kv.NodeID, v way) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to == nil {
		w.to = map[kv.NodeID]way{}
	}
	switch was := w.to[to].cut; {
	case v.cut && !was:
		w.cuts.Add(1)
	case was && !v.cut:
		w.cuts.Add(-1)
	}
	w.to[to] = v
}

// failed notes that a node could not be asked directly, and keeps what is known of detours.
func (w *ways) failed(to kv.NodeID, silent bool) {
	v, _ := w.get(to)
	w.set(to, way{cut: true, via: v.via, silent: silent})
}

// isSilent reports whether nothing comes from a node, and no other one leads to it.
func (w *ways) isSilent(id kv.NodeID) bool {
	v, _ := w.get(id)
	return v.cut && v.silent && v.via == 0
}

// isSilent reports whether an error says that nothing comes from a node.
func (c *Client) isSilent(err error) bool { return c.o.Silent != nil && c.o.Silent(err) }

// cutOff reports whether nobody can be asked who may lead a partition, and nobody says that this will pass as soon as
// a process has started again: it is this node that is cut off, and others serve whoever asks them.
func (c *Client) cutOff(p kv.PartitionID) bool {
	l := c.o.Loop.Leader(p)
	if c.ways.cuts.Load() == 0 || l.Self || l.Node != 0 && !c.ways.isSilent(l.Node) {
		return false
	}
	others := 0
	for _, id := range c.o.Machine.Nodes(p) {
		if id == c.o.Self {
			continue
		}
		if others++; !c.ways.isSilent(id) {
			return false
		}
	}
	return others > 0
}

// keep forgets the ways to all others.
func (w *ways) keep(members []kv.NodeID) {
	w.mu.Lock()
	var gone []kv.NodeID
	for id := range w.to {
		if !slices.Contains(members, id) {
			gone = append(gone, id)
		}
	}
	w.mu.Unlock()
	for _, id := range gone {
		w.set(id, way{})
		w.mu.Lock()
		delete(w.to, id)
		w.mu.Unlock()
	}
}

// errNoWay is the error of a request that was certainly not processed, since no third node led to
// the one that was asked.
var errNoWay = errors.New("the node cannot be asked directly, and no other node leads to it")

func isNoWay(err error) bool { return errors.Is(err, errNoWay) }

// CanAsk reports whether a node could be asked the last time, directly or by way of a third. Before
// the first time it is what gossip says.
func (c *Client) CanAsk(id kv.NodeID) bool {
	if id == c.o.Self {
		return true
	}
	v, known := c.ways.get(id)
	if !known || readyByGossip {
		return c.o.Sight.Alive(id)
	}
	return !v.cut || v.via != 0
}

// mostThirds is how many nodes one request tries to go by way of.
const mostThirds = 4

// fewThirds lists by way of whom one request may go.
func (c *Client) fewThirds(to, via kv.NodeID) []kv.NodeID {
	thirds := c.thirds(to, via)
	return thirds[:min(len(thirds), mostThirds)]
}

// thirds lists who may lead to a node: the one that did before, and other members that can be asked
// directly.
func (c *Client) thirds(to, via kv.NodeID) []kv.NodeID {
	s := c.o.Machine.State()
	if s == nil || noThirdWay {
		return nil
	}
	var out []kv.NodeID
	if via != 0 {
		out = append(out, via)
	}
	for _, m := range s.Members {
		if m.ID == to || m.ID == via || m.ID == c.o.Self {
			continue
		}
		if v, _ := c.ways.get(m.ID); !v.cut {
			out = append(out, m.ID)
		}
	}
	return out
}
