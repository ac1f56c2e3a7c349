package peer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"pxkv/node/kv"
)

// readBuffer is the size of a link's read buffer in bytes.
const readBuffer = 64 << 10

// read decodes what arrives until the connection ends. All messages that one read of the
// socket brought are handled before the next, and then the handler and the writer are told.
func (l *link) read() error {
	buf := make([]byte, readBuffer)
	have := 0 // bytes of buf that hold received data, from its start
	for {
		n, err := l.conn.Read(buf[have:])
		if n > 0 {
			l.reads.Add(1)
			l.p.traffic.receivedBytes.Add(uint64(n))
			have += n
			used, err := l.handleBuffered(buf[:have])
			if err != nil {
				return err
			}
			have = copy(buf, buf[used:have])
			if used, err = l.handleLong(buf[:have]); err != nil {
				return err
			}
			have -= used
		}
		if err != nil {
			return err
		}
	}
}

// handleBuffered handles all complete messages in b and returns how many bytes they have.
func (l *link) handleBuffered(b []byte) (used int, err error) {
	var arrival time.Time // read once per batch, and only if a request needs it
	var count uint64
	l.beginBatch()
	for len(b)-used >= minMessage {
		rest := b[used:]
		var p prefix
		if p, err = decodePrefix(rest, l.p.t.opt.MaxPayload); err != nil {
			break
		}
		if len(rest) < prefixSize+p.length {
			break
		}
		content := rest[prefixSize : prefixSize+p.length]
		if err = p.check(content); err != nil {
			break
		}
		if err = l.handle(content, false, &arrival); err != nil {
			break
		}
		used += prefixSize + p.length
		count++
	}
	l.endBatch(count)
	return used, err
}

// handleLong looks whether b, which begins with an incomplete message, begins with one that
// does not fit the buffer, and then reads and handles that one. used is 0 or all of b.
func (l *link) handleLong(b []byte) (used int, err error) {
	if len(b) < minMessage {
		return 0, nil
	}
	p, err := decodePrefix(b, l.p.t.opt.MaxPayload)
	if err != nil {
		return 0, err
	}
	if prefixSize+p.length <= readBuffer {
		return 0, nil
	}
	room := 0 // little is allocated on the word of a peer alone
	if l.expects(b[prefixSize:]) {
		room = p.length
	}
	content, err := readRest(countingReader{l}, b[prefixSize:], p.length, room)
	if err != nil {
		return 0, err
	}
	if err := p.check(content); err != nil {
		return 0, err
	}
	var arrival time.Time
	l.beginBatch()
	err = l.handle(content, true, &arrival)
	l.endBatch(1)
	return len(b), err
}

// expects reports whether a message, of which this is the beginning, answers a call.
func (l *link) expects(content []byte) bool {
	if len(content) < 1+responseSize || content[0] != typeResponse {
		return false
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	s := l.p.calls.get(binary.LittleEndian.Uint64(content[1:]))
	return s != nil && s.link == l
}

// countingReader reads from the link's connection and keeps the link alive while it does.
type countingReader struct{ l *link }

func (r countingReader) Read(b []byte) (int, error) {
	n, err := r.l.conn.Read(b)
	if n > 0 {
		r.l.reads.Add(1)
		r.l.p.traffic.receivedBytes.Add(uint64(n))
	}
	return n, err
}

// beginBatch keeps the writer asleep while replies are produced by the handler.
func (l *link) beginBatch() {
	l.p.mu.Lock()
	l.hold = true
	l.p.mu.Unlock()
}

func (l *link) endBatch(messages uint64) {
	l.p.traffic.receivedMessages.Add(messages)
	if messages > 0 {
		l.p.t.opt.Handler.BatchEnd()
	}
	l.p.mu.Lock()
	l.hold = false
	if l.answers() > 0 || len(l.control) > 0 || l.retiring || l.byeHeard ||
		(l.p.current == l && l.p.out.len() > 0) {
		l.unpark()
	}
	l.p.mu.Unlock()
}

// handle handles one message: its type and its body. owned says that content's memory may be
// handed on. arrival is when the batch arrived, or zero when nobody looked yet.
func (l *link) handle(content []byte, owned bool, arrival *time.Time) error {
	typ, body := content[0], content[1:]
	keep := func(payload []byte) []byte {
		if owned {
			return payload
		}
		return bytes.Clone(payload)
	}
	switch typ {
	case typeFrame:
		if err := l.p.t.opt.Handler.HandleFrame(l.remote, keep(body)); err != nil {
			return l.p.cannotRead(l.remote.Incarnation, err)
		}
	case typeRequest:
		if len(body) < requestSize {
			return malformed(typ, body)
		}
		if arrival.IsZero() {
			*arrival = time.Now()
		}
		left := time.Duration(binary.LittleEndian.Uint32(body[9:])) * time.Millisecond
		l.request(binary.LittleEndian.Uint64(body), body[8], arrival.Add(left), keep(body[requestSize:]))
	case typeResponse:
		if len(body) < responseSize {
			return malformed(typ, body)
		}
		l.p.answered(l, binary.LittleEndian.Uint64(body), body[8], keep(body[responseSize:]))
	case typePing, typePong:
		if len(body) != pingSize {
			return malformed(typ, body)
		}
		l.heartbeat(typ, binary.LittleEndian.Uint64(body))
	case typeBye:
		l.p.mu.Lock()
		l.byeHeard = true
		l.p.rehome()
		l.p.mu.Unlock()
	default:
		return fmt.Errorf("%w: a message has the unknown type %d", errDamaged, typ)
	}
	return nil
}

func malformed(typ uint8, body []byte) error {
	return fmt.Errorf("%w: a message of type %d has a body of %d bytes", errDamaged, typ, len(body))
}

// request hands a request to the handler, or refuses it when the peer has too much of this
// node in use already: requests that are not answered, or answers that it does not take.
func (l *link) request(id uint64, kind uint8, deadline time.Time, payload []byte) {
	t := l.p.t
	size := int64(len(payload))
	count, bytes := l.inbound.Add(1), l.inboundBytes.Add(size)
	if count > int64(t.opt.MaxInFlight) || (count > 1 && bytes > int64(t.opt.QueueBytes)) ||
		l.replyBytes.Load() > int64(t.opt.QueueBytes) || t.stopping.Load() ||
		!t.opt.Budget.Take(len(payload), kv.OfPeers) {
		l.reply(id, kind, size, nil, ErrNotSent)
		return
	}
	t.opt.Handler.HandleRequest(l.remote, kind, deadline, payload, func(answer []byte, err error) {
		t.opt.Budget.Give(int(size))
		l.reply(id, kind, size, answer, err)
	})
}

// heartbeat answers a ping, or learns from the answer to one.
func (l *link) heartbeat(typ uint8, token uint64) {
	if typ == typePong {
		if rtt := l.p.t.now() - int64(token); rtt > 0 {
			l.rtt.Store(rtt)
		}
		return
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if len(l.control) < maxControl {
		l.control = append(l.control, item{typ: typePong, id: token})
	}
}
