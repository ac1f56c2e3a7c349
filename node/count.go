package node

import (
	"context"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"pxkv/node/kv"
	"pxkv/ring"
)

// allSlots asks for the keys of a whole partition.
const allSlots = -1

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
func (n *Node) count(ctx context.Context, p kv.PartitionID, slot int) (count int64, err error) {
	err = n.try(ctx, p, func(ctx context.Context, to kv.NodeID) *kv.Error {
		var e *kv.Error
		if to == n.o.ID {
			count, e = n.countHere(ctx, p, slot)
		} else {
			count, e = n.forwardCount(ctx, to, p, slot)
		}
		return e
	})
	return count, err
}

func (n *Node) countHere(ctx context.Context, p kv.PartitionID, slot int) (count int64, e *kv.Error) {
	match := func(key []byte) bool { return slot == allSlots || ring.SlotOf(key) == slot }
	e = n.visit(ctx, p, match, func([]byte) { count++ })
	return count, e
}

// visit calls do with all keys of a partition that match, where it is led. Neither may keep a key.
func (n *Node) visit(ctx context.Context, p kv.PartitionID, match func(key []byte) bool, do func(key []byte)) *kv.Error {
	h := n.o.Loop.Handle(p)
	if h == nil {
		return errNotHere(p)
	}
	if !h.HasLease(bootTime()) {
		if e := n.confirm(ctx, p); e != nil {
			return e
		}
	}
	err := n.o.DB.Visit(p, h.Time(), match, do, func() bool { return ctx.Err() == nil })
	switch {
	case ctx.Err() != nil:
		return kv.Errorf(kv.Unavailable, "partition %s: too many keys to look at in time", p)
	case err != nil:
		return kv.Errorf(kv.Internal, "partition %s: look at all keys: %v", p, err)
	case h.Gone():
		return errNotHere(p)
	}
	return nil
}

func (n *Node) forwardCount(ctx context.Context, to kv.NodeID, p kv.PartitionID, slot int) (int64, *kv.Error) {
	b := binary.AppendUvarint([]byte{wireVersion}, uint64(p))
	b, err := n.ask(ctx, to, reqCount, binary.AppendVarint(b, int64(slot)))
	if err != nil {
		return 0, kv.Errorf(kv.Unavailable, "node %s did not answer: %v", to, err)
	}
	d, e := decodeAnswer(b)
	if e != nil {
		return 0, e
	}
	count := d.Varint()
	if d.End() != nil {
		return 0, kv.Errorf(kv.Internal, "malformed answer from node %s", to)
	}
	return count, nil
}

// answerCount serves another node's count. It reads many keys, so it gets a goroutine.
func (n *Node) answerCount(deadline time.Time, request []byte, reply func([]byte, error)) {
	d := kv.NewDecoder(request)
	version, p, slot := d.Byte(), d.Uvarint(), d.Varint()
	if d.End() != nil || version != wireVersion || p > math.MaxUint32 || slot < allSlots || slot >= ring.Slots {
		n.refuse(reply, errWire)
		return
	}
	n.answer(deadline, reply, func(ctx context.Context) {
		count, e := n.countHere(ctx, kv.PartitionID(p), int(slot))
		if e != nil {
			reply(encodeError(e), nil)
			return
		}
		reply(binary.AppendVarint([]byte{answerOK}, count), nil)
	})
}
