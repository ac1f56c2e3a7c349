package rpc

import (
	"maps"
	"sync"

	"pxkv/node/kv"
)

// routes is what other nodes told of who leads partitions, for those without a replica here.
type routes struct {
	mu   sync.RWMutex
	told map[kv.PartitionID]kv.NodeID
}

func (r *routes) get(p kv.PartitionID) kv.NodeID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.told[p]
}

// learn notes who leads a partition; 0 forgets.
func (r *routes) learn(p kv.PartitionID, leader kv.NodeID) {
	if r.get(p) == leader {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil {
		r.told = map[kv.PartitionID]kv.NodeID{}
	}
	r.told[p] = leader
}

// forget forgets a node as the leader of all partitions but those that it leads.
func (r *routes) forget(node kv.NodeID, leads map[kv.PartitionID]bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.told, func(p kv.PartitionID, l kv.NodeID) bool { return l == node && !leads[p] })
}

// route returns the node to ask for a partition: what the replica here knows, when there is one, else what other
// nodes answered, else the placement. Later attempts go through the nodes of the placement in turn, since whoever
// was thought to lead may be gone.
func (c *Client) route(p kv.PartitionID, attempt int) kv.NodeID {
	if l := c.o.Loop.Leader(p); l.Self {
		return c.o.Self
	} else if l.Node != 0 && attempt%4 != 3 {
		return l.Node
	}
	if told := c.routes.get(p); told != 0 && attempt%2 == 0 {
		return told
	}
	nodes := c.o.Machine.Nodes(p)
	if len(nodes) == 0 {
		return 0
	}
	return nodes[attempt%len(nodes)]
}

// Leader returns who leads a partition and could be asked the last time, directly or by way of a third
// node; 0 when nobody is. known leads it as far as this node has heard, perhaps no longer: a follower
// believes in a dead leader until its election timeout, and what others told stays until they tell
// something else.
func (c *Client) Leader(p kv.PartitionID) (id, known kv.NodeID) {
	if known = c.o.Loop.Leader(p).Node; known == 0 {
		known = c.routes.get(p)
	}
	if known == 0 || !c.CanAsk(known) {
		return 0, known
	}
	return known, known
}
