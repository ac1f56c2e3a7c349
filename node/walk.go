package node

import (
	"bytes"
	"container/heap"
	"context"
	"encoding/binary"
	"slices"

	"pxkv/node/kv"
	"pxkv/node/rpc"
	"pxkv/ring"
)

const (
	// A step of a walk visits all keys of a partition, so it returns this share of them at least,
	// within the node's limits.
	walkShare = 8
	// maxWalkCount is the largest count that a walk is asked for.
	maxWalkCount = 10_000
)

// walkMethod asks the leader of a partition for the keys that come next in a walk.
var walkMethod = rpc.Method[*Node, walkRequest, walkStep]{
	Kind: reqWalk, Repeatable: true,
	Encode:       func(r walkRequest, _ int) []byte { return r.encode() },
	Decode:       func(_ *Node, _ kv.NodeID, d kv.Decoder) (walkRequest, error) { return decodeWalk(d) },
	Here:         (*Node).walkHere,
	EncodeAnswer: func(s walkStep) []byte { return s.encode() },
	DecodeAnswer: decodeWalkStep,
}

// Walk returns keys in the order of ring.Position, from a position on: all that its partition has
// up to the returned position, about count of them; there may be none. next is where to go on, 0
// at the end. The order follows from the keys alone, so a walk remembers nothing: whatever is
// written, moved or restarted meanwhile, a key that is there throughout is returned.
func (n *Node) Walk(ctx context.Context, from uint64, count int) (keys [][]byte, next uint64, err error) {
	s := n.o.Machine.State()
	switch {
	case s == nil:
		return nil, 0, errNotJoined()
	case from >= ring.EndPosition:
		return nil, 0, nil
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	p := ring.PartitionOf(ring.SlotOfPosition(from), s.Partitions)
	r := walkRequest{partition: p, from: from, count: min(max(count, 1), maxWalkCount)}
	step, err := walkMethod.Ask(ctx, n.client, n, p, r)
	if err != nil {
		return nil, 0, err
	}
	if step.next == 0 {
		_, last := ring.SlotRange(p, s.Partitions)
		if step.next = ring.FirstPosition(last + 1); step.next >= ring.EndPosition {
			step.next = 0
		}
	}
	return step.keys, step.next, nil
}

// walkStep is a piece of a walk through one partition.
type walkStep struct {
	keys [][]byte
	next uint64 // where to go on in the partition, 0 at its end
}

// walkHere visits the partition and keeps the keys of the lowest positions.
func (n *Node) walkHere(ctx context.Context, r walkRequest) (walkStep, *kv.Error) {
	limit := max(r.count, n.o.Limits.WalkKeys)
	var low lowest
	total, cut := 0, ring.EndPosition // everything at or behind cut was left out
	var at uint64
	wanted := func(key []byte) bool {
		if at = ring.Position(key); at >= r.from {
			total++
		}
		return at >= r.from && at < cut
	}
	e := n.visit(ctx, r.partition, wanted, func(key []byte) {
		if low.Len() == 0 || at < low.min {
			low.min = at
		}
		heap.Push(&low, positioned{at, bytes.Clone(key)})
		low.bytes += len(key)
		for low.Len() > limit || low.bytes > n.o.Limits.WalkBytes && low.Len() > 1 {
			// Keys of one position stay together, or the walk could not go on between them.
			top := low.keys[0].at
			if top == low.min {
				break
			}
			cut = top
			for low.Len() > 0 && low.keys[0].at == top {
				low.bytes -= len(heap.Pop(&low).(positioned).key)
			}
		}
	})
	if e != nil {
		return walkStep{}, e
	}
	slices.SortFunc(low.keys, func(a, b positioned) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	step := walkStep{next: cut}
	want := max(r.count, total/walkShare)
	for i, k := range low.keys {
		if i >= want && k.at != low.keys[i-1].at {
			step.next = k.at
			break
		}
		step.keys = append(step.keys, k.key)
	}
	if step.next == ring.EndPosition {
		step.next = 0
	}
	return step, nil
}

type positioned struct {
	at  uint64
	key []byte
}

// lowest is a heap of the keys of the lowest positions, the highest of them on top.
type lowest struct {
	keys  []positioned
	bytes int
	min   uint64 // the lowest position
}

func (l *lowest) Len() int           { return len(l.keys) }
func (l *lowest) Less(i, j int) bool { return l.keys[i].at > l.keys[j].at }
func (l *lowest) Swap(i, j int)      { l.keys[i], l.keys[j] = l.keys[j], l.keys[i] }
func (l *lowest) Push(x any)         { l.keys = append(l.keys, x.(positioned)) }
func (l *lowest) Pop() any {
	k := l.keys[len(l.keys)-1]
	l.keys = l.keys[:len(l.keys)-1]
	return k
}

// walkRequest asks for a step of a walk.
type walkRequest struct {
	partition kv.PartitionID
	from      uint64
	count     int
}

func (r *walkRequest) encode() []byte {
	b := binary.AppendUvarint(rpc.NewRequest(0), uint64(r.partition))
	return binary.AppendUvarint(binary.AppendUvarint(b, r.from), uint64(r.count))
}

func decodeWalk(d kv.Decoder) (walkRequest, error) {
	partition, from, count := d.Uvarint(), d.Uvarint(), d.Uvarint()
	if d.End() != nil || partition >= ring.MaxPartitions || count == 0 || count > maxWalkCount {
		return walkRequest{}, rpc.ErrMalformed
	}
	return walkRequest{kv.PartitionID(partition), from, int(count)}, nil
}

func (s *walkStep) encode() []byte {
	b := binary.AppendUvarint(rpc.NewAnswer(0), s.next)
	b = binary.AppendUvarint(b, uint64(len(s.keys)))
	for _, key := range s.keys {
		b = kv.AppendBytes(b, key)
	}
	return b
}

func decodeWalkStep(r walkRequest, d kv.Decoder) (step walkStep, ok bool) {
	step.next = d.Uvarint()
	for range d.Count() {
		key := d.Bytes()
		if len(key) == 0 { // no key is empty; what says so would cost many times its size
			return walkStep{}, false
		}
		step.keys = append(step.keys, key)
	}
	return step, d.End() == nil && (step.next == 0 || step.next > r.from)
}
