package resp

import (
	"errors"
	"net"
	"os"
	"time"
	"unsafe"

	"pxkv/node/kv"
	"pxkv/transport/socket"
)

const (
	// holdLarge is how long a connection without input keeps a large buffer.
	holdLarge = time.Second
	// lingerBytes bounds what is taken of a client that is told why its connection is closed, and may still
	// be sending: a value that was too long is thrown away (see socket.Discard).
	lingerBytes = 256 << 20
)

// conn is the connection of one client: it brings commands in, and answers out. All of it belongs to the
// connection's goroutine.
type conn struct {
	server  *Server
	net     net.Conn
	session session
	handler handler

	in       input
	small    []byte
	borrowed int  // bytes of in.buf, counted in kept
	worded   int  // bytes of what is known of an unfinished command, counted in kept
	full     bool // the last read filled the buffer: more is likely to come
	heard    bool // the client has said something
	limited  bool // the connection has a read deadline
	looks    int  // that were taken at a connection that is to end
	pauses   int  // in which nothing came of the rest of a command there
	sender   sender

	// kept counts what is held between commands too: input, transactions, answers that wait.
	kept kv.Account
}

// newConn makes a connection that does not serve yet.
func newConn(s *Server, nc net.Conn) *conn {
	limits := &s.opt.Limits
	c := &conn{server: s, net: nc, small: make([]byte, limits.SmallInput)}
	c.kept.Open(s.opt.Budget, kv.OfClients)
	c.in = newInput(c.small, s.opt.MaxValueBytes, s.opt.maxCommandBytes())
	c.sender = sender{
		net: nc, stall: s.opt.WriteStall, max: s.opt.MaxOutputBytes,
		piece: limits.SendPiece, large: limits.SendAbove, account: &c.kept,
	}
	c.session = session{
		id: s.nextID.Add(1), since: time.Now(), remote: nc.RemoteAddr(), local: nc.LocalAddr(), protocol: 2,
		kept: &c.kept,
	}
	c.handler = handler{server: s, session: &c.session, in: &c.in, sender: &c.sender}
	return c
}

// serve answers commands until the client goes, breaks the protocol, or the server stops.
func (c *conn) serve() {
	defer c.release()
	h := &c.handler
	for {
		h.borrowPipeline()
		err := c.answer()
		for err == nil && c.hasMore() {
			if len(h.out) > c.server.opt.Limits.SendAbove {
				h.send()
			}
			err = c.answer()
		}
		if err != nil {
			h.fail(err)
		}
		ends := err != nil || c.parts()
		if ends {
			socket.Cork(c.net)
		}
		sent := h.send()
		h.returnPipeline()
		switch {
		case ends && sent:
			c.linger()
			return
		case ends || !sent || c.session.quit:
			return
		}
		switch err := c.receive(); {
		case err == nil:
		case errors.Is(err, errNoRoom):
			h.borrowPipeline()
			h.fail(errBuffers)
			h.send()
			h.returnPipeline()
			c.linger()
			return
		default:
			return
		}
	}
}

// answer carries out all complete commands that were received.
func (c *conn) answer() *failure {
	h := &c.handler
	h.began = time.Now()
	var broken *failure
	for !c.session.quit {
		args, ok, err := c.in.next()
		if err != nil {
			broken = err
			c.server.metrics.protocolErrors.Inc()
		}
		if err != nil || !ok {
			break
		}
		h.dispatch(args)
	}
	if broken == nil && !c.holdWords() {
		broken = errBuffers
	}
	h.settle()
	c.in.drop()
	return broken
}

// parts reports whether the connection ends behind the answers: they say that the server stops, and nothing has begun
// that is still to be answered.
func (c *conn) parts() bool { return c.handler.leaving && c.in.w == 0 }

// hasMore looks, before a client is told for the last time, whether it has sent more, which is to be answered as well.
func (c *conn) hasMore() bool {
	if !c.parts() || !c.mayRead() {
		return false
	}
	c.limit(time.Now().Add(socket.LastLook))
	n, _ := c.net.Read(c.in.buf) // an error is that of the next read, or there is nothing
	c.in.w = n
	return n > 0
}

