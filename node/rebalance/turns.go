package rebalance

import (
	"maps"
	"slices"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// turns say which groups take a step now, where not all may at one time: those whose learners are filled, and those
// whose leaderships drift.
type turns struct {
	filling map[kv.PartitionID]int64 // bytes of the states of groups that have a learner which is being filled
	bytes   int64                    // of all of them
	// sizes are those of the groups that were being filled before this tick: an estimate may read the disk, between
	// two turns, so that it is made once and not at each look.
	sizes  map[kv.PartitionID]int64
	toFill queue

	drifting map[kv.PartitionID]drifting
	toDrift  queue
	// window is how many leaderships may be on their way: one more with each that arrives, and one again when one does
	// not. So no more than a few go to a node that cannot take them.
	window int
}

// drifting is a leadership on its way.
type drifting struct {
	to    kv.ReplicaID
	since uint64 // tick
}

// begin lets the looks of a tick count anew who is being filled. A group with a change under way cannot be looked at,
// and keeps its place.
func (t *turns) begin(h *replica.Host, l *Limits) {
	t.sizes = maps.Clone(t.filling)
	for p := range t.filling {
		if v, ok := h.View(p); !ok || !v.Leads || !v.Pending {
			t.filled(p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(t.drifting)) {
		t.moved(h, p, l)
	}
	if len(t.drifting)+len(t.toDrift.list) == 0 {
		t.window = 1
	}
	t.toFill, t.toDrift = queue{}, queue{}
}

// fill gives a group a place among those whose learners are filled; false: it waits for one.
func (t *turns) fill(h *replica.Host, p kv.PartitionID, l *Limits) bool {
	if _, ok := t.filling[p]; ok {
		return true
	}
	if len(t.filling) >= l.Filling {
		// How large a state is costs more to learn than that no place is free.
		if t.bytes+l.LeastFillingBytes > l.FillingBytes || t.bytes+stateBytes(h, p, l) > l.FillingBytes {
			t.toFill.add(p)
			return false
		}
	}
	t.fills(h, p, l)
	return true
}

// fills notes that a learner of the group is being filled, and filled that none is.
func (t *turns) fills(h *replica.Host, p kv.PartitionID, l *Limits) {
	if _, ok := t.filling[p]; ok {
		return
	}
	if t.filling == nil {
		t.filling = map[kv.PartitionID]int64{}
	}
	bytes, known := t.sizes[p]
	if !known {
		bytes = stateBytes(h, p, l)
	}
	t.filling[p] = bytes
	t.bytes += bytes
}

func (t *turns) filled(p kv.PartitionID) {
	t.bytes -= t.filling[p]
	delete(t.filling, p)
}

func stateBytes(h *replica.Host, p kv.PartitionID, l *Limits) int64 {
	return max(h.StateBytes(p), l.LeastFillingBytes)
}

// drift hands the leadership of a group over, if there is a place in the window; else it waits for one.
func (t *turns) drift(h *replica.Host, p kv.PartitionID, to kv.ReplicaID) {
	if len(t.drifting) >= max(t.window, 1) {
		t.toDrift.add(p)
		return
	}
	if h.Transfer(p, to) != nil {
		return // the next look decides anew
	}
	if t.drifting == nil {
		t.drifting = map[kv.PartitionID]drifting{}
	}
	t.drifting[p] = drifting{to, h.Ticks()}
}

// moved looks at what has become of a leadership on its way.
func (t *turns) moved(h *replica.Host, p kv.PartitionID, l *Limits) {
	d, ok := t.drifting[p]
	if !ok {
		return
	}
	v, here := h.View(p)
	leader := kv.ReplicaID(0)
	if here {
		leader = h.Handle(p).Leader().Replica
	}
	underWay := here && (leader == 0 || v.Leads && v.Pending)
	if underWay && h.Ticks()-d.since < l.DriftTicks {
		return
	}
	delete(t.drifting, p)
	if leader == d.to {
		t.window = min(t.window+1, l.Drifting)
	} else {
		t.window = 1
	}
}

// next takes out of the queues as many groups as there may be places for.
func (t *turns) next(l *Limits) []kv.PartitionID {
	places := max(l.Filling-len(t.filling), int((l.FillingBytes-t.bytes)/l.LeastFillingBytes))
	return append(t.toFill.take(places), t.toDrift.take(t.window-len(t.drifting))...)
}

// queue is groups that wait, each once, in order.
type queue struct {
	list []kv.PartitionID
	in   map[kv.PartitionID]bool
}

func (q *queue) add(p kv.PartitionID) {
	if q.in[p] {
		return
	}
	if q.in == nil {
		q.in = map[kv.PartitionID]bool{}
	}
	q.list, q.in[p] = append(q.list, p), true
}

// take takes the first n out.
func (q *queue) take(n int) []kv.PartitionID {
	n = min(max(n, 0), len(q.list))
	out := slices.Clone(q.list[:n])
	q.list = q.list[n:]
	for _, p := range out {
		delete(q.in, p)
	}
	return out
}
