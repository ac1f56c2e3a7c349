package peer

import (
	"net"
	"syscall"
	"time"
)

// While a link is idle, whoever has something to say writes it, instead of waking the writer
// for it: a wakeup costs as much as the write, and on an idle machine several times as much,
// and a lone put passes through six of them. Whoever writes so stands in for the parked
// writer, and writes only what the system takes at once: nobody waits for a slow peer but
// the writer itself. What is said meanwhile is queued, and the writer is woken for it.

const (
	// earlyBytes is how much is written so: about what a socket buffer always has room for.
	earlyBytes = 64 << 10
	// idleAfter is how long after a write a link counts as idle. Of many messages in a row only
	// the first is written so; the writer gathers the others and writes them together.
	idleAfter = 100 * time.Microsecond
)

// start lets what is queued be written. When it returns true the caller has the writer's
// place, and must call writeEarly once p.mu is released; else the writer sees to it, or the
// end of the reader's batch. p.mu is held.
func (l *link) start() bool {
	if !l.parked || l.hold || l.dead || l.retiring || l.byeHeard || l.atOnce == nil || l.replyBytes+l.p.outBytes > earlyBytes ||
		l.p.t.now()-l.wrote < int64(idleAfter) {
		l.kick()
		return false
	}
	if l.fill(&l.early); len(l.early.items) == 0 {
		return false
	}
	l.parked = false
	return true
}

// writeEarly writes what start took, and gives the writer its place back.
func (l *link) writeEarly() {
	b := &l.early
	if b.encode(); len(b.cuts) == 0 {
		b.written = l.atOnce(b.buf)
	}
	whole := len(b.cuts) == 0 && b.written == len(b.buf)
	if whole {
		l.count(b, int64(b.written))
		b.reset()
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.parked = true
	l.wrote = l.p.t.now()
	l.resume = !whole
	if l.resume || l.dead || l.hasWork() {
		l.unpark()
	}
}

// hasWork reports whether the writer would find something to do. p.mu is held.
func (l *link) hasWork() bool {
	return l.replies.len() > 0 || len(l.control) > 0 || l.retiring || l.byeHeard || l.p.current == l && l.p.out.len() > 0
}

// atOnce returns a function that writes what a connection takes without waiting and says how
// much that was, or nil where there is none.
func atOnce(c net.Conn) func([]byte) int {
	s, ok := c.(syscall.Conn)
	if !ok || !canWriteAtOnce {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return func(b []byte) int { return writeAtOnce(raw, b) }
}
