package load

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
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
	requester *requester
	draw      *draw
	conn      *conn

	done, failed atomic.Uint64 // of the current phase

	reads, writes Histogram
	counted       uint64            // answers that came within the measured time
	missing       uint64            // reads of keys that were not there
	bytes         uint64            // of answers
	errors        map[string]uint64 // by kind
}

func newWorker(ctx context.Context, c *Config, conn int, p *payloads) (*worker, error) {
	server, err := parseServer(c.Servers[conn%len(c.Servers)])
	if err != nil {
		return nil, err
	}
	return &worker{
		requester: newRequester(c.Target, server, p),
		draw:      newDraw(c, conn),
		conn:      newConn(ctx, server, c.Timeout),
		errors:    make(map[string]uint64),
	}, nil
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
		var head, body []byte
		if read {
			head, body = w.requester.read(w.draw.key())
		} else {
			head, body = w.requester.write(w.draw.key(), w.draw.variant())
		}
		kind, missing := w.send(head, body, read)
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
	w.bytes += uint64(len(w.conn.body))
	if inTime {
		w.counted++
	}
	if missing {
		w.missing++
	}
}

// send makes one request and reads the whole answer. kind is empty when the answer is a good
// one, else it names the failure in a word or three.
func (w *worker) send(head, body []byte, read bool) (kind string, missing bool) {
	status, err := w.conn.roundTrip(head, body)
	if err != nil {
		return kindOfError(err), false
	}
	if read && w.requester.missing(status, w.conn.body) {
		return "", true
	}
	if status < 200 || status > 299 {
		return kindOfStatus(status, w.conn.body), false
	}
	return "", false
}

// kindOfStatus names a refusal by its status and, if the answer has one, its short code.
func kindOfStatus(status int, body []byte) string {
	kind := strconv.Itoa(status)
	var answer struct {
		Code json.RawMessage `json:"code"` // text here, a number from etcd
	}
	var code string
	if json.Unmarshal(body, &answer) == nil && json.Unmarshal(answer.Code, &code) == nil && code != "" &&
		len(code) <= 32 {
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
