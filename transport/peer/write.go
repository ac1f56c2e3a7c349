package peer

import (
	"net"
	"runtime"
)

// How much one write takes from each of the two queues, so that neither starves the other.
const (
	writeBytes = 256 << 10
	writeItems = 2048
)

// inlinePayload is the longest payload that is copied into the write buffer. Longer ones
// are handed to the system where they lie.
const inlinePayload = 16 << 10

// batch is what one write carries.
type batch struct {
	items []item
	held  int         // bytes of the budget for answers in items
	buf   []byte      // heads and short payloads
	cuts  []cut       // long payloads that go between the bytes of buf
	vec   net.Buffers // storage for the pieces of a write with cuts
}

type cut struct {
	at      int // offset in buf
	payload []byte
}

// write is the writer goroutine. It takes what is queued, writes it, and looks again; it
// parks only when there is nothing, so that a busy link costs no wakeups.
func (l *link) write() {
	var b batch
	for {
		ok, bye := l.take(&b)
		if !ok {
			return
		}
		n, err := b.writeTo(l.conn)
		l.p.t.opt.Budget.Give(b.held)
		b.held = 0
		l.p.traffic.writes.Add(1)
		l.p.traffic.sentBytes.Add(uint64(n))
		l.p.traffic.sentMessages.Add(uint64(len(b.items)))
		if err != nil {
			l.writeFailed(&b, n, err)
			return
		}
		b.reset()
		if bye {
			l.p.mu.Lock()
			l.byeSent = true
			l.p.mu.Unlock()
		}
	}
}

// take fills b, and waits while there is nothing to write. ok is false when the link is dead
// or finished. bye says that b ends with this side's bye.
func (l *link) take(b *batch) (ok, bye bool) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	for {
		if l.dead {
			return false, false
		}
		if bye = l.fill(b); len(b.items) > 0 {
			return true, bye
		}
		if l.finished() {
			closeWrite(l.conn) // the reader goes on until the peer has done the same
			return false, false
		}
		l.parked = true
		l.p.mu.Unlock()
		<-l.wake
		// Let those who are runnable queue what they have: one write then carries it all.
		runtime.Gosched()
		l.p.mu.Lock()
	}
}

// fill moves from the queues to b what one write should carry. From here on the requests in b
// count as written. p.mu is held.
func (l *link) fill(b *batch) (bye bool) {
	p := l.p
	b.items = append(b.items, l.control...)
	l.control = l.control[:0]

	taken := 0
	for n := 0; l.replies.len() > 0 && taken < writeBytes && n < writeItems; n++ {
		cost := l.takeReply(b, &l.replies)
		taken += cost
		l.shortBytes -= int64(cost)
	}
	// one at least: none waits for ever
	for first := true; l.long.len() > 0 && (taken < writeBytes || first); first = false {
		taken += l.takeReply(b, &l.long)
	}
	if l.retiring || l.byeHeard {
		if !l.byeSent && l.answers() == 0 {
			l.retiring = true
			b.items = append(b.items, item{typ: typeBye})
			return true
		}
		return false
	}
	if p.current != l || p.out.len() == 0 {
		return false
	}
	now := p.t.now()
	for bytes, n := 0, 0; p.out.len() > 0 && bytes < writeBytes && n < writeItems; n++ {
		it := p.out.pop()
		p.outBytes -= it.cost()
		if it.typ == typeRequest && !l.claim(&it, now) {
			continue
		}
		bytes += it.cost()
		b.items = append(b.items, it)
	}
	return false
}

// takeReply moves the oldest reply of a queue to b, and returns what it costs. p.mu is held.
func (l *link) takeReply(b *batch, from *fifo) int {
	it := from.pop()
	b.items = append(b.items, it)
	b.held += it.cost()
	l.replyBytes.Add(-int64(it.cost()))
	return it.cost()
}

// claim marks a request as written to l, unless it has ended or its time is over (then
// housekeeping is about to end it, and it must not be written any more).
func (l *link) claim(it *item, now int64) bool {
	s := l.p.calls.get(it.id)
	if s == nil || s.deadline <= now {
		return false
	}
	s.link = l
	l.sentCalls++
	it.millis = millis(s.deadline - now)
	return true
}

// millis turns nanoseconds into the milliseconds of the wire, rounded up.
func millis(ns int64) uint32 {
	const most = 1<<32 - 1
	return uint32(min((ns+999_999)/1_000_000, most))
}

// writeFailed gives back the requests of b of which the peer cannot have all bytes: they
// were certainly not processed and take another link. n bytes were written.
func (l *link) writeFailed(b *batch, n int64, err error) {
	p := l.p
	p.mu.Lock()
	defer p.mu.Unlock()
	var unsent []item
	for _, it := range b.items {
		if it.typ != typeRequest || int64(it.end) <= n {
			continue
		}
		if s := p.calls.get(it.id); s != nil {
			s.link = nil
			l.sentCalls--
			p.outBytes += it.cost()
			unsent = append(unsent, it)
		}
	}
	p.out.unpop(unsent)
	l.close(err)
}

// writeTo encodes the items and writes them. It returns how many bytes the system took.
func (b *batch) writeTo(conn net.Conn) (int64, error) {
	end := 0
	for i := range b.items {
		it := &b.items[i]
		before := len(b.buf)
		b.buf = it.appendHead(b.buf)
		end += len(b.buf) - before + len(it.payload)
		it.end = end
		if len(it.payload) <= inlinePayload {
			b.buf = append(b.buf, it.payload...)
		} else {
			b.cuts = append(b.cuts, cut{len(b.buf), it.payload})
		}
	}
	if len(b.cuts) == 0 {
		n, err := conn.Write(b.buf)
		return int64(n), err
	}
	vec, from := b.vec[:0], 0
	for _, c := range b.cuts {
		vec = append(vec, b.buf[from:c.at], c.payload)
		from = c.at
	}
	if from < len(b.buf) {
		vec = append(vec, b.buf[from:])
	}
	b.vec = vec
	return vec.WriteTo(conn)
}

// reset forgets what was written, so that it can be collected, and keeps the storage.
func (b *batch) reset() {
	clear(b.items)
	clear(b.cuts)
	clear(b.vec[:cap(b.vec)])
	b.items, b.cuts, b.buf = b.items[:0], b.cuts[:0], b.buf[:0]
	if cap(b.buf) > 2*writeBytes {
		b.buf = nil
	}
}

func closeWrite(conn net.Conn) {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite() // a broken connection shows itself to the reader
	}
}
