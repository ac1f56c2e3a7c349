package node

import (
	"context"
	"sync"
	"time"

	"pxkv/node/kv"
)

// routes knows where partitions are led: from the replica here, when there is one, else from
// what other nodes answered, else from the placement.
type routes struct {
	node *Node
	mu   sync.RWMutex
	told map[kv.PartitionID]kv.NodeID // by other nodes, for partitions without a replica here
}

// pause between two attempts, doubling up to the longest.
const (
	firstPause   = 2 * time.Millisecond
	longestPause = 64 * time.Millisecond
)

// to returns the node to ask for a partition. Later attempts go through the nodes of the
// placement in turn, since whoever was thought to lead may be gone.
func (r *routes) to(p kv.PartitionID, attempt int) kv.NodeID {
	n := r.node
	if h := n.o.Loop.Handle(p); h != nil {
		if l := h.Leader(); l.Self {
			return n.o.ID
		} else if l.Node != 0 && attempt%4 != 3 {
			return l.Node
		}
	}
	r.mu.RLock()
	told := r.told[p]
	r.mu.RUnlock()
	if told != 0 && attempt%2 == 0 {
		return told
	}
	nodes := n.o.Machine.Nodes(p)
	if len(nodes) == 0 {
		return 0
	}
	return nodes[attempt%len(nodes)]
}

// learn notes who leads a partition; 0 forgets.
func (r *routes) learn(p kv.PartitionID, leader kv.NodeID) {
	r.mu.RLock()
	same := r.told[p] == leader
	r.mu.RUnlock()
	if same {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = map[kv.PartitionID]kv.NodeID{}
	}
	r.told[p] = leader
}

// leader returns who leads a partition as far as this node knows, 0 when it does not.
func (r *routes) leader(p kv.PartitionID) kv.NodeID {
	if h := r.node.o.Loop.Handle(p); h != nil {
		if l := h.Leader(); l.Node != 0 {
			return l.Node
		}
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.told[p]
}

// attempt is one try at the partition's supposed leader. It returns nil when the request is
// done, or how it failed.
type attempt func(ctx context.Context, to kv.NodeID) *kv.Error

// try asks until the request is done, its outcome is unknown, or time is up: ctx has a
// deadline. Only a request that was certainly not done is ever made again.
func (n *Node) try(ctx context.Context, p kv.PartitionID, do attempt) error {
	deadline, _ := ctx.Deadline()
	pause := firstPause
	var last *kv.Error
	for i := 0; ; i++ {
		to := n.routes.to(p, i)
		if to == 0 {
			last = kv.Errorf(kv.Unavailable, "partition %s: no node is known to hold it", p)
		} else if last = do(ctx, to); last == nil {
			return nil
		}
		switch last.Kind {
		case kv.NotLeader:
			n.routes.learn(p, last.Leader)
		case kv.Unavailable:
		default:
			return last
		}
		if wait := time.Until(deadline); wait <= pause || n.stop.Load() {
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return n.gaveUp(p, last)
		}
		pause = min(2*pause, longestPause)
		n.metrics.retries.Inc()
	}
	return n.gaveUp(p, last)
}

func (n *Node) gaveUp(p kv.PartitionID, last *kv.Error) *kv.Error {
	return kv.Errorf(kv.Unavailable, "partition %s cannot be served now: %s", p, last.Text)
}
