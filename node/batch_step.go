package node

import (
	"context"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// step is work for the leader of one partition: reads, and then at most one log entry.
type step struct {
	partition kv.PartitionID
	keys      [][]byte // to read
	unit      []byte   // an encoded kv.Command or kv.Transaction, nil for none
	commands  int      // in unit
	share     *share   // of the batch that asks

	// What became of it. read may be shorter than keys, when their values are long; then the unit
	// was not carried out, and err is nil.
	read   []kv.ReadResult
	result kv.TransactionResult
	err    *kv.Error
}

// maxStepBytes is about how many bytes of values are read for one request of another node.
const maxStepBytes = 8 << 20

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
	type reply struct {
		s *step
		r replica.Reply
	}
	done := make(chan reply, len(steps))
	ops := n.proposals(steps, func(s *step, r replica.Reply) { done <- reply{s, r} })
	if len(ops) > 0 {
		n.o.Loop.Write(ops...)
	}
	for range ops {
		select {
		case a := <-done:
			a.s.replied(a.r, n.o.Name)
		case <-ctx.Done():
			return
		}
	}
}

// proposals makes ops of the units of steps whose reads are done. Until replied is called, the
// outcome of their steps is unknown.
func (n *Node) proposals(steps []*step, replied func(*step, replica.Reply)) (ops []replica.Op) {
	for _, s := range steps {
		switch {
		case s.err != nil || s.unit == nil || len(s.read) < len(s.keys):
		case n.full.Load():
			s.err = errFull()
		default:
			s.err = kv.ErrUnknown()
			ops = append(ops, replica.Op{Partition: s.partition, Command: s.unit, Reply: func(r replica.Reply) { replied(s, r) }})
		}
	}
	return ops
}

func (s *step) replied(r replica.Reply, node string) {
	if s.err = r.Err; r.Err != nil {
		return
	}
	if r.Transaction != nil {
		s.result = *r.Transaction
	} else {
		s.result = kv.TransactionResult{Results: []kv.Result{r.Result}, Receipt: r.Result.Receipt}
	}
	s.result.Receipt.Node = node
}

// carryOutReads does the reads of the steps.
func (n *Node) carryOutReads(ctx context.Context, steps []*step) {
	type reply struct {
		s *step
		e *kv.Error
	}
	var ops []replica.ReadOp
	done := make(chan reply, len(steps))
	for _, s := range steps {
		h := n.o.Loop.Handle(s.partition)
		switch {
		case h == nil:
			s.err = errNotHere(s.partition)
		case len(s.keys) > 0 && !h.HasLease(bootTime()):
			s.err = errTooLate(s.partition) // until the reply
			ops = append(ops, replica.ReadOp{Partition: s.partition, Reply: func(e *kv.Error) { done <- reply{s, e} }})
		}
	}
	if len(ops) > 0 {
		n.o.Loop.Read(ops...)
	}
	for range ops {
		select {
		case a := <-done:
			a.s.err = a.e
		case <-ctx.Done(): // and readKeys finds that out
		}
	}
	bytes := 0
	for _, s := range steps {
		if s.err == nil {
			bytes = n.readKeys(ctx, s, bytes)
		}
	}
}

func errTooLate(p kv.PartitionID) *kv.Error {
	return kv.Errorf(kv.Unavailable, "partition %s: no majority answered in time", p)
}

// readKeys reads the keys of a step whose partition is led here, until all steps together have
// read enough. It returns how much that is.
func (n *Node) readKeys(ctx context.Context, s *step, bytes int) int {
	h := n.o.Loop.Handle(s.partition)
	if h == nil {
		s.err = errNotHere(s.partition)
		return bytes
	}
	for _, key := range s.keys {
		if bytes > maxStepBytes {
			return bytes
		}
		if ctx.Err() != nil {
			s.err = errTooLate(s.partition)
			return bytes
		}
		res, due, e := n.readLocal(h, key)
		if due {
			res, e = n.readDue(ctx, h, key)
		}
		if e != nil {
			s.err = e
			return bytes
		}
		s.read = append(s.read, res)
		bytes += len(res.Item.Value.Data)
	}
	return bytes
}
