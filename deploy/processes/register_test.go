//go:build processes

package processes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// checkTime bounds the search for an order of one key's operations.
const checkTime = 30 * time.Second

// fault says why no single copy of the data could have answered like this; "" when one could.
func fault(ops []operation) string {
	byKey := map[string][]operation{}
	for _, op := range ops {
		byKey[op.key] = append(byKey[op.key], op)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		of := byKey[key]
		if what := nameVersions(of); what != "" {
			return fmt.Sprintf("key %s: %s%s", key, what, listing(of))
		}
		if linearizable(withoutUnseen(of)) == porcupine.Ok {
			continue // what may not have happened need not have
		}
		switch linearizable(of) {
		case porcupine.Illegal:
			return fmt.Sprintf("key %s: its operations have no linear order%s", key, listing(of))
		case porcupine.Unknown:
			return fmt.Sprintf("key %s: no answer within %v for %d operations%s", key, checkTime, len(of), listing(of))
		}
	}
	return ""
}

// linearizable looks for an order of one key's operations.
func linearizable(ops []operation) porcupine.CheckResult {
	ops = cutUnknown(ops)
	events := make([]porcupine.Operation, len(ops))
	for i, op := range ops {
		events[i] = porcupine.Operation{Input: op, Output: op, Call: op.call, Return: op.ret}
	}
	return porcupine.CheckOperationsTimeout(register, events, checkTime)
}

// withoutUnseen drops the writes of unknown outcome of which nobody has seen anything. Each of them may happen at
// any later time, or never: with all of them the search for an order may take for ever.
func withoutUnseen(ops []operation) []operation {
	seen := map[uint64]bool{}
	for _, op := range ops {
		seen[op.seen] = true
		if op.kind == opSwap && op.applied {
			seen[op.expect] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(ops), func(op operation) bool {
		return op.unknown && op.kind != opGet && (op.kind == opDelete || !seen[op.value])
	})
}

// nameVersions checks what is said of versions in the operations of one key, and replaces
// those that stood in the way of a condition by their values: each value has one version,
// each version one value, and a version is never below one that was seen before.
func nameVersions(ops []operation) string {
	values, versions := map[uint64]uint64{}, map[uint64]uint64{}
	for _, op := range ops {
		value := op.value
		if !op.applied {
			value = op.seen
		}
		if op.unknown || op.version == 0 || op.hidden {
			continue
		}
		if v, ok := values[op.version]; ok && v != value {
			return fmt.Sprintf("version %d belongs to the values %d and %d", op.version, v, value)
		}
		if v, ok := versions[value]; ok && v != op.version {
			return fmt.Sprintf("value %d has the versions %d and %d", value, v, op.version)
		}
		values[op.version], versions[value] = value, op.version
	}
	for i := range ops {
		op := &ops[i]
		if v, ok := versions[op.value]; ok && op.applied && op.version == 0 && op.kind != opDelete {
			op.version = v // its own answer did not tell it
		}
		if op.hidden {
			if v, ok := values[op.version]; ok {
				op.seen, op.hidden = v, false
			}
		}
	}
	return versionsGoBack(ops)
}

// versionsGoBack looks for an operation that began after another had shown a higher version.
func versionsGoBack(ops []operation) string {
	shown := slices.DeleteFunc(slices.Clone(ops), func(op operation) bool { return op.unknown || op.version == 0 })
	byCall := slices.SortedFunc(slices.Values(shown), func(a, b operation) int { return int(a.call - b.call) })
	byReturn := slices.SortedFunc(slices.Values(shown), func(a, b operation) int { return int(a.ret - b.ret) })
	highest, next := operation{}, 0
	for _, op := range byCall {
		for ; next < len(byReturn) && byReturn[next].ret < op.call; next++ {
			if byReturn[next].version > highest.version {
				highest = byReturn[next]
			}
		}
		if op.version < highest.version {
			return fmt.Sprintf("version %d was shown by a %s after version %d", op.version, kindNames[op.kind],
				highest.version)
		}
	}
	return ""
}

// cutUnknown drops reads without an answer. A write of unknown outcome whose value was seen
// had happened by then: it returns with the first answer that shows it, which spares
// porcupine most of its search.
func cutUnknown(ops []operation) []operation {
	first := map[uint64]int64{}
	for _, op := range ops {
		if op.unknown || op.hidden || op.seen == 0 {
			continue
		}
		if at, ok := first[op.seen]; !ok || op.ret < at {
			first[op.seen] = op.ret
		}
	}
	var out []operation
	for _, op := range ops {
		if op.unknown && op.kind == opGet {
			continue
		}
		if at, ok := first[op.value]; ok && op.unknown && op.value != 0 {
			op.ret = at
		}
		out = append(out, op)
	}
	return out
}

// holding is what a key holds.
type holding struct {
	value   uint64 // 0: there is no such key
	version uint64 // of the last write whose version is known: later ones have higher ones
}

// register is one key. A version belongs to one value, so a condition on it is one on the value. That versions grow
// rules most of the orders out that the times leave.
var register = porcupine.Model{
	Init: func() any { return holding{} },
	Step: func(state, input, _ any) (bool, any) {
		was, op := state.(holding), input.(operation)
		// what it leaves behind, and whether it changes anything
		next, can := holding{op.value, max(was.version, op.version)}, true
		switch op.kind {
		case opGet:
			return op.seen == was.value, was
		case opCreate:
			can = was.value == 0
		case opSwap:
			can = was.value == op.expect
		case opDelete:
			next, can = holding{0, was.version}, was.value != 0
		}
		switch {
		case !can:
			return op.unknown || !op.applied && (op.hidden || op.seen == was.value), was
		case op.unknown || op.kind == opDelete:
			return op.unknown || op.applied, next
		}
		grows := op.version == 0 || op.version > was.version
		return op.applied && grows && op.created == (was.value == 0), next
	},
}

// listing shows one key's operations in the order of their calls.
func listing(ops []operation) string {
	var b strings.Builder
	for _, op := range slices.SortedFunc(slices.Values(ops), func(a, b operation) int { return int(a.call - b.call) }) {
		fmt.Fprintf(&b, "\n  %v to ", time.Duration(op.call))
		if op.unknown {
			b.WriteString("?")
		} else {
			fmt.Fprint(&b, time.Duration(op.ret))
		}
		fmt.Fprintf(&b, " through %s: %s value %d expect %d: applied %v created %v seen %d version %d", op.node,
			kindNames[op.kind], op.value, op.expect, op.applied, op.created, op.seen, op.version)
	}
	return b.String()
}
