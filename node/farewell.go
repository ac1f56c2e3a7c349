package node

import (
	"context"
	"sync"
	"time"

	"pxkv/node/kv"
	"pxkv/node/rpc"
)

// farewellMethod is the last word of a node that keeps everything in memory: it promises nothing any more, and what it
// has promised goes with its process. So a newcomer of its name need not wait until nobody has heard it for a while;
// whether each group has a majority without it is asked all the same (see member.Inquiry). A node can say so only of
// itself: that of another one would be thrown out by it.
var farewellMethod = rpc.Method[*Node, kv.NodeID, struct{}]{
	Kind: reqFarewell, Direct: true,
	Encode: func(kv.NodeID, int) []byte { return rpc.NewRequest(0) },
	Decode: func(_ *Node, from kv.NodeID, d kv.Decoder) (kv.NodeID, error) {
		if len(d.Rest()) != 0 {
			return 0, rpc.ErrMalformed
		}
		return from, nil
	},
	Here: func(n *Node, _ context.Context, from kv.NodeID) (struct{}, *kv.Error) {
		if s := n.o.Machine.State(); s != nil {
			n.departed.add(from, func(id kv.NodeID) bool { _, is := s.Member(id); return is })
			n.log.Info("a node that kept everything in memory has ended", "node", n.o.Names.Of(from))
		}
		return struct{}{}, nil
	},
	EncodeAnswer: func(struct{}) []byte { return rpc.NewAnswer(0) },
	DecodeAnswer: func(_ kv.NodeID, d kv.Decoder) (struct{}, bool) { return struct{}{}, len(d.Rest()) == 0 },
}

// departed are the members that have said farewell to this process. It is in memory only: whoever did not hear it
// waits for silence.
type departed struct {
	mu  sync.Mutex
	ids map[kv.NodeID]bool
}

// add notes one, if it is a member, and forgets those that are none any more: so it holds as many as there are members.
func (d *departed) add(id kv.NodeID, member func(kv.NodeID) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for was := range d.ids {
		if !member(was) {
			delete(d.ids, was)
		}
	}
	if !member(id) {
		return
	}
	if d.ids == nil {
		d.ids = map[kv.NodeID]bool{}
	}
	d.ids[id] = true
}

func (d *departed) has(id kv.NodeID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ids[id]
}

// farewellLimit is how long a node that ends waits for others to have heard its farewell.
const farewellLimit = 500 * time.Millisecond

// Farewell tells all members that this node, whose data was in memory, has ended. The loop has ended before, so that
// nothing which it promises comes after it, and nothing is asked of this node any more. Whoever does not hear it waits
// for silence before it lets a newcomer of this name in.
func (n *Node) Farewell() {
	s := n.o.Machine.State()
	if s == nil {
		return
	}
	heard := make(chan struct{}, len(s.Members))
	asked := 0
	for _, m := range s.Members {
		if m.ID == n.o.ID {
			continue
		}
		asked++
		n.o.Peers.Go(m.ID, farewellMethod.Kind, time.Now().Add(farewellLimit), farewellMethod.Encode(m.ID, 0),
			func([]byte, error) { heard <- struct{}{} })
	}
	limit := time.After(farewellLimit)
	for range asked {
		select {
		case <-heard:
		case <-limit:
			return
		}
	}
}
