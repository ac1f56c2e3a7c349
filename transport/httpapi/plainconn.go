package httpapi

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
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

// door serves the plain requests of all connections. With the first request that is not
// plain it passes a connection on to net/http, and there it stays.
type door struct {
	server *Server
	base   context.Context // of all requests
	rest   *handover       // to net/http

	closing atomic.Bool
	conns   sync.WaitGroup // the connections that are here
	mu      sync.Mutex
	open    map[*conn]uint64 // the same, and conn.steps when abandoned looked last
}

func newDoor(base context.Context, s *Server, rest *handover) *door {
	return &door{server: s, base: base, rest: rest, open: map[*conn]uint64{}}
}

// accept takes connections until the listener is closed.
func (d *door) accept(l net.Listener) error {
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			c := nc.(*conn)
			ctx, cancel := context.WithCancel(d.base)
			c.cancel = cancel
			d.mu.Lock()
			d.open[c] = 0
			d.mu.Unlock()
			d.conns.Go(func() { d.serve(ctx, c) })
			continue
		}
		if temporary, ok := err.(interface{ Temporary() bool }); !ok || !temporary.Temporary() {
			return err
		}
		// Out of file descriptors, say: some will be free soon.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		d.server.log.Warn("HTTP connection not accepted", "error", err, "pause", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-d.base.Done():
			timer.Stop()
		}
	}
}

// serve answers the requests of a connection as long as they are plain.
func (d *door) serve(ctx context.Context, c *conn) {
	unusual := d.servePlain(ctx, c)
	c.cancel()
	d.mu.Lock()
	delete(d.open, c)
	d.mu.Unlock()
	if !unusual || !d.rest.pass(c) {
		c.Close()
	}
}

// servePlain reports whether net/http is to go on, from what was read and not answered.
func (d *door) servePlain(ctx context.Context, c *conn) bool {
	p, w := newPlainRequest(ctx, c.RemoteAddr().String()), newPlainWriter(c, &d.closing)
	in := plainInput{conn: c, idle: d.server.opt.IdleTimeout, small: make([]byte, smallPlainBytes)}
	in.buf = in.small
	defer in.release()
	c.answering = true
	what := incomplete
	err := arrivals(c.Conn, func() []byte {
		if what = in.room(&d.closing); what != incomplete {
			return nil
		}
		return in.buf[in.have:]
	}, func(n int) bool {
		in.have += n
		what = d.answerAll(p, w, &in)
		return what == incomplete
	})
	if err != nil {
		what = in.ended(err, &d.closing)
	}
	if what != unusual {
		return false
	}
	c.answering = false
	c.ahead = append([]byte(nil), in.buf[:in.have]...)
	return c.SetReadDeadline(time.Time{}) == nil
}

// answerAll answers the requests that are there. It returns incomplete when more is to come.
func (d *door) answerAll(p *plainRequest, w *plainWriter, in *plainInput) verdict {
	for {
		size, what := p.parse(in.buf[:in.have])
		if what != plain {
			return what
		}
		if !d.answer(p, w) {
			return closed
		}
		in.drop(size)
	}
}

// answer reports whether the connection can take another request.
func (d *door) answer(p *plainRequest, w *plainWriter) (goOn bool) {
	defer func() {
		if r := recover(); r != nil && r != http.ErrAbortHandler {
			panic(r) // exchange.finish lets no other one out
		}
	}()
	w.reset(p.http.Method == http.MethodHead)
	w.conn.steps.Add(1)
	defer w.conn.steps.Add(1)
	d.server.serve(w, &p.http)
	return w.finish() == nil && !w.last()
}

// stop ends connections that wait for a request at once, and the others after their answer.
func (d *door) stop() {
	d.closing.Store(true)
	d.each(func(c *conn) { c.SetReadDeadline(time.Unix(1, 0)) })
}

// cut ends all connections.
func (d *door) cut() { d.each(func(c *conn) { c.Close() }) }

func (d *door) each(f func(*conn)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.open {
		f(c)
	}
}

// wait returns when no connection is here any more, or ctx ends.
func (d *door) wait(ctx context.Context) error {
	gone := make(chan struct{})
	go func() {
		d.conns.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// plainInput is what a connection has sent and was not answered yet. Only a request that
// needs it has more than the small buffer.
type plainInput struct {
	conn     *conn
	idle     time.Duration
	small    []byte
	buf      []byte // small, or a large one from the pool
	large    *[]byte
	have     int       // bytes in buf
	deadline time.Time // that the connection has now
	began    time.Time // when the first byte of the pending request was there
}

// largePlain lends large buffers.
var largePlain = sync.Pool{New: func() any { b := make([]byte, plainBytes); return &b }}

// closed is the verdict on a connection that brings nothing any more.
const closed verdict = -1

// room sees to it that there is room for what comes next, and for how long it is waited for. It
// returns incomplete when that is to be read.
func (in *plainInput) room(closing *atomic.Bool) verdict {
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
	case in.have > 0:
		if in.began.IsZero() {
			in.began = now
		}
		in.limit(in.began.Add(plainPatience))
	case in.deadline.Sub(now) < in.idle-in.idle/8:
		// A timer is moved for every eighth of the idle time, not for every request.
		in.limit(now.Add(in.idle))
	}
	// After the deadline was set: stop stores closing before it moves all deadlines.
	if closing.Load() {
		return closed
	}
	return incomplete
}

// ended is what becomes of a connection that brings nothing more.
func (in *plainInput) ended(err error, closing *atomic.Bool) verdict {
	if in.have > 0 && errors.Is(err, os.ErrDeadlineExceeded) && !closing.Load() {
		return unusual
	}
	return closed
}

func (in *plainInput) limit(t time.Time) {
	in.deadline = t
	_ = in.conn.SetReadDeadline(t) // an error is the next read's as well
}

// drop forgets a request that was answered.
func (in *plainInput) drop(size int) {
	in.have = copy(in.buf, in.buf[size:in.have])
	in.began = time.Time{}
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
