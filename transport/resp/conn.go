package resp

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"pxkv/node/kv"
)

const (
	// smallInput is the buffer of an idle connection in bytes.
	smallInput = 4 << 10
	// largeInput is the buffer that a busy connection borrows.
	largeInput = 64 << 10
	// holdLarge is how long a connection without input keeps a large buffer.
	holdLarge = time.Second
	// linger bounds how long a connection that is told why it is closed still reads.
	linger = time.Second
)

// conn is one client. All of it belongs to the connection's goroutine.
type conn struct {
	server *Server
	net    net.Conn
	id     int64
	since  time.Time

	in       input
	small    []byte
	borrowed int  // bytes of the server's budget that in.buf takes
	full     bool // the last read filled the buffer: more is likely to come
	limited  bool // the connection has a read deadline

	*pipeline          // lent while there are commands
	cmd       *command // that is being handled
	render    render   // set by its handler
	sender    sender

	protocol int // 2 or 3
	name     string
	library  [2]string // name and version of the client library
	quit     bool      // close after the answers

	multi     *transaction // between MULTI and EXEC
	executing bool         // EXEC is running the queued commands

	watched      []kv.Watch
	watchedBytes int // of the server's budget
}

// serve answers commands until the client goes, breaks the protocol, or the server stops.
func (c *conn) serve() {
	defer c.release()
	for {
		c.borrowPipeline()
		err := c.answer()
		if err != nil {
			c.fail(err.Error())
		}
		sent := c.send()
		c.returnPipeline()
		switch {
		case err != nil && sent:
			c.linger()
			return
		case err != nil || !sent || c.quit:
			return
		}
		switch err := c.receive(); err {
		case nil:
		case errNoRoom:
			c.borrowPipeline()
			c.fail(errBuffers)
			c.send()
			c.returnPipeline()
			c.linger()
			return
		default:
			return
		}
	}
}

// answer carries out all complete commands that were received.
func (c *conn) answer() error {
	c.began = time.Now()
	var broken error
	for !c.quit {
		args, ok, err := c.in.next()
		if err != nil {
			broken = err
			c.server.metrics.protocolErrors.Inc()
		}
		if err != nil || !ok {
			break
		}
		c.dispatch(args)
	}
	c.settle()
	c.in.drop()
	return broken
}

// dispatch finds a command and checks all that can be checked without doing anything.
func (c *conn) dispatch(args [][]byte) {
	cmd, fault := c.server.table.find(args)
	if fault == "" {
		fault = cmd.checkKeys(args)
	}
	if fault == "" && c.multi != nil && cmd.flags&inMulti == 0 {
		c.enqueue(cmd, args)
		return
	}
	if fault != "" {
		if c.multi != nil {
			c.multi.failed = true
		}
		cmd = &c.server.table.refused
		args = append(args[:len(args):len(args)], []byte(fault))
	}
	c.run(cmd, args)
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
		// After the deadline was set: stop says that it closes before it moves all deadlines.
		if c.server.closing.Load() {
			return net.ErrClosed
		}
		n, err := c.net.Read(c.in.buf[c.in.w:])
		c.in.w += n
		switch {
		case n > 0:
			c.full = c.in.w == len(c.in.buf)
			return nil
		case c.in.w == 0 && c.borrowed > 0 && errors.Is(err, os.ErrDeadlineExceeded):
			c.shrink()
		default:
			return err
		}
	}
}

func (c *conn) limit(t time.Time) {
	c.limited = !t.IsZero()
	_ = c.net.SetReadDeadline(t) // an error is the next read's as well
}

// makeRoom sees to it that there is room for the next piece of input: a full buffer grows, to
// what is known to come or to twice of what is there, so that memory follows what was really
// sent.
func (c *conn) makeRoom() error {
	in := &c.in
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
	if !c.server.buffers.take(size) {
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
		c.server.buffers.give(c.borrowed)
		c.server.giveLargeBuffer(c.in.buf)
		c.borrowed = 0
	}
}

// release gives back everything at the end.
func (c *conn) release() {
	c.sender.stop()
	c.net.Close()
	c.endMulti()
	c.giveBuffer()
	c.in = input{}
}

// linger reads on for a moment: closing with unread input would reset the connection and
// destroy the answer on its way.
func (c *conn) linger() {
	c.sender.stop()
	half, ok := c.net.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.net.SetReadDeadline(time.Now().Add(linger))
	if c.server.closing.Load() {
		return
	}
	_, _ = io.CopyN(io.Discard, c.net, 1<<20)
}

func (c *conn) borrowPipeline() {
	c.pipeline = c.server.pipelines.Get().(*pipeline)
	c.in.words, c.words = c.words, nil
}

func (c *conn) returnPipeline() {
	if cap(c.out) > keepOut {
		c.out = nil
	}
	if cap(c.ready) > keepOut {
		c.ready = nil
	}
	if cap(c.in.words) <= keepWords {
		c.words = c.in.words
	}
	c.in.words = nil
	c.server.pipelines.Put(c.pipeline)
	c.pipeline = nil
}

// send sends the answers. It reports false when the client is gone or does not take them.
func (c *conn) send() bool {
	ok := c.sender.send(c.out)
	c.out = c.out[:0]
	return ok
}

func (c *conn) address() string { return c.net.RemoteAddr().String() }
