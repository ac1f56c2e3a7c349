package rebalance

import (
	"pxkv/node/kv"
	"pxkv/ring"
)

// Plan returns the placement that the ring gives these members, in any order: per partition
// the nodes in ring order, for meta.Place. It depends on its arguments only, not on where
// replicas are now: the ring itself keeps the moves few.
func Plan(members []kv.NodeID, partitions, replicas int) (rows [][]kv.NodeID) {
	return ring.Place(members, partitions, replicas)
}
