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
		of = cutUnknown(of)
		var events []porcupine.Operation
		for _, op := range of {
			events = append(events, porcupine.Operation{Input: op, Output: op, Call: op.call, Return: op.ret})
		}
		switch porcupine.CheckOperationsTimeout(register, events, checkTime) {
		case porcupine.Illegal:
			return fmt.Sprintf("key %s: its operations have no linear order%s", key, listing(of))
		case porcupine.Unknown:
			return fmt.Sprintf("key %s: no answer within %v for %d operations%s", key, checkTime, len(of), listing(of))
		}
	}
	return ""
}

// nameVersions checks what is said of versions in the operations of one key, and replaces
// those that stood in the way of a condition by their values: each value has one version,
// each version one value, and a version is never below one that was seen before.
func nameVersions(ops []operation) string {
	values, versions := map[uint64]uint64{}, map[uint64]uint64{}
	for _, op := range ops {
		value := op.value
		if op.kind == opGet {
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
		if op := &ops[i]; op.hidden {
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
			return fmt.Sprintf("version %d was shown by a %s after version %d", op.version, kindNames[op.kind], highest.version)
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

// register is one key: the value that it holds, 0 when there is none. A version belongs to
// one value, so a condition on it is one on the value.
var register = porcupine.Model{
	Init: func() any { return uint64(0) },
	Step: func(state, input, _ any) (bool, any) {
		v, op := state.(uint64), input.(operation)
		next, can := op.value, true // what it leaves behind, and whether it changes anything
		switch op.kind {
		case opGet:
			return op.seen == v, v
		case opCreate:
			can = v == 0
		case opSwap:
			can = v == op.expect
		case opDelete:
			next, can = 0, v != 0
		}
		switch {
		case !can:
			return op.unknown || !op.applied && (op.hidden || op.seen == v), v
		case op.unknown || op.kind == opDelete:
			return op.unknown || op.applied, next
		}
		return op.applied && op.created == (v == 0), next
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
		fmt.Fprintf(&b, " through %s: %s value %d expect %d: applied %v created %v seen %d version %d", op.node, kindNames[op.kind], op.value, op.expect, op.applied, op.created, op.seen, op.version)
	}
	return b.String()
}
