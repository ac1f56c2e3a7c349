package sim

import (
	"math"
	"slices"

	"github.com/anishathalye/porcupine"
)

// held is what a key may hold, as the model of one key knows it.
type held struct {
	value uint64 // unique, or a counter's; 0 is absent
	// deadline is the value's in the group's time, 0 for none, unknownDeadline when the answer that
	// would have told it got lost.
	deadline int64
	// time is what the group's time had reached at least.
	time int64
}

const unknownDeadline = -1

// key is one key: it holds a unique value, and loses it when the group's time has reached the
// value's deadline, for ever. What the group's time was when an operation took effect is not
// known exactly, but within bounds that the node which answered saw: so a step may have two ends.
var key = (&porcupine.NondeterministicModel{
	Partition: partition,
	Init:      func() []any { return []any{held{}} },
	Step: func(state, input, out any) (next []any) {
		was, in, o := state.(held), input.(operation), out.(output)
		was.time = max(was.time, o.earliest)
		if o.latest != 0 && was.time > o.latest {
			return nil // the group's time went back
		}
		// Alive, unless the deadline had come for certain; gone, if it can have come.
		if was.deadline == unknownDeadline || was.deadline == 0 || was.deadline > was.time {
			next = append(next, was.step(in, o)...)
		}
		if was.value != 0 && was.deadline != 0 && (o.latest == 0 || was.deadline <= o.latest) {
			gone := held{time: max(was.time, was.deadline)}
			next = append(next, gone.step(in, o)...)
		}
		return next
	},
}).ToModel()

// step is what an operation makes of a key that holds what it holds.
func (h held) step(in operation, o output) []any {
	// what it would leave behind, and whether it would change anything
	next, can := held{value: in.value, time: h.time}, true
	if in.ttl != 0 {
		next.deadline = o.deadline
		if o.unknown {
			next.deadline = unknownDeadline
		}
	}
	if in.key[0] == 't' {
		next.value = appended(0, in.value)
	}
	if in.old() && !o.unknown && o.old != h.value {
		return nil
	}
	switch in.kind {
	case opGet:
		if h.value != 0 && h.deadline == unknownDeadline {
			h.deadline = o.deadline
		}
		if o.value != h.value || h.value != 0 && o.deadline != h.deadline || h.deadline > 0 && h.deadline <= h.time {
			return nil
		}
		return []any{h}
	case opPut:
		if !o.unknown && !in.blind() && o.created != (h.value == 0) {
			return nil
		}
	case opIncr:
		next.value, next.deadline = h.value+in.delta(), h.deadline
		if !o.unknown && o.value != next.value {
			return nil
		}
	case opAppend:
		next.value, next.deadline = appended(h.value, in.value), h.deadline
	case opTouch:
		can = h.value != 0
		next.value = h.value
	case opCreate:
		can = h.value == 0
	case opCas:
		can = h.value != 0 && h.value == in.expect.value
	case opDelete:
		next, can = held{time: h.time}, h.value != 0
	}
	if !o.unknown && o.applied != can {
		return nil
	}
	if !can {
		next = h
	}
	return []any{next}
}

// appended stands for a text to whose end a number is added: it is another one for another text.
func appended(text, number uint64) uint64 { return (text+1)*1099511628211 ^ number }

// partition splits a history by keys.
func partition(history []porcupine.Operation) [][]porcupine.Operation {
	byKey := map[string][]porcupine.Operation{}
	var keys []string
	for _, op := range history {
		k := op.Input.(operation).key
		if byKey[k] == nil {
			keys = append(keys, k)
		}
		byKey[k] = append(byKey[k], op)
	}
	slices.Sort(keys)
	out := make([][]porcupine.Operation, len(keys))
	for i, k := range keys {
		out[i] = byKey[k]
	}
	return out
}

// forever is the return of an operation whose outcome is unknown.
const forever = math.MaxInt64
