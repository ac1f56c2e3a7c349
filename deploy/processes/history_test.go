//go:build processes

package processes

import (
	"math"
	"sync"
	"time"
)

type kind uint8

const (
	opGet    kind = iota
	opPut         // whatever is there
	opCreate      // If-None-Match: *
	opSwap        // If-Match: the version of the value expect
	opDelete
)

var kindNames = [...]string{"get", "put", "create", "swap", "delete"}

// never is the time at which an operation of unknown outcome returns.
const never = math.MaxInt64

// operation is what a client asked of one key and what it was told. Values are unique and
// above 0; 0 stands for "no such key".
type operation struct {
	key       string
	kind      kind
	value     uint64 // that it writes
	expect    uint64 // the value that a swap must find
	node      string // that was asked
	call, ret int64  // nanoseconds since the history began; ret is never for unknown

	unknown bool   // it may or may not have happened
	applied bool   // a write: it changed something
	created bool   // a put or swap that was applied: there was no such key before
	seen    uint64 // a get, or a condition that was not met: the value that is there
	version uint64 // of the value that was written, read or in the way; 0 when there is none
	hidden  bool   // the condition was not met, and version is all that is known of what is there
}

// history gathers operations of many clients.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []operation
	// Attempts that were certainly not done are no operations; they are only counted.
	refused, unavailable int
}

func newHistory() *history { return &history{began: time.Now()} }

func (h *history) now() int64 { return int64(time.Since(h.began)) }

func (h *history) add(op operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

func (h *history) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

// all returns the operations so far.
func (h *history) all() []operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ops[:len(h.ops):len(h.ops)]
}

// unknowns counts the writes and the reads without an answer.
func unknowns(ops []operation) (writes, reads int) {
	for _, op := range ops {
		switch {
		case op.unknown && op.kind == opGet:
			reads++
		case op.unknown:
			writes++
		}
	}
	return writes, reads
}

// longestGap returns the longest time between from and to in which no write of the wanted
// operations was acknowledged.
func longestGap(ops []operation, from, to int64, wanted func(*operation) bool) time.Duration {
	var acks []int64
	for i := range ops {
		op := &ops[i]
		if op.kind != opGet && !op.unknown && op.applied && op.ret >= from && op.ret <= to && wanted(op) {
			acks = append(acks, op.ret)
		}
	}
	return widest(acks, from, to)
}
