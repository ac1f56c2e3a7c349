package load

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// pauseAfterFailure keeps a loop against a server that refuses connections from spinning.
const pauseAfterFailure = 10 * time.Millisecond

// worker is one connection: it sends, waits, counts. Only its own goroutine touches it,
// but for done and failed, which the progress report reads.
type worker struct {
	door      *door
	draw      *draw
	transport *http.Transport
	body      []byte // of the last answer; reused

	done, failed atomic.Uint64 // of the current phase

	reads, writes Histogram
	counted       uint64            // answers that came within the measured time
	missing       uint64            // reads of keys that were not there
	bytes         uint64            // of answers
	errors        map[string]uint64 // by kind
}

func newWorker(ctx context.Context, c *Config, conn int, p *payloads) (*worker, error) {
	d, err := newDoor(ctx, c.Target, c.Servers[conn%len(c.Servers)], p)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: c.Timeout}
	return &worker{
		door:   d,
		draw:   newDraw(c, conn),
		errors: make(map[string]uint64),
		body:   make([]byte, 0, 4096),
		// A transport for each worker, so that it has exactly one connection of its own.
		transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &impatientConn{Conn: conn, timeout: c.Timeout}, nil
			},
			MaxConnsPerHost:     1,
			MaxIdleConnsPerHost: 1,
			DisableCompression:  true,
		},
	}, nil
}

// impatientConn fails a read that has waited longer than timeout. This is cheaper than a
// timer and a context for each request, and covers a body that stops halfway.
type impatientConn struct {
	net.Conn
	timeout time.Duration
}

// Read implements net.Conn.
func (c *impatientConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// loop sends random requests until take says that there are no more or ctx ends. Answers
// are counted into the result when record is set, and into the rate when they came before
// end (zero: always).
func (w *worker) loop(ctx context.Context, take func(time.Time) bool, end time.Time, record bool) {
	for ctx.Err() == nil {
		begin := time.Now()
		if !take(begin) {
			return
		}
		read := w.draw.isRead()
		var r *http.Request
		if read {
			r = w.door.read(w.draw.key())
		} else {
			r = w.door.write(w.draw.key(), w.draw.variant())
		}
		kind, missing := w.send(r, read)
		now := time.Now()
		if kind != "" && ctx.Err() != nil {
			return // the interruption failed it, not the server
		}
		if record {
			w.record(read, now.Sub(begin), kind, missing, end.IsZero() || !now.After(end))
		}
		if kind == "" {
			w.done.Add(1)
			continue
		}
		w.failed.Add(1)
		pause(ctx, pauseAfterFailure)
	}
}

func (w *worker) record(read bool, took time.Duration, kind string, missing, inTime bool) {
	if kind != "" {
		w.errors[kind]++
		return
	}
	if read {
		w.reads.Record(took)
	} else {
		w.writes.Record(took)
	}
	w.bytes += uint64(len(w.body))
	if inTime {
		w.counted++
	}
	if missing {
		w.missing++
	}
}

// send makes one request and reads the whole answer into w.body. kind is empty when the
// answer is a good one, else it names the failure in a word or three.
func (w *worker) send(r *http.Request, read bool) (kind string, missing bool) {
	resp, err := w.transport.RoundTrip(r)
	if err != nil {
		return kindOfError(err), false
	}
	defer resp.Body.Close()
	if err := w.readBody(resp.Body); err != nil {
		return kindOfError(err), false
	}
	if read && w.door.missing(resp.StatusCode, w.body) {
		return "", true
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return kindOfStatus(resp.StatusCode, w.body), false
	}
	return "", false
}

func (w *worker) readBody(body io.Reader) error {
	w.body = w.body[:0]
	for {
		if len(w.body) == cap(w.body) {
			w.body = append(w.body, 0)[:len(w.body)]
		}
		n, err := body.Read(w.body[len(w.body):cap(w.body)])
		w.body = w.body[:len(w.body)+n]
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// kindOfStatus names a refusal by its status and, if the answer has one, its short code.
func kindOfStatus(status int, body []byte) string {
	kind := strconv.Itoa(status)
	var answer struct {
		Code json.RawMessage `json:"code"` // text here, a number from etcd
	}
	var code string
	if json.Unmarshal(body, &answer) == nil && json.Unmarshal(answer.Code, &code) == nil && code != "" && len(code) <= 32 {
		kind += " " + code
	}
	return kind
}

func kindOfError(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	}
	return "network"
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
