package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pxkv/node/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server until the test ends and returns its address and a way to stop it
// early, which gives Run's error.
func start(t *testing.T, service Service, edit func(*Options)) (addr string, stop func() error) {
	t.Helper()
	s := newTestServer(t, service, edit)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var failed error
	go func() {
		defer close(ended)
		failed = s.Run(ctx)
	}()
	stop = func() error {
		cancel()
		<-ended
		return failed
	}
	t.Cleanup(func() { stop() })
	return s.Addr().String(), stop
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// ask writes raw bytes and reads one answer.
func ask(t *testing.T, c net.Conn, raw string) (*http.Response, string) {
	t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return answer(t, bufio.NewReader(c))
}

func answer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("broken answer: %v", err)
	}
	return res, string(body)
}

// eventually polls until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still not: " + what)
		}
	}
}

func TestAnswersToWhatIsNotHTTP(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), nil)
	for raw, status := range map[string]int{
		"GET /kv/%zz HTTP/1.1\r\nHost: x\r\n\r\n":                                   400,
		"GET /kv HTTP/1.1\r\n\r\n":                                                  400,
		"GET kv HTTP/1.1\r\nHost: x\r\n\r\n":                                        400,
		"nonsense\r\n\r\n":                                                          400,
		"GET /kv HTTP/9.1\r\nHost: x\r\n\r\n":                                       505,
		"GET /kv HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n":                 400,
		"PUT /kv HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n":             501,
		"GET /kv HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 80<<10) + "\r\n": 431,
	} {
		res, body := ask(t, dial(t, addr), raw)
		var e struct{ Error, Code string }
		if err := json.Unmarshal([]byte(body), &e); err != nil || res.StatusCode != status || e.Error == "" || e.Code == "" || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%.60q: %d %s", raw, res.StatusCode, body)
		}
	}
}

