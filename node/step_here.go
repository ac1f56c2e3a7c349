package node

import (
	"context"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/replica"
	"pxkv/node/rpc"
)

// carryOut does steps on this node, with one wakeup of the loop for all reads that need one and
// another for all writes.
func (n *Node) carryOut(ctx context.Context, steps []*step) {
	n.carryOutReads(ctx, steps)
	if ctx.Err() != nil {
		for _, s := range steps {
			if s.err == nil && s.unit != nil {
				s.err = errTooLate(s.partition)
			}
		}
		return
	}
	steps = n.proposable(steps)
	if len(steps) == 0 {
		return
	}
	ops, futures := make([]replica.Op, len(steps)), make([]*rpc.Future[entry.Reply], len(steps))
	for i, s := range steps {
		futures[i] = n.proposed.Get()
		ops[i] = s.proposal(futures[i].Put)
	}
	n.propose(ops...)
	for i, s := range steps {
		if r, ok := n.proposed.Wait(ctx, futures[i]); ok {
			s.replied(r, n.o.Name)
		}
	}
}

// proposable returns those of the steps whose reads are done and whose units may be proposed. The outcome of these
// is unknown from here on, until they are replied.
func (n *Node) proposable(steps []*step) (proposed []*step) {
	for _, s := range steps {
		switch {
		case s.err != nil || s.unit == nil || len(s.read) < len(s.keys):
		case !n.takeRoom(s.growth):
			s.err = n.errFull()
		default:
			s.err = kv.ErrUnknown()
			proposed = append(proposed, s)
		}
	}
	return proposed
}

// carryOutReads does the reads of the steps.
func (n *Node) carryOutReads(ctx context.Context, steps []*step) {
	var ops []replica.ReadOp
	rounds := make([]*rpc.Future[*kv.Error], len(steps)) // nil: none is needed
	handles := make([]*replica.Handle, len(steps))       // of those that are shown to be fresh, which alone are read
	for i, s := range steps {
		h := n.o.Loop.Handle(s.partition)
		handles[i] = h
		switch {
		case h == nil:
			s.err = errNotHere(s.partition)
		case len(s.keys) == 0:
		default:
			if _, leased := local.Leased(h, n.o.Boot()); leased {
				continue
			}
			rounds[i] = n.rounds.Get()
			ops = append(ops, replica.ReadOp{Partition: s.partition, Reply: rounds[i].Put})
		}
	}
	if len(ops) > 0 {
		n.o.Loop.Read(ops...)
	}
	for i, f := range rounds {
		if f == nil {
			continue
		}
		if e, ok := n.rounds.Wait(ctx, f); ok {
			steps[i].err = e
		} else {
			steps[i].err = errTooLate(steps[i].partition)
		}
	}
	bytes := 0
	for i, s := range steps {
		if s.err == nil {
			bytes = n.readKeys(ctx, s, handles[i], bytes)
		}
	}
}

// readKeys reads the keys of a step whose partition is led here, at one moment, until all steps
// together have read enough. It returns how much that is.
func (n *Node) readKeys(ctx context.Context, s *step, h *replica.Handle, bytes int) int {
	room := n.o.Limits.ReadBytes - bytes
	read, due, e := n.readTogether(ctx, h, s.keys, room)
	if due && e == nil {
		release(ctx, read)
		read = nil
		if e = n.advance(ctx, s.partition); e == nil {
			read, _, e = n.readTogether(ctx, h, s.keys, room) // see readDue
		}
	}
	if e != nil {
		release(ctx, read)
		s.err = e
		return bytes
	}
	for i := range read {
		bytes += len(read[i].Item.Value.Data)
	}
	s.read = read
	return bytes
}
