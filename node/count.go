package node

import (
	"context"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"

	"pxkv/node/kv"
	"pxkv/node/rpc"
	"pxkv/ring"
)

// allSlots asks for the keys of a whole partition.
const allSlots = -1

// countMethod asks the leader of a partition how many keys there are.
var countMethod = rpc.Method[*Node, countRequest, int64]{
	Kind: reqCount, Repeatable: true,
	Encode:       func(r countRequest, _ int) []byte { return r.encode() },
	Decode:       func(_ *Node, _ kv.NodeID, d kv.Decoder) (countRequest, error) { return decodeCount(d) },
	Here:         (*Node).countHere,
	EncodeAnswer: func(count int64) []byte { return binary.AppendVarint(rpc.NewAnswer(0), count) },
	DecodeAnswer: func(_ countRequest, d kv.Decoder) (int64, bool) {
		count := d.Varint()
		return count, d.End() == nil
	},
}

// countRequest asks for the keys of a partition, or of one of its slots.
type countRequest struct {
	partition kv.PartitionID
	slot      int // allSlots: of the whole partition
}

func (r *countRequest) encode() []byte {
	b := binary.AppendUvarint(rpc.NewRequest(0), uint64(r.partition))
	return binary.AppendVarint(b, int64(r.slot))
}

func decodeCount(d kv.Decoder) (countRequest, error) {
	p, slot := d.Uvarint(), d.Varint()
	if d.End() != nil || p > math.MaxUint32 || slot < allSlots || slot >= ring.Slots {
		return countRequest{}, rpc.ErrMalformed
	}
	return countRequest{kv.PartitionID(p), int(slot)}, nil
}

// CountKeys counts the keys of the whole cluster. It looks at each of them: no replica keeps count,
// which would cost every put a look at what it replaces.
func (n *Node) CountKeys(ctx context.Context) (int64, error) {
	s := n.o.Machine.State()
	if s == nil {
		return 0, errNotJoined()
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	var sum atomic.Int64
	errs := make([]error, s.Partitions)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(listWorkers, s.Partitions) {
		wg.Go(func() {
			for p := int(next.Add(1)) - 1; p < s.Partitions; p = int(next.Add(1)) - 1 {
				var count int64
				count, errs[p] = n.count(ctx, kv.PartitionID(p), allSlots)
				sum.Add(count)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return 0, err
		}
	}
	return sum.Load(), nil
}

// CountKeysInSlot counts the keys of a slot, 0 to ring.Slots-1. It looks at all of its partition.
func (n *Node) CountKeysInSlot(ctx context.Context, slot int) (int64, error) {
	s := n.o.Machine.State()
	if s == nil {
		return 0, errNotJoined()
	}
	if slot < 0 || slot >= ring.Slots {
		return 0, kv.Errorf(kv.Invalid, "slot %d is not within 0 to %d", slot, ring.Slots-1)
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	return n.count(ctx, ring.PartitionOf(slot, s.Partitions), slot)
}

// count counts the keys of a partition, or of one of its slots, where it is led.
func (n *Node) count(ctx context.Context, p kv.PartitionID, slot int) (int64, error) {
	return countMethod.Ask(ctx, n.client, n, p, countRequest{p, slot})
}

func (n *Node) countHere(ctx context.Context, r countRequest) (count int64, e *kv.Error) {
	match := func(key []byte) bool { return r.slot == allSlots || ring.SlotOf(key) == r.slot }
	e = n.visit(ctx, r.partition, match, func([]byte) { count++ })
	return count, e
}
