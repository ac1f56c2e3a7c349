package http1

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// plainWriter is the http.ResponseWriter of plain requests. A short answer leaves in one
// write, with its length; a long one in pieces, chunked unless its length is known.
type plainWriter struct {
	conn   *conn
	header http.Header
	status int  // 0 until the header is decided
	isHead bool // the request's method is HEAD: the body is counted and left out
	more   bool // more was sent behind the request

	body      *[]byte // written so far, while the answer is short; lent between reset and finish
	out       *[]byte // what is handed to the connection; lent as well
	bodyBytes int     // all of the body
	streaming bool    // the header is on its way
	chunked   bool
	err       error // of the connection
}

// LongAnswer is the size in bytes from which an answer is sent while it is made.
const LongAnswer = 64 << 10

// scratch lends buffers for answers, which live only until they are written.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

func borrow() *[]byte {
	b := scratch.Get().(*[]byte)
	*b = (*b)[:0]
	return b
}

// giveBack returns a buffer, unless a large answer made it too large to keep.
func giveBack(b *[]byte) {
	if cap(*b) <= LongAnswer {
		scratch.Put(b)
	}
}

// closeAfter is the Connection header of the last answer.
var closeAfter = []string{"close"}

func newPlainWriter(c *conn) *plainWriter {
	return &plainWriter{conn: c, header: http.Header{}}
}

// reset begins an answer. Its buffers are lent until finish, so that an idle connection has none.
func (w *plainWriter) reset(isHead bool) {
	clear(w.header)
	w.status, w.isHead = 0, isHead
	w.body, w.out, w.bodyBytes = borrow(), borrow(), 0
	w.streaming, w.chunked = false, false
}

// Header implements http.ResponseWriter.
func (w *plainWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *plainWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *plainWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.bodyBytes += len(p)
	switch {
	case !hasBody(w.status):
		return 0, http.ErrBodyNotAllowed
	case w.isHead:
		return len(p), w.err
	case !w.streaming && len(*w.body)+len(p) <= LongAnswer:
		*w.body = append(*w.body, p...)
		return len(p), nil
	case !w.streaming:
		w.streaming = true
		_, known := w.header["Content-Length"]
		w.chunked = !known
		*w.out = w.appendPiece(w.appendHead((*w.out)[:0], -1), *w.body)
		w.send(*w.out)
	}
	if w.chunked {
		*w.out = w.appendPiece((*w.out)[:0], p)
		p = *w.out
	}
	w.send(p)
	if w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// appendPiece appends a piece of a long body.
func (w *plainWriter) appendPiece(b, piece []byte) []byte {
	if !w.chunked || len(piece) == 0 {
		return append(b, piece...)
	}
	b = strconv.AppendUint(b, uint64(len(piece)), 16)
	b = append(b, "\r\n"...)
	b = append(b, piece...)
	return append(b, "\r\n"...)
}

func (w *plainWriter) send(b []byte) {
	if w.err == nil && len(b) > 0 {
		_, w.err = w.conn.Write(b)
	}
}

// finish sends what is left, and reports an error when the client cannot take it.
func (w *plainWriter) finish() error {
	w.WriteHeader(http.StatusOK)
	switch {
	case !w.streaming:
		*w.out = append(w.appendHead((*w.out)[:0], w.bodyBytes), *w.body...)
		w.send(*w.out)
	case w.chunked:
		w.send([]byte("0\r\n\r\n"))
	}
	giveBack(w.body)
	giveBack(w.out)
	w.body, w.out = nil, nil
	return w.err
}

// appendHead appends status line and headers, in the order of their names. length is the
// body's, or -1 when it is a long one.
func (w *plainWriter) appendHead(b []byte, length int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(w.status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(w.status)...)
	b = append(b, "\r\n"...)
	if w.conn.owner.leaving.Load() && !w.more { // what is there is answered before the connection ends
		w.header["Connection"] = closeAfter
		w.conn.unread.Store(true) // the client may have sent the next request already
	}
	if w.status == http.StatusNotModified { // it is about what the client has (RFC 9110, section 15.4.5)
		delete(w.header, "Content-Type")
		delete(w.header, "Content-Length")
	}
	var room [16]string
	names := room[:0]
	for name := range w.header {
		i := len(names)
		names = append(names, name)
		for ; i > 0 && names[i-1] > name; i-- {
			names[i] = names[i-1]
		}
		names[i] = name
	}
	for _, name := range names {
		for _, value := range w.header[name] {
			b = append(b, name...)
			b = append(b, ": "...)
			b = appendHeaderValue(b, value)
			b = append(b, "\r\n"...)
		}
	}
	b = append(b, "Date: "...)
	b = append(b, httpDate()...)
	switch _, known := w.header["Content-Length"]; {
	case known || !hasBody(w.status):
	case length < 0:
		b = append(b, "\r\nTransfer-Encoding: chunked"...)
	default:
		b = append(b, "\r\nContent-Length: "...)
		b = strconv.AppendInt(b, int64(length), 10)
	}
	return append(b, "\r\n\r\n"...)
}

// hasBody reports whether an answer with this status may have a body.
func hasBody(status int) bool {
	return status >= http.StatusOK && status != http.StatusNoContent && status != http.StatusNotModified
}

// appendHeaderValue appends a value that must not end its line, wherever it came from.
func appendHeaderValue(b []byte, value string) []byte {
	if strings.IndexByte(value, '\n') >= 0 || strings.IndexByte(value, '\r') >= 0 {
		value = strings.NewReplacer("\r", " ", "\n", " ").Replace(value)
	}
	return append(b, value...)
}

// last reports whether the answer said that the connection ends.
func (w *plainWriter) last() bool { return len(w.header["Connection"]) > 0 }

// date is the text of a Date header, made once a second.
type date struct {
	unix int64
	text string
}

var lastDate atomic.Pointer[date]

func httpDate() string {
	now := time.Now()
	d := lastDate.Load()
	if d == nil || d.unix != now.Unix() {
		d = &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
		lastDate.Store(d)
	}
	return d.text
}
