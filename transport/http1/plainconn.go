package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"pxkv/transport/socket"
)

const (
	// plainBytes bounds a plain request, body included.
	plainBytes = 32 << 10
	// smallPlainBytes is the buffer that a connection keeps while it is idle.
	smallPlainBytes = 2 << 10
	// plainPatience is how long the rest of a plain request is waited for. net/http, with its
	// time limits for slow clients, takes over then.
	plainPatience = 250 * time.Millisecond
)

// plainServer serves the plain requests of all connections. With the first request that is not
// plain it passes a connection on to net/http, and there it stays.
type plainServer struct {
	server *Server
	base   context.Context // of all requests
	rest   *handover       // to net/http

	mu   sync.Mutex
	open map[*conn]glance // the connections that are here, and what abandoned saw when it looked last

	opened chan struct{} // one slot: a connection has come
}

func newPlainServer(base context.Context, server *Server, rest *handover) *plainServer {
	return &plainServer{server: server, base: base, rest: rest, open: map[*conn]glance{},
		opened: make(chan struct{}, 1)}
}

// serve answers the requests of a connection as long as they are plain. Whoever closes it gives its place back.
func (s *plainServer) serve(nc net.Conn) (handedOn bool) {
	ctx, cancel := context.WithCancel(s.base)
	c := &conn{Conn: nc, owner: s.server.listener, cancel: cancel}
	s.mu.Lock()
	s.open[c] = glance{}
	s.mu.Unlock()
	select {
	case s.opened <- struct{}{}:
	default:
	}
	unusual := s.servePlain(ctx, c)
	cancel()
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	if !unusual || !s.rest.pass(c) {
		_ = c.Close()
	}
	return true
}

// servePlain reports whether net/http is to go on, from what was read and not answered.
func (s *plainServer) servePlain(ctx context.Context, c *conn) (goOn bool) {
	defer s.survive(c)
	p, w := newPlainRequest(ctx, c.RemoteAddr().String(), s.server.opt.Plain), newPlainWriter(c)
	in := plainInput{
		conn: c, idle: s.server.opt.Limits.IdleTimeout, small: make([]byte, smallPlainBytes), came: time.Now(),
	}
	in.buf = in.small
	defer in.release()
	c.answering = true
	what := incomplete
	room := func() []byte {
		if what = in.room(); what != incomplete {
			return nil
		}
		return in.buf[in.have:]
	}
	got := func(n int) bool {
		in.have += n
		in.behind += n
		what = s.answerAll(p, w, &in)
		return what == incomplete
	}
	err := arrivals(c.Conn, room, got)
	for errors.Is(err, os.ErrDeadlineExceeded) && in.looksAgain() {
		err = arrivals(c.Conn, room, got)
	}
	if err != nil {
		what = in.ended(err)
	}
	if what != unusual {
		return false
	}
	c.answering = false
	c.ahead = append([]byte(nil), in.buf[:in.have]...)
	return c.SetReadDeadline(time.Time{}) == nil
}

// survive keeps a mistake in the reading of requests and the writing of answers from ending the node:
// the connection is closed. So it is with one in the handler that the handler lets out.
func (s *plainServer) survive(c *conn) {
	if r := recover(); r != nil {
		s.server.opt.Panics.Inc()
		s.server.opt.Logger.Error("a mistake in the HTTP server: the connection is closed, the node goes on",
			"client", c.RemoteAddr(), "panic", r, "stack", string(debug.Stack()))
	}
}

// answerAll answers the requests that are there. It returns incomplete when more is to come.
func (s *plainServer) answerAll(p *plainRequest, w *plainWriter, in *plainInput) verdict {
	for in.isRequest() {
		in.skipBlank()
		size, what := p.parse(in.buf[:in.have])
		if what != plain {
			return what
		}
		w.more = in.have-size >= leastBehind
		if !s.answer(p, w) {
			return closed
		}
		in.drop(size)
		if p.http.Method == http.MethodPost {
			in.blank = mostBlank
		}
	}
	return incomplete
}

// answer reports whether the connection can take another request.
func (s *plainServer) answer(p *plainRequest, w *plainWriter) (goOn bool) {
	defer func() {
		if r := recover(); r != nil && r != http.ErrAbortHandler { //nolint:errorlint // a panic is no wrapped error
			panic(r) // a mistake: see survive
		}
	}()
	w.reset(p.http.Method == http.MethodHead)
	w.conn.progress.Add(1)
	defer w.conn.progress.Add(1)
	s.server.opt.Handler.ServeHTTP(w, &p.http)
	return w.finish() == nil && !w.last()
}

