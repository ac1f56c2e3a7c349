package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// conn is one HTTP/1.1 connection with one request in flight, made when it is first needed and
// again after a failure. A request is written, and its answer read, by the goroutine that asks:
// net/http's client has two more goroutines for each connection, whose wakeups cost the machine
// that is measured as much as the request itself. The answer is parsed by net/http.
type conn struct {
	ctx     context.Context // its end closes the connection
	dialer  net.Dialer
	tls     *tls.Config // nil for plain HTTP
	address string      // host:port
	timeout time.Duration

	net    net.Conn    // nil: not connected
	unhook func() bool // ends the watch over ctx
	reader *bufio.Reader
	body   []byte // of the last answer; reused
}

// maxAnswer bounds the body of an answer in bytes: the largest value in base64, and room for
// what stands around it.
const maxAnswer = maxSize/3*4 + 1<<20

// maxInformational bounds how many answers 1xx may come before the one that counts.
const maxInformational = 8

func newConn(ctx context.Context, server *url.URL, timeout time.Duration) *conn {
	port := server.Port()
	c := &conn{ctx: ctx, timeout: timeout, dialer: net.Dialer{Timeout: timeout}, reader: bufio.NewReader(nil)}
	if server.Scheme == "https" {
		c.tls = &tls.Config{ServerName: server.Hostname(), NextProtos: []string{"http/1.1"}}
		if port == "" {
			port = "443"
		}
	} else if port == "" {
		port = "80"
	}
	c.address = net.JoinHostPort(server.Hostname(), port)
	return c
}

// roundTrip sends a request, given as its head and its body, and reads the answer: its status,
// and its body into c.body. After an error the connection is closed; so it is when the server
// says that this answer was the last.
func (c *conn) roundTrip(head, body []byte) (status int, err error) {
	if c.net == nil {
		if err := c.connect(); err != nil {
			return 0, err
		}
	}
	last := true // after any error, too
	defer func() {
		if last {
			c.close()
		}
	}()
	werr := c.write(head, body)
	// A server may refuse a long body before it has read all of it: its answer says more than
	// the broken connection.
	resp, err := c.answer()
	if err != nil {
		if werr != nil {
			return 0, werr
		}
		return 0, err
	}
	defer resp.Body.Close()
	if err := c.readBody(resp.Body); err != nil {
		return 0, err
	}
	last = resp.Close || werr != nil
	return resp.StatusCode, nil
}

func (c *conn) connect() error {
	to, err := c.dialer.DialContext(c.ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	if c.tls != nil {
		secure := tls.Client(to, c.tls)
		ctx, cancel := context.WithTimeout(c.ctx, c.timeout)
		defer cancel()
		if err := secure.HandshakeContext(ctx); err != nil {
			to.Close()
			return err
		}
		to = secure
	}
	c.net = to
	c.unhook = context.AfterFunc(c.ctx, func() { to.Close() })
	c.reader.Reset(impatient{to, c.timeout})
	return nil
}

func (c *conn) close() {
	if c.net == nil {
		return
	}
	c.unhook()
	c.net.Close()
	c.net = nil
}

// write sends a request with one system call, unless it is so long that the copy would cost
// more.
func (c *conn) write(head, body []byte) error {
	if len(head)+len(body) <= smallRequest {
		_, err := c.net.Write(append(head, body...)) // it fits into the kernel's buffer, which is empty
		return err
	}
	if err := c.net.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	for _, part := range [2][]byte{head, body} {
		if _, err := c.net.Write(part); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) answer() (*http.Response, error) {
	for range maxInformational {
		resp, err := http.ReadResponse(c.reader, nil)
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
	return nil, fmt.Errorf("more than %d answers 1xx in a row", maxInformational)
}

func (c *conn) readBody(body io.Reader) error {
	c.body = c.body[:0]
	for {
		if len(c.body) == cap(c.body) {
			if len(c.body) > maxAnswer {
				return fmt.Errorf("an answer of more than %d bytes", maxAnswer)
			}
			c.body = append(c.body, 0)[:len(c.body)]
		}
		n, err := body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// impatient fails a read that has waited longer than timeout. A limit for the whole answer
// would not do: a long one may take longer.
type impatient struct {
	net.Conn
	timeout time.Duration
}

// Read implements io.Reader.
func (c impatient) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}
