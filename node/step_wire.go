package node

import (
	"encoding/binary"
	"math"
	"slices"

	"pxkv/node/kv"
	"pxkv/node/rpc"
	"pxkv/ring"
)

// stepsMethod asks a node for steps in partitions that it leads. partsMethod does so where they read parts of values:
// it changes nothing, since only of such can be asked again what an older node did not understand.
var (
	stepsMethod = stepMethod(reqSteps, false)
	partsMethod = stepMethod(reqReads, true)
)

func stepMethod(kind uint8, repeatable bool) rpc.Method[*Node, []*step, []*step] {
	return rpc.Method[*Node, []*step, []*step]{
		Kind: kind, Repeatable: repeatable,
		Encode:       func(steps []*step, _ int) []byte { return encodeSteps(kind, steps) },
		Decode:       func(n *Node, _ kv.NodeID, d kv.Decoder) ([]*step, error) { return n.decodeStepRequest(kind, d) },
		Answer:       (*Node).answerSteps,
		EncodeAnswer: func(steps []*step) []byte { return encodeStepAnswer(kind, steps) },
		DecodeAnswer: func(steps []*step, d kv.Decoder) ([]*step, bool) { return steps, decodeSteps(kind, d, steps) },
	}
}

// methodOf returns how a step travels.
func methodOf(s *step) *rpc.Method[*Node, []*step, []*step] {
	if s.parts() {
		return &partsMethod
	}
	return &stepsMethod
}

// encodeSteps makes a request of a kind.
func encodeSteps(kind uint8, steps []*step) []byte {
	size := 15
	for _, s := range steps {
		size += s.size()
	}
	b := rpc.NewRequest(size)
	b = binary.AppendUvarint(b, uint64(len(steps)))
	for _, s := range steps {
		b = binary.AppendUvarint(b, uint64(s.partition))
		b = binary.AppendUvarint(b, uint64(len(s.keys)))
		for _, k := range s.keys {
			if kind == reqReads {
				b = k.part.AppendTo(b)
			}
			b = kv.AppendBytes(b, k.key)
		}
		if kind == reqSteps {
			b = kv.AppendBytes(b, s.unit)
		}
	}
	return b
}

// decodeStepRequest reads what another node asks for. All of it is checked again: what is in the
// log must be sound whoever sent it.
func (n *Node) decodeStepRequest(kind uint8, d kv.Decoder) ([]*step, error) {
	state := n.o.Machine.State()
	if state == nil {
		return nil, errNotJoined()
	}
	count := d.Count()
	if count > state.Partitions {
		return nil, rpc.ErrMalformed
	}
	steps := make([]*step, 0, count)
	keys := 0
	for range count {
		p := d.Uvarint()
		if p > math.MaxUint32 {
			return nil, rpc.ErrMalformed
		}
		s := &step{partition: kv.PartitionID(p)}
		wants := d.Count()
		// Nobody asks for more than can be answered; what does would cost many times its size.
		if keys += wants; keys > n.o.Limits.AnswerBytes/resultBytes && !answersAreEndless {
			return nil, rpc.ErrMalformed
		}
		for range wants {
			var w wanted
			if kind == reqReads {
				w.part = d.ReadPart()
			}
			w.key = d.Bytes()
			s.keys = append(s.keys, w)
			if d.Err() != nil {
				return nil, rpc.ErrMalformed
			}
		}
		if kind == reqSteps {
			s.unit = d.Bytes()
		}
		if len(s.unit) == 0 {
			s.unit = nil
		}
		steps = append(steps, s)
	}
	if d.End() != nil {
		return nil, rpc.ErrMalformed
	}
	saved := 0
	for _, s := range steps {
		if err := n.checkStep(s, state.Partitions); err != nil {
			return nil, err
		}
		// Nobody asks for so much in one request, and to unpack it would cost many times its size.
		if saved += s.saved; saved > kv.MaxTransactionBytes {
			return nil, rpc.ErrMalformed
		}
	}
	for _, s := range steps {
		if err := n.checkUnpacks(s); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

// checkStep validates a step of another node, and counts its commands.
func (n *Node) checkStep(s *step, partitions int) error {
	for _, k := range s.keys {
		if kv.ValidateKey(k.key) != nil || ring.PartitionOfKey(k.key, partitions) != s.partition {
			return rpc.ErrMalformed
		}
	}
	if s.unit == nil {
		return nil
	}
	tx, err := decodeUnit(s.unit)
	if err != nil {
		return err
	}
	if err := tx.Validate(n.o.MaxValueBytes); err != nil {
		return err
	}
	if tx.AnswerBytes > int64(n.o.Limits.AnswerBytes) && !answersAreEndless {
		return rpc.ErrMalformed // the values could not travel back
	}
	for k := range tx.Keys {
		if ring.PartitionOfKey(k, partitions) != s.partition {
			return rpc.ErrMalformed
		}
	}
	s.commands, s.growth = len(tx.Commands), tx.Growth()
	s.packs, s.saved = tx.Packs(), tx.PlainSize()-tx.EncodedSize()
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

func encodeStepAnswer(kind uint8, steps []*step) []byte {
	b := rpc.NewAnswer(0)
	for _, s := range steps {
		how := byte(stepDone)
		if s.err != nil {
			how = stepFailed
		}
		b = append(b, how)
		b = binary.AppendUvarint(b, uint64(len(s.read)))
		for i := range s.read {
			if b = s.read[i].AppendTo(b); kind == reqReads {
				b = binary.AppendUvarint(b, uint64(s.read[i].Length))
			}
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
func decodeSteps(kind uint8, d kv.Decoder, steps []*step) bool {
	for _, s := range steps {
		how := d.Byte()
		count := d.Count()
		if count > len(s.keys) {
			return false
		}
		for i := range count {
			r := d.ReadReadResult()
			if kind == reqReads {
				r.Length = int64(d.Uvarint())
			} else {
				r.Item.Value.Data = s.keys[i].part.Of(r.Item.Value.Data)
			}
			s.read = append(s.read, r)
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
			if !s.sound() {
				return false
			}
		}
	}
	return d.End() == nil
}

// sound reports whether what the unit is said to have done can be.
func (s *step) sound() bool {
	r := &s.result
	whole := !s.cut && !r.Conflict && !r.TooLarge
	if n := len(r.Results); n > s.commands || n < s.commands && whole {
		return false
	}
	return !slices.ContainsFunc(r.Results, func(r kv.Result) bool { return !r.Outcome.Known() })
}
