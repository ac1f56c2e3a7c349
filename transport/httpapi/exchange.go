package httpapi

import (
	"context"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"pxkv/node/kv"
)

// exchange is one request and its answer.
type exchange struct {
	server *Server
	w      http.ResponseWriter
	r      *http.Request
	start  time.Time
	ready  time.Time // when all of the request was here: its time limit begins
	op     op
	status int // what was sent, 0 before that

	// writing says that the Service took a write: from here on a failure of whatever kind
	// is an unknown outcome.
	writing bool
	// account counts what is held for this request: its body, the values that answer it, its page.
	account kv.Account
	// ctx lies here and not in an allocation of its own: it is what withDeadline returns.
	ctx kv.Deadline
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	x := &exchange{server: s, w: w, r: r, start: now, ready: now}
	x.account.Open(s.opt.Budget, kv.OfClients)
	s.metrics.inFlight.Inc()
	defer x.finish()
	x.route()
}

// finish accounts for the exchange and turns a panic into an answer: without it net/http
// would drop the connection, and a write's client would not learn that its outcome is open.
func (x *exchange) finish() {
	s := x.server
	p := recover()
	if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic is no wrapped error
		s.metrics.panics.Inc()
		s.log.Error("panic while answering an HTTP request", "op", opNames[x.op], "panic", p, "stack",
			string(debug.Stack()))
		if x.status == 0 {
			if x.writing {
				x.refuse(errUnknownOutcome)
			} else {
				x.refuse(errInternal)
			}
			p = nil
		} else {
			p = http.ErrAbortHandler // part of the answer is out: break it visibly
		}
	}
	x.ctx.Release()
	if !accountKept {
		x.account.Close()
	}
	s.metrics.inFlight.Dec()
	end := outcomeAborted
	if p == nil {
		end = outcomeOf(x.status)
	}
	s.metrics.observe(x.op, end, time.Since(x.start))
	if p != nil {
		panic(p)
	}
}

// withDeadline gives the context that ends with the client, or timeout after the whole
// request was here: a slow upload has its own limits. It is called at most once.
func (x *exchange) withDeadline(timeout time.Duration) context.Context {
	x.ctx.Begin(x.r.Context(), x.ready.Add(timeout))
	x.ctx.Account = &x.account
	return &x.ctx
}

// timeout returns the request's own time limit, or the default when it asked for 0.
func (x *exchange) timeout(asked time.Duration) time.Duration {
	if asked == 0 {
		return x.server.opt.RequestTimeout
	}
	return asked
}

// Header values that never change, shared by all answers. net/http only reads them.
var (
	typeJSON   = []string{"application/json"}
	typeText   = []string{"text/plain; charset=utf-8"}
	typeBinary = []string{"application/octet-stream"}
	nosniff    = []string{"nosniff"}
	sandbox    = []string{"sandbox"}
	retrySoon  = []string{"1"}
	closeAfter = []string{"close"}
)

// fail answers an error.
func (x *exchange) fail(err error) {
	r := refusalOf(err, x.writing)
	if r == errInternal {
		x.server.log.Error("an HTTP request failed", "op", opNames[x.op], "error", err)
	}
	x.refuse(r)
}

func (x *exchange) refuse(r *refusal) {
	h := x.w.Header()
	switch r.status {
	case http.StatusServiceUnavailable:
		h["Retry-After"] = retrySoon
	case http.StatusMethodNotAllowed:
		h["Allow"] = []string{r.allow}
	case http.StatusRequestTimeout:
		h["Connection"] = closeAfter // the rest of the body would be taken for a request
	}
	buf := borrow()
	*buf = r.appendJSON(*buf)
	x.sendJSON(r.status, *buf)
	giveBack(buf)
}

// sendJSON answers with a body that is complete.
func (x *exchange) sendJSON(status int, body []byte) {
	x.w.Header()["Content-Type"] = typeJSON
	x.send(status, body)
}

// send answers with a body whose Content-Type is set. net/http finds the length of short
// bodies by itself; longer ones would be sent chunked.
func (x *exchange) send(status int, body []byte) {
	const foundByItself = 2048
	if len(body) > foundByItself {
		x.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	x.sendHeader(status)
	if len(body) > 0 {
		// An error means that the client is gone; there is nobody to tell.
		_, _ = x.w.Write(body)
	}
}

func (x *exchange) sendHeader(status int) {
	x.status = status
	x.w.WriteHeader(status)
}

// scratch lends buffers for JSON answers, which live only until they are written.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

func borrow() *[]byte {
	b := scratch.Get().(*[]byte)
	*b = (*b)[:0]
	return b
}

// giveBack returns a buffer, unless a large answer made it too large to keep.
func giveBack(b *[]byte) {
	if cap(*b) <= 64<<10 {
		scratch.Put(b)
	}
}
