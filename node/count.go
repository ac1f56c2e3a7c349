package node

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"pxkv/node/kv"
	"pxkv/ring"
)

// CountSlot counts the keys of a slot.
func (n *Node) CountSlot(ctx context.Context, slot int) (int64, error) {
	s := n.o.Machine.State()
	if s == nil {
		return 0, errNotJoined()
	}
	return n.count(ctx, countRequest{partition: ring.PartitionOf(slot, s.Partitions), slot: slot})
}

// CountKeys counts the keys of the cluster: of each partition at one moment, but not of all at
// the same.
func (n *Node) CountKeys(ctx context.Context) (int64, error) {
	s := n.o.Machine.State()
	if s == nil {
		return 0, errNotJoined()
	}
	counts, errs := make([]int64, s.Partitions), make([]error, s.Partitions)
	next, wg := make(chan int, s.Partitions), sync.WaitGroup{}
	for p := range s.Partitions {
		next <- p
	}
	close(next)
	for range min(listWorkers, s.Partitions) {
		wg.Go(func() {
			for p := range next {
				counts[p], errs[p] = n.count(ctx, countRequest{partition: kv.PartitionID(p), slot: allSlots})
			}
		})
	}
	wg.Wait()
	var sum int64
	for p := range counts {
		if errs[p] != nil {
			return 0, errs[p]
		}
		sum += counts[p]
	}
	return sum, nil
}

func (n *Node) count(ctx context.Context, r countRequest) (sum int64, err error) {
	ctx, cancel := n.bound(ctx)
	defer cancel()
	err = n.try(ctx, r.partition, func(ctx context.Context, to kv.NodeID) *kv.Error {
		var e *kv.Error
		if to == n.o.ID {
			sum, e = n.countHere(ctx, &r)
		} else {
			sum, e = n.forwardCount(ctx, to, &r)
		}
		return e
	})
	return sum, err
}

func (n *Node) countHere(ctx context.Context, r *countRequest) (sum int64, e *kv.Error) {
	e = n.visit(ctx, r.partition, func(key []byte) {
		if r.slot == allSlots || ring.SlotOf(key) == r.slot {
			sum++
		}
	})
	return sum, e
}

// allSlots stands for the slot when all keys of a partition are counted.
const allSlots = ring.Slots

// countRequest asks how many keys of a slot, or of all, a partition has.
type countRequest struct {
	partition kv.PartitionID
	slot      int
}

func (r *countRequest) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint([]byte{wireVersion}, uint64(r.partition)), uint64(r.slot))
}

func decodeCount(b []byte) (countRequest, error) {
	d := kv.NewDecoder(b)
	if d.Byte() != wireVersion {
		return countRequest{}, errWire
	}
	partition, slot := d.Uvarint(), d.Uvarint()
	if d.End() != nil || partition >= ring.MaxPartitions || slot > allSlots {
		return countRequest{}, errWire
	}
	return countRequest{kv.PartitionID(partition), int(slot)}, nil
}

func (n *Node) forwardCount(ctx context.Context, to kv.NodeID, r *countRequest) (int64, *kv.Error) {
	d, e := n.askRead(ctx, to, reqCount, r.encode())
	if e != nil {
		return 0, e
	}
	sum := d.Uvarint()
	if d.End() != nil || int64(sum) < 0 {
		return 0, kv.Errorf(kv.Internal, "malformed count from node %s", to)
	}
	return int64(sum), nil
}

// answerCount serves another node's count.
func (n *Node) answerCount(deadline time.Time, request []byte, reply func([]byte, error)) {
	r, err := decodeCount(request)
	if err != nil {
		n.refuse(reply, err)
		return
	}
	n.answer(deadline, reply, func(ctx context.Context) {
		sum, e := n.countHere(ctx, &r)
		if e != nil {
			reply(encodeError(e), nil)
			return
		}
		reply(binary.AppendUvarint([]byte{answerOK}, uint64(sum)), nil)
	})
}