func TestSlowHeaderIsDropped(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), func(o *Options) { o.ReadHeaderTimeout = 50 * time.Millisecond })
	c := dial(t, addr)
	io.WriteString(c, "GET /kv HTTP/1.1\r\nHost:")
	if rest, err := io.ReadAll(c); err != nil {
		t.Errorf("the connection was not closed: %v, %q", err, rest)
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), func(o *Options) { o.IdleTimeout = 50 * time.Millisecond })
	c := dial(t, addr)
	ask(t, c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func TestSlowBodyIsRefused(t *testing.T) {
	t.Parallel()
	f := newFake()
	addr, _ := start(t, f, func(o *Options) { o.BodyGrace = 50 * time.Millisecond })
	for _, head := range []string{"PUT /kv", "PUT /kv/a", "DELETE /kv"} {
		res, body := ask(t, dial(t, addr), head+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		if res.StatusCode != http.StatusRequestTimeout || !res.Close {
			t.Errorf("%s: %d %s", head, res.StatusCode, body)
		}
	}
	// A body that nobody wants is not waited for longer either.
	c := dial(t, addr)
	ask(t, c, "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Logf("closed with %v", err)
	} else if err != nil {
		t.Error("the connection was not closed")
	}
	if f.writes != 0 {
		t.Errorf("%d writes", f.writes)
	}
}

func TestSteadyBodyMayBeSlow(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), func(o *Options) {
		o.BodyGrace, o.MinBodyRate, o.RequestTimeout = 200*time.Millisecond, 100, 5*time.Second
	})
	c := dial(t, addr)
	io.WriteString(c, "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n")
	for range 6 { // 100 bytes each second are enough
		io.WriteString(c, "0123456789")
		time.Sleep(60 * time.Millisecond)
	}
	if res, body := answer(t, bufio.NewReader(c)); res.StatusCode != 201 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// TestRequestOutlivesItsBodyDeadline: the deadline for the body must not end the context
// of a request whose body has arrived.
func TestRequestOutlivesItsBodyDeadline(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.onWrite = func(ctx context.Context, _ *kv.Command) {
		select {
		case <-ctx.Done():
			t.Errorf("the context ended: %v", ctx.Err())
		case <-time.After(300 * time.Millisecond):
		}
	}
	addr, _ := start(t, f, func(o *Options) { o.BodyGrace = 50 * time.Millisecond })
	if res, body := ask(t, dial(t, addr), "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"); res.StatusCode != 201 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), func(o *Options) { o.MaxConns = 2 })
	first, second := dial(t, addr), dial(t, addr)
	ask(t, first, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	ask(t, second, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	res, body := ask(t, dial(t, addr), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || body != tooManyConnectionsBody || !json.Valid([]byte(body)) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	second.Close()
	eventually(t, "a free place", func() bool {
		res, _ := ask(t, dial(t, addr), "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		return res.StatusCode == 200
	})
	_, metrics := ask(t, first, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
	if !strings.Contains(metrics, "pxkv_http_connections ") || strings.Contains(metrics, "rejected_total 0") {
		t.Error("the metrics do not count connections")
	}
}

func TestClientGoneEndsTheContext(t *testing.T) {
	t.Parallel()
	f := newFake()
	reached, ended := make(chan struct{}), make(chan error, 1)
	f.onRead = func(ctx context.Context, _ kv.ReadOptions) {
		close(reached)
		<-ctx.Done()
		ended <- ctx.Err()
	}
	addr, _ := start(t, f, nil)
	c := dial(t, addr)
	io.WriteString(c, "GET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n")
	<-reached
	c.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestTimeoutEndsTheContext(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.onRead = func(ctx context.Context, _ kv.ReadOptions) {
		<-ctx.Done()
		f.failRead = ctx.Err()
	}
	run(t, newTestServer(t, f, nil).Handler(), []step{
		{request: "GET /kv/a?timeout=20ms", status: 503, want: `~"code":"unavailable"`, has: "Retry-After: 1"},
	})
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	f := newFake()
	reached, release := make(chan struct{}), make(chan struct{})
	f.onWrite = func(context.Context, *kv.Command) {
		close(reached)
		<-release
	}
	addr, stop := start(t, f, nil)
	c := dial(t, addr)
	io.WriteString(c, "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	<-reached
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	eventually(t, "the listener is closed", func() bool {
		probe, err := net.Dial("tcp", addr)
		if err == nil {
			probe.Close()
		}
		return err != nil
	})
	close(release)
	if res, body := answer(t, bufio.NewReader(c)); res.StatusCode != 201 || !res.Close {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsWhatDoesNotFinish(t *testing.T) {
	t.Parallel()
	f := newFake()
	reached, cut := make(chan struct{}), make(chan struct{})
	f.onRead = func(ctx context.Context, _ kv.ReadOptions) {
		close(reached)
		<-ctx.Done()
		close(cut)
	}
	addr, stop := start(t, f, func(o *Options) { o.ShutdownGrace = 50 * time.Millisecond })
	io.WriteString(dial(t, addr), "GET /kv/a?timeout=60 HTTP/1.1\r\nHost: x\r\n\r\n")
	<-reached
	if err := stop(); err != nil {
		t.Error(err)
	}
	select {
	case <-cut:
	default:
		t.Error("Run returned before its handlers ended")
	}
}

func TestTakenPortIsReportedByListen(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), nil)
	s := newTestServer(t, newFake(), func(o *Options) { o.Listen = addr })
	if err := s.Listen(); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("error %v", err)
	}
	if s.Addr() != nil {
		t.Error("an address without a listener")
	}
}

func TestBufferBudget(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := newTestServer(t, f, func(o *Options) { o.MaxValueBytes = 1 << 20 })
	put := func() int { return do(t, s.Handler(), "PUT /kv/a", strings.Repeat("v", 1<<20)).Code }
	if code := put(); code != 201 {
		t.Fatalf("status %d", code)
	}
	if used := s.buffers.used.Load(); used != 0 {
		t.Fatalf("%d bytes still held", used)
	}
	s.buffers.used.Store(s.buffers.limit - 1<<19)
	if code := put(); code != 503 {
		t.Errorf("status %d beyond the budget", code)
	}
	if used := s.buffers.used.Load(); used != s.buffers.limit-1<<19 {
		t.Errorf("%d bytes held", used)
	}
}

func TestChunkedBodies(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), func(o *Options) { o.MaxValueBytes = 100_000 })
	for size, status := range map[int]int{0: 201, 1: 200, 4096: 200, 99_999: 200, 100_000: 200, 100_001: 413} {
		c := dial(t, addr)
		chunk := ""
		if size > 0 {
			chunk = fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("v", size))
		}
		key := "k"
		if size == 0 {
			key = "empty"
		}
		if size > 0 {
			ask(t, dial(t, addr), "PUT /kv/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
		}
		res, body := ask(t, c, "PUT /kv/"+key+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk+"0\r\n\r\n")
		if res.StatusCode != status {
			t.Errorf("%d bytes: %d %s", size, res.StatusCode, body)
		}
	}
}

// TestStoredErrorTextIsNotTouched: net/http's own errors are rewritten on their way out,
// but not the bytes of a value that looks like one, however it falls into pieces.
func TestStoredErrorTextIsNotTouched(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), nil)
	c := dial(t, addr)
	r := bufio.NewReader(c)
	lookalike := "HTTP/1.1 400 Bad Request" + string(serverErrorHeaders) + "400 Bad Request"
	for pad := range len(lookalike) {
		value := strings.Repeat(".", pad) + strings.Repeat(lookalike, 4500/len(lookalike))
		fmt.Fprintf(c, "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(value), value)
		answer(t, r)
		io.WriteString(c, "GET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, body := answer(t, r); body != value {
			t.Fatalf("with %d bytes in front the value came back changed", pad)
		}
	}
	// And the connection's next request may still be one that is not HTTP.
	io.WriteString(c, "nonsense\r\n\r\n")
	if res, body := answer(t, r); res.StatusCode != 400 || !json.Valid([]byte(body)) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}
