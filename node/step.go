package node

import (
	"encoding/binary"
	"slices"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/replica"
)

// step is work for the leader of one partition: reads, and then at most one log entry.
type step struct {
	partition kv.PartitionID
	keys      []wanted // to read
	unit      []byte   // an encoded kv.Command or kv.Transaction, nil for none
	commands  int      // in unit
	values    int      // most bytes of values that the unit's results may take
	cut       bool     // the unit may be carried out in part, from its beginning
	packs     bool     // there are packed values in unit
	saved     int      // how many bytes shorter unit is for that
	growth    int64    // how many bytes unit may add to what is stored
	share     *share   // of the batch that asks
	compares  bool     // keys were read before: do their versions still hold together?
	longer    bool     // who finds a value longer than what was asked for may wait for a place: see little

	// What is counted on the account of who asks: for the unit on its way, and for the values that it
	// returns, before it is known how long they are.
	held, room int

	// What became of it. read may be shorter than keys, when their values are long; then the unit
	// was not carried out, and err is nil. result may be shorter than the unit, when that is cut.
	read   []kv.ReadResult
	result kv.TransactionResult
	err    *kv.Error
	// dropped says that there was no room for the values that were read.
	dropped bool
}

// unused is how much of the room for values turned out not to be needed, or is counted otherwise.
func (s *step) unused() int { return max(0, s.room-s.returned()) }

// returned is how many bytes of values the unit returned.
func (s *step) returned() (size int) {
	for i := range s.result.Results {
		if it := s.result.Results[i].Item; it != nil {
			size += itemBytes(it)
		}
	}
	return size
}

// parts reports whether a step reads parts of values. One that does has no unit: see partsMethod.
func (s *step) parts() bool {
	return slices.ContainsFunc(s.keys, func(w wanted) bool { return w.part.Kind != kv.WholeValue })
}

// size is about what a step takes in a request, with what is packed unpacked.
func (s *step) size() int {
	n := 4*binary.MaxVarintLen64 + len(s.unit) + s.saved
	for _, k := range s.keys {
		n += keyBytes(k.key)
	}
	return n
}

// answer is the most that a step takes in an answer, but for the values that are read.
func (s *step) answer() int { return (len(s.keys)+s.commands)*resultBytes + s.values }

// proposal makes an op of the unit.
func (s *step) proposal(reply func(entry.Reply)) replica.Op {
	return replica.Op{Partition: s.partition, Command: s.unit, Packs: s.packs, Reply: reply}
}

// replied takes what became of the unit on a node.
func (s *step) replied(r entry.Reply, node string) {
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
