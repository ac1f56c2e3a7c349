package resp

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/transport/wiretest"
)

// Reads that did not fit into one batch are asked again one by one, and what is ready is sent
// before each. Nine TTLs of a long value ended the process once.
func TestLongValuesAreReadOneByOne(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.together = 1 << 20
	address, _ := start(t, f, nil)
	c := dial(t, address)
	if got := c.do("SET", "L", strings.Repeat("x", 1<<20)); got != "+OK" {
		t.Fatal(got)
	}
	for _, pipeline := range [][2]string{{"TTL L", ":-1"}, {"EXISTS L", ":1"}, {"STRLEN L", ":1048576"},
		{"NOPE", "-ERR unknown command 'NOPE', with args beginning with: "}} {
		c.raw(strings.Repeat("TTL L\r\n"+pipeline[0]+"\r\n", 9))
		for range 9 {
			if got := c.reply(); got != ":-1" {
				t.Errorf("TTL beside %s: %s", pipeline[0], got)
			}
			if got := c.reply(); got != pipeline[1] {
				t.Errorf("%s: %s", pipeline[0], got)
			}
		}
	}
}

func TestAPanicBehindOneClientLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	address, s := start(t, newFake(), func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	other, c := dial(t, address), dial(t, address)
	if got := other.do("SET", "a", "1"); got != "+OK" {
		t.Fatal(got)
	}
	c.send("SET", "panic", "1")
	if !c.closed() {
		t.Error("the connection behind which it happened is open")
	}
	if got := other.do("GET", "a"); got != `"1"` {
		t.Errorf("another client got %s", got)
	}
	wiretest.Eventually(t, "it is gone", func() bool { return s.listener.Open() == 1 })
	wiretest.Eventually(t, "the budget is whole again", func() bool { return s.opt.Budget.Held() == 0 })
	if n := counted(t, s.metrics.panics); n != 1 {
		t.Errorf("%v panics were counted", n)
	}
	if !strings.Contains(log.String(), "as the test wants it") ||
		!strings.Contains(log.String(), "faults_test") && !strings.Contains(log.String(), "fake_test") {
		t.Errorf("the log does not tell what and where:\n%s", log.String())
	}
}

func TestHTTPRequestsAreNotCarriedOut(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"a page's form": "POST / HTTP/1.1\r\nHost: 127.0.0.1:6379\r\nContent-Type: text/plain\r\nContent-Length: " +
			"16\r\n\r\nSET pwned yes\r\n\r\n",
		"another method": "PUT /x HTTP/1.1\r\nAccept: */*\r\nhost: 127.0.0.1:6379\r\n\r\nSET pwned yes\r\n",
		"without a host": "post / HTTP/1.0\r\n\r\nSET pwned yes\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log syncBuffer
			f := newFake()
			address, s := start(t, f, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			for range 3 {
				c := dial(t, address)
				c.raw("SET before 1\r\n" + request)
				if got := c.reply(); got != "+OK" {
					t.Errorf("a command before it: %s", got)
				}
				for !c.closed() { // errors of the lines before
				}
			}
			if got := f.sorted(strings.Compare); len(got) != 1 || got[0] != "before" {
				t.Errorf("keys: %v", got)
			}
			if n := counted(t, s.metrics.strangers); n != 3 {
				t.Errorf("%v were counted", n)
			}
			if n := strings.Count(log.String(), "HTTP"); n != 1 {
				t.Errorf("the log tells it %d times:\n%s", n, log.String())
			}
		})
	}
}

// A reply is written in the protocol that held when its command came.
func TestRepliesBesideHello(t *testing.T) {
	t.Parallel()
	address, _ := start(t, newFake(), nil)
	c := dial(t, address)
	c.raw("GET no\r\nHELLO 3\r\nGET no\r\nMGET no no\r\nRESET\r\nGET no\r\n")
	for _, want := range []string{"nil", `{"server"`, "_", "[_ _]", "+RESET", "nil"} {
		if got := c.reply(); !strings.HasPrefix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	c.raw("MULTI\r\nGET no\r\nHELLO 3\r\nGET no\r\nEXEC\r\nGET no\r\n")
	for _, want := range []string{"+OK", "+QUEUED", "+QUEUED", "+QUEUED", `[nil {"server"`, "_"} {
		if got := c.reply(); !strings.HasPrefix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// What a slow command takes is not taken from those behind it.
func TestEachCommandHasItsOwnTime(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.slow = 300 * time.Millisecond
	address, _ := start(t, f, func(o *Options) { o.RequestTimeout = 200 * time.Millisecond })
	c := dial(t, address)
	c.raw("KEYS *\r\nSET a 1\r\nKEYS *\r\nGET a\r\nKEYS *\r\nMGET a b\r\n")
	for _, want := range []string{"[]", "+OK", `["a"]`, `"1"`, `["a"]`, `["1" nil]`} {
		if got := c.reply(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// A client that sends a value above the limit learns why, though it reads only when all is sent.
func TestAValueAboveTheLimitIsRefusedInWords(t *testing.T) {
	t.Parallel()
	address, s := start(t, newFake(), func(o *Options) { o.MaxValueBytes = 1 << 20 })
	for range 5 {
		c := dial(t, address)
		c.send("SET", "long", strings.Repeat("x", 20<<20))
		if got := c.reply(); got != "-ERR Protocol error: invalid bulk length" {
			t.Error(got)
		}
		if !c.closed() {
			t.Error("the connection is open")
		}
		c.net.Close()
	}
	wiretest.Eventually(t, "all are gone", func() bool { return s.listener.Open() == 0 })
	wiretest.Eventually(t, "the budget is whole again", func() bool { return s.opt.Budget.Held() == 0 })
}

// syncBuffer is a buffer that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// counted is what a counter has come to.
func counted(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].Metric[0].GetCounter().GetValue()
}

// What does not fit into one batch is asked for in another: no client sees a limit of this node in
// the sizes of what it asked for, and nothing is read, or taken out, too late.
func TestAPipelineOfLongValuesIsCut(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.together = 10
	address, _ := start(t, f, nil)
	c := dial(t, address)
	if got := c.do("SET", "L", strings.Repeat("x", 11)); got != "+OK" {
		t.Fatal(got)
	}
	c.raw("GET L\r\nGETSET L b\r\nGETDEL L\r\nSET L new\r\nGET L\r\nGET L\r\n")
	for _, want := range []string{`"xxxxxxxxxxx"`, `"xxxxxxxxxxx"`, `"b"`, "+OK", `"new"`, `"new"`} {
		if got := c.reply(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
