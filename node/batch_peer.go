package node

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/ring"
)

// How steps travel to the nodes that lead their partitions, and what those do with them.

// asking is a request for steps under way to another node.
type asking struct {
	n     *Node
	to    kv.NodeID
	steps []*step
	done  chan answerOf
}

type answerOf struct {
	b   []byte
	err error
}

// askSteps sends steps to another node, in as few requests as their size allows.
func (n *Node) askSteps(ctx context.Context, to kv.NodeID, steps []*step) []*asking {
	var out []*asking
	for len(steps) > 0 {
		count, size := 1, steps[0].size()
		for count < len(steps) && size+steps[count].size() <= kv.MaxTransactionBytes {
			size += steps[count].size()
			count++
		}
		a := &asking{n: n, to: to, steps: steps[:count:count], done: make(chan answerOf, 1)}
		steps = steps[count:]
		deadline, _ := ctx.Deadline()
		n.metrics.forwarded.Add(float64(count))
		n.o.Peers.Go(to, reqSteps, deadline, encodeSteps(a.steps, size), func(b []byte, err error) { a.done <- answerOf{b, err} })
		out = append(out, a)
	}
	return out
}

// wait takes the answer, or gives up at the end of ctx.
func (a *asking) wait(ctx context.Context) {
	var got answerOf
	select {
	case got = <-a.done:
	case <-ctx.Done():
		got.err = context.Cause(ctx) // sent or not: nobody knows
	}
	if got.err == nil {
		d, e := decodeAnswer(got.b)
		if e == nil && decodeSteps(&d, a.steps) {
			return
		}
		if e != nil && e.Kind != kv.Internal {
			a.fail(e, e)
			return
		}
		a.fail(kv.Errorf(kv.Internal, "malformed answer from node %s", a.to), kv.ErrUnknown())
		return
	}
	lost := kv.Errorf(kv.Unavailable, "node %s did not answer: %v", a.to, got.err)
	if a.n.o.NotSent(got.err) {
		a.fail(lost, lost)
		return
	}
	a.fail(lost, kv.ErrUnknown())
}

// fail ends all steps: those that only read with one error, those that write with another.
func (a *asking) fail(reads, writes *kv.Error) {
	for _, s := range a.steps {
		s.read, s.result, s.err = nil, kv.TransactionResult{}, reads
		if s.unit != nil {
			s.err = writes
		}
	}
}

func (s *step) size() int {
	n := 4*binary.MaxVarintLen64 + len(s.unit)
	for _, k := range s.keys {
		n += len(k) + binary.MaxVarintLen32
	}
	return n
}

func encodeSteps(steps []*step, size int) []byte {
	b := append(make([]byte, 0, size+16), wireVersion)
	b = binary.AppendUvarint(b, uint64(len(steps)))
	for _, s := range steps {
		b = binary.AppendUvarint(b, uint64(s.partition))
		b = binary.AppendUvarint(b, uint64(len(s.keys)))
		for _, k := range s.keys {
			b = kv.AppendBytes(b, k)
		}
		b = kv.AppendBytes(b, s.unit)
	}
	return b
}

