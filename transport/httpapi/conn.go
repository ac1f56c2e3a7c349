package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// minProgress is how many bytes a client must take per Options.WriteStall.
	minProgress = 32 << 10
	// maxRefusing bounds the connections that are being told that there are too many.
	maxRefusing = 64
	// refusalTime bounds how long such a connection may still occupy a file descriptor.
	refusalTime = time.Second
)

// listener hands out connections up to a limit and answers 503 to those beyond it.
type listener struct {
	net.Listener
	max      int64
	stall    time.Duration
	metrics  *metrics
	open     atomic.Int64
	refusing chan struct{} // one token for each connection being refused
	refusals sync.WaitGroup
}

func newListener(l net.Listener, o Options, m *metrics) *listener {
	return &listener{Listener: l, max: int64(o.MaxConns), stall: o.WriteStall, metrics: m, refusing: make(chan struct{}, maxRefusing)}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.max {
			return &conn{Conn: c, owner: l}, nil
		}
		l.open.Add(-1)
		l.metrics.rejected.Inc()
		select {
		case l.refusing <- struct{}{}:
			l.refusals.Go(func() {
				refuse(c)
				<-l.refusing
			})
		default: // a flood: no time for manners
			c.Close()
		}
	}
}

// wait returns when no refusal is under way.
func (l *listener) wait() { l.refusals.Wait() }

const tooManyConnectionsBody = `{"error":"Too many connections","code":"too_many_clients"}`

var tooManyConnections = []byte("HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n" +
	"Connection: close\r\nContent-Length: " + strconv.Itoa(len(tooManyConnectionsBody)) + "\r\n\r\n" + tooManyConnectionsBody)

// refuse answers 503 and closes. Closing with unread input would reset the connection and
// destroy the answer on its way, so the input is read for a moment first.
func refuse(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(refusalTime))
	if _, err := c.Write(tooManyConnections); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		io.CopyN(io.Discard, c, 64<<10)
	}
}

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
	// ahead was read before the connection came to net/http.
	ahead []byte
	// steps is odd while a plain request is being answered, and grows with each.
	steps atomic.Uint64
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
	return c.Conn.Read(p)
}

// connKey is the key under which a request's context holds its connection.
type connKey struct{}

// Close implements net.Conn.
func (c *conn) Close() error {
	if !c.closed.Swap(true) {
		c.owner.open.Add(-1)
	}
	return c.Conn.Close()
}

// Write implements net.Conn. Its deadline moves with the client's progress, so that a long
// answer may take hours but never stand still. The deadline lives here and not in each
// handler because then no answer can be forgotten.
func (c *conn) Write(p []byte) (written int, err error) {
	if !c.answering {
		if own := jsonOfServerError(p); own != nil {
			if _, err := c.Conn.Write(own); err != nil {
				return 0, err
			}
			return len(p), nil
		}
	}
	for {
		// A timer is moved for every eighth of the time, not for every answer.
		if now := time.Now(); c.writeBy.Sub(now) < c.owner.stall {
			c.writeBy = now.Add(c.owner.stall + c.owner.stall/8)
			if err := c.Conn.SetWriteDeadline(c.writeBy); err != nil {
				return written, err
			}
		}
		n, err := c.Conn.Write(p[written:])
		written += n
		if err == nil || n < minProgress || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
	}
}

// serverErrorHeaders is what net/http writes, in one piece and past any handler, when a
// request is not HTTP that it can parse.
var serverErrorHeaders = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// jsonOfServerError returns net/http's own plain text error as the JSON error that clients
// of this API expect, or nil when p is anything else.
func jsonOfServerError(p []byte) []byte {
	if len(p) > 1024 || !bytes.HasPrefix(p, []byte("HTTP/1.1 4")) && !bytes.HasPrefix(p, []byte("HTTP/1.1 5")) {
		return nil
	}
	head, text, found := bytes.Cut(p, serverErrorHeaders)
	if !found || bytes.Contains(head, []byte("\r\n")) {
		return nil
	}
	code := "bad_request"
	if bytes.HasPrefix(text, []byte("431")) {
		code = "headers_too_large"
	}
	body := (&refusal{text: string(text), code: code}).appendJSON(nil)
	out := append([]byte{}, head...)
	out = append(out, "\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	return append(append(out, "\r\n\r\n"...), body...)
}
