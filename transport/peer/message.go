package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Types of messages. PROTOCOL.md describes their bodies.
const (
	typeFrame    = 1 // link
	typeRequest  = 2 // link
	typeResponse = 3 // link
	typePing     = 4 // link and snapshot
	typePong     = 5 // link
	typeBye      = 6 // link

	typeSnapshotHeader = 16
	typeSnapshotChunk  = 17
	typeSnapshotEnd    = 18
	typeSnapshotAbort  = 19
	typeVerdict        = 20
	typeSnapshotCredit = 21
)

// Statuses of responses and verdicts.
const (
	statusOK           = 0
	statusError        = 1 // the payload is the error's text
	statusNotProcessed = 2 // the request was certainly not processed
	statusLost         = 3 // processed perhaps, and the answer is not there
	statusDropped      = 4 // nothing was changed, and there was no room for the answer
)

const (
	prefixSize   = 8              // length u32, checksum u32
	requestSize  = 8 + 1 + 4      // id, kind, remaining milliseconds
	responseSize = 8 + 1          // id, status
	pingSize     = 8              // token
	maxFixed     = requestSize    // the longest fixed part of a body
	minMessage   = prefixSize + 1 // the shortest message: its type alone
	maxErrorText = 4096

	// itemOverhead is what a queued message costs beyond its payload: it keeps queues of
	// empty messages bounded by the same limit.
	itemOverhead = 64
)

// errDamaged is the cause of a connection's end when what arrived on it makes no sense.
var errDamaged = errors.New("the stream is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// item is a message that waits to be written. The meaning of id and code depends on typ.
type item struct {
	payload []byte
	id      uint64 // request: the call; response: the peer's id; ping, pong: the token
	end     int    // set by the writer: offset in the current write behind this message
	millis  uint32 // request: remaining time, set when the writer takes it
	typ     uint8
	code    uint8 // request: kind; response: status
}

func (it *item) cost() int { return itemOverhead + len(it.payload) }

// appendHead appends the message without its payload: prefix, type and fixed part. The
// checksum includes the payload.
func (it *item) appendHead(b []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, it.typ)
	switch it.typ {
	case typeRequest:
		b = binary.LittleEndian.AppendUint64(b, it.id)
		b = append(b, it.code)
		b = binary.LittleEndian.AppendUint32(b, it.millis)
	case typeResponse:
		b = binary.LittleEndian.AppendUint64(b, it.id)
		b = append(b, it.code)
	case typePing, typePong:
		b = binary.LittleEndian.AppendUint64(b, it.id)
	}
	fixed := b[at+prefixSize:]
	sum := crc32.Update(0, castagnoli, fixed)
	if len(it.payload) > 0 {
		sum = crc32.Update(sum, castagnoli, it.payload)
	}
	binary.LittleEndian.PutUint32(b[at:], uint32(len(fixed)+len(it.payload)))
	binary.LittleEndian.PutUint32(b[at+4:], sum)
	return b
}

// prefix is the decoded start of a message.
type prefix struct {
	length int // of type and body
	sum    uint32
}

// decodePrefix reads the first prefixSize bytes of b. maxPayload is the longest payload
// that is allowed.
func decodePrefix(b []byte, maxPayload int) (prefix, error) {
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || int64(n) > int64(maxPayload)+1+maxFixed {
		return prefix{}, fmt.Errorf("%w: a message claims %d bytes, the limit is %d (does the peer have a larger one?)",
			errDamaged, n, maxPayload)
	}
	return prefix{length: int(n), sum: binary.LittleEndian.Uint32(b[4:])}, nil
}

// check compares the checksum with the message's type and body.
func (p prefix) check(content []byte) error {
	if sum := crc32.Update(0, castagnoli, content); sum != p.sum {
		return fmt.Errorf("%w: the checksum of a message of type %d and %d bytes is %08x, want %08x", errDamaged,
			content[0], len(content), sum, p.sum)
	}
	return nil
}

// firstAllocation is how much is allocated for a long message before any of it arrived.
const firstAllocation = 256 << 10

// readRest appends bytes from r to a copy of have until it has want of them. Memory grows with
// what arrives and not with what was claimed: it never exceeds twice the received bytes
// plus firstAllocation, or room where that is more.
func readRest(r io.Reader, have []byte, want, room int) ([]byte, error) {
	b := make([]byte, len(have), min(want, max(firstAllocation, 2*len(have), room)))
	copy(b, have)
	for len(b) < want {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), min(want, 2*cap(b)))
			copy(grown, b)
			b = grown
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil && len(b) < want {
			return nil, err
		}
	}
	return b, nil
}

// fifo is a queue of items. The zero value is empty.
type fifo struct {
	items []item
	head  int
}

func (q *fifo) len() int { return len(q.items) - q.head }

func (q *fifo) push(it item) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 {
		// Reuse the space of what was popped instead of growing; at most half is moved, so a
		// push costs constant time on average.
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, it)
}

// pop removes the oldest item. The queue must not be empty.
func (q *fifo) pop() item {
	it := q.items[q.head]
	q.items[q.head] = item{} // the queue must not keep the payload alive
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > maxIdleItems {
			q.items = nil // a burst's memory goes with it
		}
	}
	return it
}

// unpop puts items back before all others, in their order.
func (q *fifo) unpop(items []item) {
	if len(items) == 0 {
		return
	}
	rest := q.items[q.head:]
	q.items, q.head = append(append(make([]item, 0, len(items)+len(rest)), items...), rest...), 0
}

// maxIdleItems is how large an empty queue stays.
const maxIdleItems = 4096