// decodeStepRequest reads what another node asks for. All of it is checked again: what is in the
// log must be sound whoever sent it.
func (n *Node) decodeStepRequest(request []byte, partitions int) ([]*step, error) {
	d := kv.NewDecoder(request)
	if d.Byte() != wireVersion {
		return nil, errWire
	}
	count := d.Count()
	if count > partitions {
		return nil, errWire
	}
	steps := make([]*step, 0, count)
	for range count {
		p := d.Uvarint()
		if p > math.MaxUint32 {
			return nil, errWire
		}
		s := &step{partition: kv.PartitionID(p)}
		for range d.Count() {
			s.keys = append(s.keys, d.Bytes())
			if d.Err() != nil {
				return nil, errWire
			}
		}
		if s.unit = d.Bytes(); len(s.unit) == 0 {
			s.unit = nil
		}
		steps = append(steps, s)
	}
	if d.End() != nil {
		return nil, errWire
	}
	for _, s := range steps {
		if err := s.check(n.o.MaxValueBytes, partitions); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

// check validates a step of another node, and counts its commands.
func (s *step) check(maxValue, partitions int) error {
	for _, k := range s.keys {
		if kv.ValidateKey(k) != nil || ring.PartitionOfKey(k, partitions) != s.partition {
			return errWire
		}
	}
	if s.unit == nil {
		return nil
	}
	tx, err := decodeUnit(s.unit)
	if err != nil {
		return err
	}
	if err := tx.Validate(maxValue); err != nil {
		return err
	}
	for k := range tx.Keys {
		if ring.PartitionOfKey(k, partitions) != s.partition {
			return errWire
		}
	}
	s.commands = len(tx.Commands)
	return nil
}

// decodeUnit reads an encoded command, as a transaction of one, or transaction.
func decodeUnit(b []byte) (kv.Transaction, error) {
	d := kv.NewDecoder(b)
	if d.IsTransaction() {
		t := d.ReadTransaction()
		return t, d.End()
	}
	t := kv.Transaction{Commands: []kv.Command{d.ReadCommand()}}
	return t, d.End()
}

// How a step ended, in the answer to another node.
const (
	stepDone   = 0 // the reads, and the unit's result where one was carried out
	stepFailed = 1 // the reads and the error
)

func encodeStepAnswer(steps []*step) []byte {
	b := []byte{answerOK}
	for _, s := range steps {
		how := byte(stepDone)
		if s.err != nil {
			how = stepFailed
		}
		b = append(b, how)
		b = binary.AppendUvarint(b, uint64(len(s.read)))
		for i := range s.read {
			b = s.read[i].AppendTo(b)
		}
		if s.err != nil {
			b = s.err.AppendTo(b)
		} else if s.unit != nil && len(s.read) == len(s.keys) {
			b = s.result.AppendTo(b)
		}
	}
	return b
}

// decodeSteps reads what became of steps. It reports whether the answer was sound.
func decodeSteps(d *kv.Decoder, steps []*step) bool {
	for _, s := range steps {
		how := d.Byte()
		count := d.Count()
		if count > len(s.keys) {
			return false
		}
		for range count {
			s.read = append(s.read, d.ReadReadResult())
		}
		switch {
		case how == stepFailed:
			s.err = d.ReadError()
			if s.err.Kind == kv.Internal && s.unit != nil {
				s.err = kv.ErrUnknown()
			}
		case how != stepDone:
			return false
		case s.unit != nil && count == len(s.keys):
			s.result = d.ReadTransactionResult()
			if !s.result.Conflict && len(s.result.Results) != s.commands {
				return false
			}
			for i := range s.result.Results {
				if !s.result.Results[i].Outcome.Known() {
					return false
				}
			}
		}
	}
	return d.End() == nil
}

// answerSteps serves another node's steps.
func (n *Node) answerSteps(deadline time.Time, request []byte, reply func([]byte, error)) {
	s := n.o.Machine.State()
	if s == nil {
		reply(encodeError(errNotJoined()), nil)
		return
	}
	steps, err := n.decodeStepRequest(request, s.Partitions)
	if e, ok := err.(*kv.Error); ok {
		reply(encodeError(e), nil)
		return
	}
	if err != nil {
		n.refuse(reply, err)
		return
	}
	if !n.readAtOnce(steps) {
		n.answer(deadline, reply, func(ctx context.Context) {
			n.carryOut(ctx, steps)
			reply(encodeStepAnswer(steps), nil)
		})
		return
	}
	left := 0
	ops := n.proposals(steps, func(s *step, r replica.Reply) {
		s.replied(r, n.o.Name)
		if left--; left == 0 {
			reply(encodeStepAnswer(steps), nil)
		}
	})
	if left = len(ops); left == 0 {
		reply(encodeStepAnswer(steps), nil)
		return
	}
	n.o.Loop.Write(ops...)
}

// maxReadsAtOnce is how many keys are read for another node on the goroutine of its link.
const maxReadsAtOnce = 256

// readAtOnce does the reads of steps from leases, if that takes no waiting, so that most requests
// cost no goroutine here. If it reports false, nothing was read.
func (n *Node) readAtOnce(steps []*step) bool {
	keys, bytes := 0, 0
	for _, s := range steps {
		keys += len(s.keys)
	}
	ok := keys <= maxReadsAtOnce
	boot := bootTime()
	for i := 0; i < len(steps) && ok; i++ {
		s := steps[i]
		h := n.o.Loop.Handle(s.partition)
		ok = h != nil && (len(s.keys) == 0 || h.HasLease(boot))
		for j := 0; j < len(s.keys) && ok; j++ {
			res, due, e := n.readLocal(h, s.keys[j])
			s.read = append(s.read, res)
			bytes += len(res.Item.Value.Data)
			ok = !due && e == nil && bytes <= maxStepBytes
		}
	}
	if !ok {
		for _, s := range steps {
			s.read = nil
		}
	}
	return ok
}