// holdWords counts what is known of an unfinished command, which may have very many words, and
// reports whether there is room for it.
func (c *conn) holdWords() bool {
	size := cap(c.in.begun) * int(unsafe.Sizeof(c.in.begun[0]))
	if more := size - c.worded; more < 0 {
		c.kept.Give(-more)
	} else if more > 0 && !c.kept.Take(more) {
		return false
	}
	c.worded = size
	return true
}

var errNoRoom = errors.New("no room for more input")

// receive waits for more input.
func (c *conn) receive() error {
	if err := c.makeRoom(); err != nil {
		return err
	}
	for {
		now := time.Now()
		switch o := &c.server.opt; {
		case c.in.w > 0:
			c.limit(now.Add(o.ReadStall))
		case c.borrowed > 0:
			c.limit(now.Add(holdLarge))
		case o.IdleTimeout > 0:
			c.limit(now.Add(o.IdleTimeout))
		case c.limited:
			c.limit(time.Time{})
		}
		if !c.mayRead() { // after the deadline was set, see socket.Listener.Wake
			return net.ErrClosed
		}
		n, err := c.net.Read(c.in.buf[c.in.w:])
		c.in.w += n
		switch {
		case n > 0:
			c.full, c.heard, c.pauses = c.in.w == len(c.in.buf), true, 0
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && c.server.listener.Closing(): // look again
			c.pauses++
		case c.in.w == 0 && c.borrowed > 0 && errors.Is(err, os.ErrDeadlineExceeded):
			c.shrink()
		default:
			return err
		}
	}
}

// mostLooks is one that Wake may cut short, and another one.
const mostLooks = 2

// restPause is how long the rest of a command is waited for on a connection that is to end, from each byte on. Whoever
// is cut off in the middle of one cannot know that it was not carried out: only an answer says so.
const restPause = time.Second

// mayRead limits the next read where the connection is to end, to a look unless a command has begun or the client is
// new and has said nothing yet, and reports whether there is to be one.
func (c *conn) mayRead() bool {
	switch {
	case !c.server.listener.Closing():
		return true
	case c.in.w > 0:
		c.limit(time.Now().Add(min(restPause, c.server.opt.ReadStall)))
		return c.pauses < mostLooks
	}
	c.looks++
	until := time.Now().Add(socket.LastLook)
	if first := c.session.since.Add(socket.FirstWords); !c.heard && first.After(until) {
		until = first
	}
	c.limit(until)
	return c.looks <= mostLooks
}

func (c *conn) limit(t time.Time) {
	c.limited = !t.IsZero()
	_ = c.net.SetReadDeadline(t) // an error is the next read's as well
}

// makeRoom sees to it that there is room for the next piece of input: a full buffer grows, to
// what is known to come or to twice of what is there, so that memory follows what was really
// sent.
func (c *conn) makeRoom() error {
	in, largeInput := &c.in, c.server.opt.Limits.LargeInput
	switch {
	case in.w == 0 && len(in.buf) > largeInput:
		c.shrink()
		return nil
	case in.w < len(in.buf) && (!c.full || len(in.buf) >= largeInput):
		return nil
	}
	c.full = false
	size := largeInput
	if len(in.buf) >= largeInput {
		size = 2 * len(in.buf)
		if want := in.want(); want > len(in.buf) && want < size {
			size = want
		}
	}
	if !c.kept.Take(size) {
		if in.w < len(in.buf) {
			return nil // it will do
		}
		return errNoRoom
	}
	buf := c.server.largeBuffer(size)
	copy(buf, in.buf[:in.w])
	c.giveBuffer()
	in.buf, c.borrowed = buf, size
	return nil
}

// shrink goes back to the small buffer. There is no input then.
func (c *conn) shrink() {
	c.giveBuffer()
	c.in.buf = c.small
}

func (c *conn) giveBuffer() {
	if c.borrowed > 0 {
		c.kept.Give(c.borrowed)
		c.server.giveLargeBuffer(c.in.buf)
		c.borrowed = 0
	}
}

// release gives back everything at the end.
func (c *conn) release() {
	c.sender.stop()
	c.net.Close()
	c.session.endMulti()
	c.giveBuffer()
	c.in = input{}
	c.kept.Close()
}

// linger sees to it that the last answer reaches a client that is still sending.
func (c *conn) linger() {
	c.sender.stop()
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.shrink()
	socket.Discard(c.net, c.in.buf, lingerBytes, c.server.listener.Closing)
}
