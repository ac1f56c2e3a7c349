package http1

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// boxes is a handler that keeps what is put into /box/{name} and gives it back. It reads no body of any
// other request.
type boxes struct {
	busy func(context.Context) // called when a request to a box is all here, if set
	mu   sync.Mutex
	in   map[string][]byte
	puts int
	rest int // requests that net/http read
}

// largestBox is how much fits into a box, in bytes.
const largestBox = 8 << 20

// plainBoxes are the requests to boxes.
var plainBoxes = Plain{
	Begins: []string{"GET /box", "PUT /box", "HEAD /box", "DELETE /box", "POST /box/"},
	Fits: func(_, path, _ string) bool {
		return strings.HasPrefix(path, "/box/") && len(path) > len("/box/")
	},
}

func newBoxes() *boxes { return &boxes{in: map[string][]byte{}} }

// ServeHTTP implements http.Handler.
func (b *boxes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = []string{"text/plain"}
	if r.Context().Value(http.ServerContextKey) != nil {
		b.mu.Lock()
		b.rest++
		b.mu.Unlock()
	}
	name, isBox := strings.CutPrefix(r.URL.Path, "/box/")
	if !isBox {
		io.WriteString(w, "elsewhere")
		return
	}
	switch r.Method {
	case http.MethodPut:
		b.put(w, r, name)
	case http.MethodGet, http.MethodHead:
		b.get(w, r, name)
	default:
		b.work(r)
		io.WriteString(w, "done")
	}
}

func (b *boxes) work(r *http.Request) {
	if b.busy != nil {
		b.busy(r.Context())
	}
}

func (b *boxes) put(w http.ResponseWriter, r *http.Request, name string) {
	var body []byte
	var err error
	if r.ContentLength <= largestBox {
		body, err = io.ReadAll(io.LimitReader(r.Body, largestBox+1))
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header()["Connection"] = closeAfter
		w.WriteHeader(http.StatusRequestTimeout)
		return
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	case r.ContentLength > largestBox, len(body) > largestBox:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	b.work(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.in[name] = body
	b.puts++
	w.WriteHeader(http.StatusCreated)
}

// get answers in pieces. net/http finds the length of short answers only.
func (b *boxes) get(w http.ResponseWriter, r *http.Request, name string) {
	b.work(r)
	b.mu.Lock()
	body, found := b.in[name]
	b.mu.Unlock()
	h := w.Header()
	h["Etag"] = []string{`"1"`}
	h["X-Many"] = []string{"a", "b"}
	switch {
	case !found:
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "no such box")
		return
	case r.Header.Get("If-None-Match") != "":
		w.WriteHeader(http.StatusNotModified)
		return
	case r.Method == http.MethodHead || len(body) <= LongAnswer || r.URL.RawQuery == "length":
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	for len(body) > 0 {
		n := min(len(body), 24<<10)
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		body = body[n:]
	}
}

func newTestServer(t testing.TB, h http.Handler, edit func(*Options)) *Server {
	t.Helper()
	o := Options{Handler: h, Plain: plainBoxes, Listen: "127.0.0.1:0"}
	if edit != nil {
		edit(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serving runs a server until the test ends, or end is called, which gives Run's error.
func serving(t *testing.T, s *Server) (end func() error) {
	t.Helper()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	end = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { end() })
	return end
}

// start runs a server over a handler until the test ends, or stop is called.
func start(t *testing.T, h http.Handler, edit func(*Options)) (addr string, stop func() error) {
	t.Helper()
	s := newTestServer(t, h, edit)
	stop = serving(t, s)
	return s.Addr().String(), stop
}

// valueOf returns what a metric without labels shows.
func valueOf(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	m := families[0].GetMetric()[0]
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

// idleListener is what connections share that come from elsewhere.
func idleListener() *listener {
	o := Options{}.withDefaults()
	return newListener(o, newMetrics(nil))
}