// plainInput is what a connection has sent and was not answered yet. Only a request that
// needs it has more than the small buffer.
type plainInput struct {
	conn     *conn
	came     time.Time
	idle     time.Duration
	small    []byte
	buf      []byte // small, or a large one from the pool
	large    *[]byte
	have     int       // bytes in buf
	deadline time.Time // that the connection has now
	began    time.Time // when the first byte of the pending request was there
	blank    int       // bytes of blank lines that may still be passed over
	answered bool      // a request was answered
	behind   int       // bytes that came behind the last one
	looks    int       // that were taken at a connection that is to end
}

// largePlain lends large buffers.
var largePlain = sync.Pool{New: func() any { b := make([]byte, plainBytes); return &b }}

// closed is the verdict on a connection that brings nothing any more.
const closed verdict = -1

// room sees to it that there is room for what comes next, and for how long it is waited for. It
// returns incomplete when that is to be read.
func (in *plainInput) room() verdict {
	if in.have == len(in.buf) {
		if in.large != nil {
			return unusual
		}
		in.large = largePlain.Get().(*[]byte)
		copy(*in.large, in.buf)
		in.buf = *in.large
	}
	now := time.Now()
	switch {
	case in.looks > 0:
		return incomplete // for as long as the look takes
	case in.have > 0 && in.isRequest():
		if in.began.IsZero() {
			in.began = now
		}
		in.limit(in.began.Add(plainPatience))
	case in.deadline.Sub(now) < in.idle-in.idle/8:
		// A timer is moved for every eighth of the idle time, not for every request.
		in.limit(now.Add(in.idle))
	}
	in.looksAgain() // after the deadline was set, see socket.Listener.Wake
	return incomplete
}

// mostLooks is one that Wake may cut short, and another one.
const mostLooks = 2

// looksAgain has a look at what a connection has brought that is to end, a long one at one that is new and has brought
// nothing. It reports whether that is to be taken.
func (in *plainInput) looksAgain() bool {
	if in.looks == mostLooks || !in.conn.owner.Closing() {
		return false
	}
	in.looks++
	until := time.Now().Add(socket.LastLook)
	if first := in.came.Add(socket.FirstWords); !in.answered && in.have == 0 && first.After(until) {
		until = first
	}
	in.limit(until)
	return true
}

// ended is what becomes of a connection that brings nothing more. To the beginning of a request
// without its end net/http has an answer, and time for the rest of it, also when the connection is to end.
func (in *plainInput) ended(err error) verdict {
	began := in.have > 0 && in.isRequest()
	if began && (errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded)) {
		return unusual
	}
	return closed
}

// isRequest reports whether what is there may be looked at.
func (in *plainInput) isRequest() bool { return !in.answered || in.behind >= leastBehind }

// leastBehind is how many bytes may be the beginning of another request. In the eyes of net/http fewer behind a request
// are not, and no reason to complain.
const leastBehind = 4

// mostBlank is how many bytes of blank lines are passed over behind a POST, as net/http does: some
// old clients send a line end that they do not count (RFC 9112, section 2.2).
const mostBlank = 4

// skipBlank passes over blank lines where those are suffered.
func (in *plainInput) skipBlank() {
	n := 0
	for n < in.have && n < in.blank && (in.buf[n] == '\r' || in.buf[n] == '\n') {
		n++
	}
	if n > 0 {
		in.have = copy(in.buf, in.buf[n:in.have])
	}
	if in.blank -= n; in.have > 0 {
		in.blank = 0
	}
}

func (in *plainInput) limit(t time.Time) {
	in.deadline = t
	_ = in.conn.SetReadDeadline(t) // an error is the next read's as well
}

// drop forgets a request that was answered.
func (in *plainInput) drop(size int) {
	in.have = copy(in.buf, in.buf[size:in.have])
	in.began, in.answered, in.behind = time.Time{}, true, in.have
	if in.have == 0 {
		in.release()
	}
}

func (in *plainInput) release() {
	if in.large != nil {
		largePlain.Put(in.large)
		in.large, in.buf = nil, in.small
	}
}

// handover is the listener from which net/http gets the connections that are not plain.
type handover struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newHandover(addr net.Addr) *handover {
	return &handover{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

// pass reports whether the connection was taken.
func (h *handover) pass(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handover) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }
