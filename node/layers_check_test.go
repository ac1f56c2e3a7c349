package node

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"pxkv/node/kv"
)

type kind uint8

const (
	doGet   kind = iota
	doThere      // whether there is anything
	doPut
	doCreate
	doSwap
	doDelete
	doIncr
	doIncrOrNot // an increment of a transaction that may have been in vain
)

var kindNames = [...]string{"get", "there", "put", "create", "swap", "delete", "incr", "incr or not"}

// operation is one operation on one key, and what was answered.
type operation struct {
	kind      kind
	client    int
	key       string
	value     string // that it writes, unlike all others
	expect    string // by doSwap
	tellsOld  bool   // found is what was there before
	unknown   bool   // whether it was done
	applied   bool
	created   bool
	found     string // "": nothing
	call, ret int64  // of history.clock
}

// showing is a list or a walk that succeeded: a read of every key that it covers.
type showing struct {
	client    int
	keysOnly  bool
	found     map[string]string
	covers    func(key string) bool
	call, ret int64
}

// counting is a count of all keys that succeeded.
type counting struct {
	keys      int64
	call, ret int64
}

// history is what clients were told.
type history struct {
	refuses bool // requests may find no room
	t       *testing.T
	clock   atomic.Int64 // one more with every call and every return: virtual time often stands still in between

	mu      sync.Mutex
	ops     []operation
	showed  []showing
	counts  []counting
	endings map[kv.ErrorKind]int
}

func (h *history) now() int64 { return h.clock.Add(1) }

// forever is the return of an operation whose outcome is unknown.
const forever = math.MaxInt64

// ended notes how an operation ended. What was certainly not done is left out: whoever sees it done all the
// same has seen what nobody wrote.
func (h *history) ended(op operation, err error) {
	op.ret = h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end(err)
	switch kv.KindOf(err) {
	case 0:
	case kv.Unknown:
		if op.kind == doGet {
			h.t.Errorf("a read of %s ended as unknown", op.key)
			return
		}
		op.unknown, op.ret = true, forever
	default:
		return
	}
	h.ops = append(h.ops, op)
}

// end counts how a request ended: with these errors only may one end that is sound. h.mu is held.
func (h *history) end(err error) {
	k := kv.KindOf(err)
	if k != 0 && k != kv.Unknown && k != kv.Unavailable && (k != kv.Overloaded || !h.refuses) {
		h.t.Errorf("a request ended as %s: %v", k, err)
	}
	if h.endings == nil {
		h.endings = map[kv.ErrorKind]int{}
	}
	h.endings[k]++
}

// readEnded notes how a read of many keys ended, and reports whether it succeeded.
func (h *history) readEnded(err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end(err); kv.KindOf(err) == kv.Unknown {
		h.t.Errorf("a read ended as unknown")
	}
	return err == nil
}

func (h *history) show(s showing) {
	s.ret = h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.showed = append(h.showed, s)
}

func (h *history) counted(c counting) {
	c.ret = h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts = append(h.counts, c)
}

// tally says how much was done.
func (h *history) tally() string {
	return fmt.Sprintf("%d operations, %d lists and walks, %d counts; %d requests done, %d not done, %d unknown",
		len(h.ops), len(h.showed), len(h.counts), h.endings[0], h.endings[kv.Unavailable], h.endings[kv.Unknown])
}

// keys lists all that may ever have been written.
func (h *history) keys() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string]bool{}
	for i := range h.ops {
		if op := &h.ops[i]; op.kind >= doPut {
			all[op.key] = true
			if other, ok := twin(op.key); ok {
				all[other] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// twin is the other key of a pair.
func twin(key string) (string, bool) {
	if strings.HasPrefix(key, "k/{") && strings.HasSuffix(key, "}a") {
		return strings.TrimSuffix(key, "a") + "b", true
	}
	return "", false
}

// byKey splits the history: what lists and walks showed is a read of each key. Both keys of a pair are one.
func (h *history) byKey() map[string][]operation {
	out := map[string][]operation{}
	one := func(key string) string {
		if a := strings.TrimSuffix(key, "}b") + "}a"; strings.HasSuffix(key, "}b") {
			return a
		}
		return key
	}
	for _, op := range h.ops {
		out[one(op.key)] = append(out[one(op.key)], op)
	}
	keys := h.keys()
	strange := map[string]bool{}
	for _, s := range h.showed {
		for key := range s.found {
			if _, known := slices.BinarySearch(keys, key); !known || !s.covers(key) {
				strange[key] = true
			}
		}
		for _, key := range keys {
			if !s.covers(key) {
				continue
			}
			op := operation{kind: doGet, client: s.client, key: key, call: s.call, ret: s.ret}
			if op.found, op.applied = s.found[key]; s.keysOnly {
				op.kind = doThere
			}
			out[one(key)] = append(out[one(key)], op)
		}
	}
	if len(strange) > 0 {
		h.t.Errorf("%q were shown, which nobody wrote, or nobody asked for", slices.Sorted(maps.Keys(strange)))
	}
	return out
}

// checkTime bounds the search for an order of one key's operations.
const checkTime = 30 * time.Second

func (h *history) check() {
	byKey := h.byKey()
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		ops := byKey[key]
		h.sum(key, ops)
		var events []porcupine.Operation
		for _, op := range endUnknown(ops) {
			events = append(events, porcupine.Operation{Input: op, Output: op, Call: op.call, Return: op.ret})
		}
		switch porcupine.CheckOperationsTimeout(oneKey, events, checkTime) {
		case porcupine.Illegal:
			h.t.Errorf("the operations on %s have no order:%s", key, telling(ops))
			return
		case porcupine.Unknown:
			h.t.Errorf("%s: no order was found in time for %d operations", key, len(ops))
		}
	}
	for _, c := range h.counts {
		least, most := int64(0), int64(0)
		for key, ops := range byKey {
			weight := int64(1)
			if _, ok := twin(key); ok {
				weight = 2
			}
			throughout, atAll := presence(ops, c.call, c.ret)
			if throughout {
				least += weight
			}
			if atAll {
				most += weight
			}
		}
		if c.keys < least || c.keys > most {
			h.t.Errorf("%d keys were counted, there were %d to %d", c.keys, least, most)
		}
	}
}

// sum checks the end of a counter without searching for an order: each increment was made once, or not at all
// when its outcome is unknown.
func (h *history) sum(key string, ops []operation) {
	done, unknown, end := 0, 0, -1
	for _, op := range ops {
		switch {
		case op.kind == doIncr && !op.unknown:
			done++
		case op.kind == doIncr || op.kind == doIncrOrNot:
			unknown++
		case op.kind == doGet && done+unknown > 0:
			end, _ = strconv.Atoi(op.found)
		}
	}
	if done+unknown > 0 && (end < done || end > done+unknown) {
		h.t.Errorf("counter %s ends at %d after %d increments and %d of unknown outcome", key, end, done, unknown)
	}
}

// presence says whether a key was there from one time to another, and whether it can have been there at any
// time between them.
func presence(ops []operation, from, to int64) (throughout, atAll bool) {
	for i := range ops {
		w := &ops[i]
		if !w.makes() || w.call > to {
			continue
		}
		never, gone := true, false
		for j := range ops {
			if d := &ops[j]; d.kind == doDelete && (d.applied || d.unknown) {
				never = never && (d.ret < w.call || d.call > to)
				gone = gone || !d.unknown && d.call > w.ret && d.ret < from
			}
		}
		throughout = throughout || never && !w.unknown && w.ret < from
		atAll = atAll || !gone
	}
	return throughout, atAll
}

// makes reports whether the key is there after the operation, if that was done.
func (op *operation) makes() bool {
	return op.kind >= doPut && op.kind != doDelete && (op.applied || op.unknown)
}

// endUnknown lets writes of unknown outcome whose value was seen return with the first answer that shows it,
// which spares most of the search.
func endUnknown(ops []operation) []operation {
	first := map[string]int64{}
	for _, op := range ops {
		if at, ok := first[op.found]; op.found != "" && (!ok || op.ret < at) {
			first[op.found] = op.ret
		}
	}
	out := slices.Clone(ops)
	for i := range out {
		if at, ok := first[out[i].value]; ok && out[i].unknown && out[i].kind != doIncr && out[i].kind != doIncrOrNot {
			out[i].ret = at
		}
	}
	return out
}

// oneKey is one key: the value that it holds, "" when there is none.
var oneKey = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		was, op := state.(string), input.(operation)
		next, can := op.value, true // what it leaves behind, and whether it changes anything
		switch op.kind {
		case doGet:
			return op.found == was, was
		case doThere:
			return op.applied == (was != ""), was
		case doCreate:
			can = was == ""
		case doSwap:
			can = was == op.expect
		case doDelete:
			next, can = "", was != ""
		case doIncr, doIncrOrNot:
			n, _ := strconv.Atoi(was)
			next = strconv.Itoa(n + 1)
			return op.unknown || op.found == next, next
		}
		created := can && op.kind != doDelete && was == ""
		if !op.unknown && (op.applied != can || op.created != created || op.tellsOld && op.found != was) {
			return false, was
		}
		if !can {
			next = was
		}
		return true, next
	},
}

// telling shows one key's operations in the order of their calls.
func telling(ops []operation) string {
	var b strings.Builder
	for _, op := range slices.SortedFunc(slices.Values(ops), func(a, b operation) int { return int(a.call - b.call) }) {
		ret := strconv.FormatInt(op.ret, 10)
		if op.unknown {
			ret = "?"
		}
		fmt.Fprintf(&b, "\n  %d to %s client %d: %s", op.call, ret, op.client, kindNames[op.kind])
		switch {
		case op.kind == doThere:
			fmt.Fprintf(&b, " %v", op.applied)
		case op.kind == doGet || op.kind >= doIncr:
			fmt.Fprintf(&b, " %q", op.found)
		default:
			fmt.Fprintf(&b, " %q, was to be %q: applied %v created %v", op.value, op.expect, op.applied, op.created)
			if op.tellsOld {
				fmt.Fprintf(&b, " before %q", op.found)
			}
		}
	}
	return b.String()
}
