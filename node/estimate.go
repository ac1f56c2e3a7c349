package node

import (
	"context"

	"pxkv/node/kv"
)

// enoughKeys is how many keys an estimate looks at before it takes the partitions that it has counted
// for all others. Keys are spread over partitions by a hash, so with so many the sum is a few per cent
// off at most, unless many share a {tag}.
const enoughKeys = 10_000

// EstimateKeys tells about how many keys the cluster has. It counts partition by partition, those led
// here first, until it has seen enough keys, and all of them when there are few.
func (n *Node) EstimateKeys(ctx context.Context) (int64, error) {
	s := n.o.Machine.State()
	if s == nil {
		return 0, errNotJoined()
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	var here, elsewhere []kv.PartitionID
	for i := range s.Partitions {
		p := kv.PartitionID(i)
		if n.o.Loop.Leader(p).Self {
			here = append(here, p)
		} else {
			elsewhere = append(elsewhere, p)
		}
	}
	sum, counted := int64(0), int64(0)
	for _, p := range append(here, elsewhere...) {
		count, err := n.count(ctx, p, allSlots)
		if err != nil {
			return 0, err
		}
		sum += count
		if counted++; sum >= enoughKeys {
			break
		}
	}
	return sum * int64(s.Partitions) / counted, nil
}
