package http1

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"pxkv/transport/socket"
)

// minProgress is how many bytes a client must take per Limits.WriteStall.
const minProgress = 32 << 10

// conn is an accepted connection. It drops a client that does not take its answer, and
// counts itself out of the listener when it closes.
type conn struct {
	net.Conn
	owner  *listener
	closed atomic.Bool
	// answering is true from the moment a handler has a request until its answer has left.
	// Only the connection's own goroutine uses it.
	answering bool
	// writeBy is the write deadline that the connection has.
	writeBy time.Time
	// unread says that the client may still send what it was answered to.
	unread atomic.Bool
	// ahead was read before the connection came to net/http.
	ahead []byte
	// stage is where net/http is. mu guards it, and the read deadline with it.
	mu    sync.Mutex
	stage stage
	// looks are those that were taken at a connection that is to end.
	looks int
	// progress is odd while a plain request is being answered, and grows with each.
	progress atomic.Uint64
	// cancel ends the context of the plain requests.
	cancel context.CancelFunc
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p)
	for errors.Is(err, os.ErrDeadlineExceeded) && c.looksAgain() {
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.enter(requested)
	}
	return n, err
}

// stage is where net/http is with a connection.
type stage int

const (
	requested stage = iota // a request is read or answered, or there was none yet
	answered               // an answer has left
	waiting                // the next request is waited for, of which nothing was read yet
)

func (c *conn) enter(s stage) {
	c.mu.Lock()
	c.stage = s
	c.mu.Unlock()
}

// SetReadDeadline implements net.Conn. Behind an answer net/http sets one for the time until the next request, and
// another one when that has begun. Where the connection is to end nobody waits for one: there is only a look.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.stage {
	case answered:
		c.stage = waiting
		if c.owner.Closing() {
			t = time.Now().Add(socket.LastLook)
		}
	case waiting:
		c.stage = requested
	}
	return c.Conn.SetReadDeadline(t)
}

// wake ends the wait for a next request, when the listener is closing: a wait that begins later does not last.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == waiting {
		_ = c.Conn.SetReadDeadline(time.Unix(1, 0)) // an error is the read's as well
	}
}

// looksAgain reports whether there is to be another look at what a connection has brought that is to end.
func (c *conn) looksAgain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != waiting || c.looks == mostLooks || !c.owner.Closing() {
		return false
	}
	c.looks++
	return c.Conn.SetReadDeadline(time.Now().Add(socket.LastLook)) == nil
}

// connKey is the key under which a request's context holds its connection.
type connKey struct{}

// Close implements net.Conn. A client that may still send gets the answer first.
func (c *conn) Close() error {
	if !c.closed.Swap(true) {
		if c.unread.Load() && !c.owner.Closing() {
			c.linger()
		}
		c.owner.Leave()
	}
	return c.Conn.Close()
}

// SetWriteDeadline implements net.Conn. net/http takes the deadline away after each answer.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeBy = t
	return c.Conn.SetWriteDeadline(t)
}

// Write implements net.Conn. Its deadline moves with the client's progress, so that a long
// answer may take hours but never stand still. The deadline lives here and not in each
// handler because then no answer can be forgotten.
func (c *conn) Write(p []byte) (written int, err error) {
	if !c.answering {
		if own := c.owner.reword.ofServerError(p); own != nil {
			c.unread.Store(true)
			if _, err := c.Conn.Write(own); err != nil {
				return 0, err
			}
			return len(p), nil
		}
	}
	// What the system takes at once is not what the client takes, so progress is looked at in short steps: else
	// the first wait would end with much taken, and a second one begin.
	step, stall := c.owner.stall/8, c.owner.stall
	for since, taken := time.Now(), 0; ; {
		// A timer is moved for every half step, not for every answer.
		if now := time.Now(); c.writeBy.Sub(now) < step/2 {
			if err := c.SetWriteDeadline(now.Add(step)); err != nil {
				return written, err
			}
		}
		n, err := c.Conn.Write(p[written:])
		written, taken = written+n, taken+n
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
		if now := time.Now(); taken >= minProgress {
			since, taken = now, 0
		} else if now.Sub(since) >= stall {
			return written, err
		}
	}
}
