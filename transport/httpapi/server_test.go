package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
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

func TestAnswersToWhatIsNotHTTP(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), nil)
	for raw, status := range map[string]int{
		"GET /kv/%zz HTTP/1.1\r\nHost: x\r\n\r\n":                                   400,
		"GET /kv HTTP/1.1\r\n\r\n":                                                  400,
		"GET kv HTTP/1.1\r\nHost: x\r\n\r\n":                                        400,
		"nonsense\r\n\r\n":                                                          400,
		"GET /kv HTTP/9.1\r\nHost: x\r\n\r\n":                                       505,
		"GET /kv HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n\r\n":                        417,
		"GET /kv HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n":                 400,
		"PUT /kv HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n":             501,
		"GET /kv HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 80<<10) + "\r\n": 431,
	} {
		res, body := wiretest.Ask(t, wiretest.Dial(t, addr), raw)
		var e struct{ Error, Code string }
		if err := json.Unmarshal([]byte(body), &e); err != nil || res.StatusCode != status || e.Error == "" ||
			e.Code == "" || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%.60q: %d %s", raw, res.StatusCode, body)
		}
	}
}

func TestSlowBodyIsRefused(t *testing.T) {
	t.Parallel()
	f := newFake()
	addr, _ := start(t, f, func(o *Options) { o.Limits.BodyGrace = 50 * time.Millisecond })
	for _, head := range []string{"PUT /kv", "PUT /kv/a", "DELETE /kv"} {
		res, body := wiretest.Ask(t, wiretest.Dial(t, addr),
			head+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		if res.StatusCode != http.StatusRequestTimeout || !res.Close {
			t.Errorf("%s: %d %s", head, res.StatusCode, body)
		}
	}
	if f.writes != 0 {
		t.Errorf("%d writes", f.writes)
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), func(o *Options) { o.Limits.MaxConns = 1 })
	const get, metrics = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
	first := wiretest.Dial(t, addr)
	wiretest.Ask(t, first, get)
	_, body := wiretest.Ask(t, wiretest.Dial(t, addr), get)
	if body != `{"error":"Too many connections","code":"too_many_clients"}` {
		t.Errorf("one too many is told %s", body)
	}
	_, counted := wiretest.Ask(t, first, metrics)
	if !strings.Contains(counted, "pxkv_http_connections 1\n") || strings.Contains(counted, "rejected_total 0") {
		t.Error("the metrics do not count connections")
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

func TestBufferBudget(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := newTestServer(t, f, func(o *Options) { o.MaxValueBytes = 1 << 20 })
	put := func() int { return do(t, s.Handler(), "PUT /kv/a", strings.Repeat("v", 1<<20)).Code }
	if code := put(); code != 201 {
		t.Fatalf("status %d", code)
	}
	if held := s.opt.Budget.Held(); held != 0 {
		t.Fatalf("%d bytes still held", held)
	}
	others := s.opt.Budget.Limit()/8*int64(kv.OfClients) - 1<<19
	s.opt.Budget.Force(int(others))
	if code := put(); code != 503 {
		t.Errorf("status %d beyond the budget", code)
	}
	if held := s.opt.Budget.Held(); held != others {
		t.Errorf("%d bytes held, %d of them by others", held, others)
	}
	if code := do(t, s.Handler(), "PUT /kv/a", "small").Code; code != 200 {
		t.Errorf("status %d for a small value: what large ones leave is for it", code)
	}
}

func TestChunkedBodies(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newFake(), func(o *Options) { o.MaxValueBytes = 100_000 })
	for size, status := range map[int]int{0: 201, 1: 200, 4096: 200, 99_999: 200, 100_000: 200, 100_001: 413} {
		c := wiretest.Dial(t, addr)
		chunk := ""
		if size > 0 {
			chunk = fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("v", size))
		}
		key := "k"
		if size == 0 {
			key = "empty"
		}
		if size > 0 {
			wiretest.Ask(t, wiretest.Dial(t, addr), "PUT /kv/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
		}
		res, body := wiretest.Ask(t, c,
			"PUT /kv/"+key+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk+"0\r\n\r\n")
		if res.StatusCode != status {
			t.Errorf("%d bytes: %d %s", size, res.StatusCode, body)
		}
	}
}
