package load

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a key-value server that speaks as much of the three protocols as is measured.
type memory struct {
	mu     sync.Mutex
	values map[string]string
	reads  int
	writes int
	conns  atomic.Int64
}

func (m *memory) put(key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	m.values[key] = value
}

func (m *memory) get(key string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	v, ok := m.values[key]
	return v, ok
}

func (m *memory) counts() (reads, writes, keys int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads, m.writes, len(m.values)
}

func newMemory(t *testing.T) (*memory, string) {
	t.Helper()
	m := &memory{values: make(map[string]string)}
	mux := http.NewServeMux()
	notFound := func(w http.ResponseWriter) { http.Error(w, `{"error":"Key not found"}`, http.StatusNotFound) }
	mux.HandleFunc("PUT /kv/{key}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.put(r.PathValue("key"), string(body))
	})
	mux.HandleFunc("GET /kv/{key}", func(w http.ResponseWriter, r *http.Request) {
		v, ok := m.get(r.PathValue("key"))
		if !ok {
			notFound(w)
			return
		}
		io.WriteString(w, v)
	})
	mux.HandleFunc("PUT /kv", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Key, Value string }
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			http.Error(w, `{"error":"Invalid JSON"}`, http.StatusBadRequest)
			return
		}
		m.put(in.Key, in.Value)
	})
	mux.HandleFunc("GET /kv", func(w http.ResponseWriter, r *http.Request) {
		v, ok := m.get(r.URL.Query().Get("key"))
		if !ok {
			notFound(w)
			return
		}
		fmt.Fprintf(w, "{%q:%q}", r.URL.Query().Get("key"), v)
	})
	var in struct{ Key, Value []byte } // encoding/json reads base64
	mux.HandleFunc("POST /v3/kv/put", func(w http.ResponseWriter, r *http.Request) {
		in := in
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		m.put(string(in.Key), string(in.Value))
		io.WriteString(w, `{"header":{}}`)
	})
	mux.HandleFunc("POST /v3/kv/range", func(w http.ResponseWriter, r *http.Request) {
		in := in
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			http.Error(w, "{}", http.StatusBadRequest)
			return
		}
		if v, ok := m.get(string(in.Key)); ok {
			fmt.Fprintf(w, `{"header":{},"kvs":[{"value":%q}]}`, base64.StdEncoding.EncodeToString([]byte(v)))
			return
		}
		io.WriteString(w, `{"header":{}}`)
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			m.conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return m, server.URL
}

func small(target Target, mode Mode, servers ...string) Config {
	return Config{
		Target: target, Mode: mode, Servers: servers, Connections: 4, Requests: 200, Keys: 50,
		Size: 32, Dist: Uniform, ReadPercent: 50, Timeout: 5 * time.Second, Seed: 7,
	}
}

func TestEveryTargetIsPreparedAndReadBack(t *testing.T) {
	t.Parallel()
	for _, target := range []Target{PxkvRaw, PxkvJSON, Etcd} {
		t.Run(string(target), func(t *testing.T) {
			t.Parallel()
			m, url := newMemory(t)
			c := small(target, Mix, url)
			c.Prepare = true
			result, err := Run(t.Context(), c, nil)
			if err != nil {
				t.Fatal(err)
			}
			if result.Succeeded != 200 || result.Failed != 0 || result.NotFound != 0 {
				t.Fatalf("want 200 good answers and no missing key, got %+v", result)
			}
			if result.Reads == nil || result.Reads.Count+result.Writes.Count != 200 {
				t.Fatalf("a mix must show reads and writes apart: %+v", result)
			}
			reads, writes, keys := m.counts()
			if keys != 50 || reads+writes != 250 {
				t.Fatalf("server saw %d keys, %d reads, %d writes; want 50 keys and 250 requests", keys, reads, writes)
			}
			for k, v := range m.values {
				if !strings.HasPrefix(k, KeyPrefix) || len(v) != 32 {
					t.Fatalf("server holds %q=%q", k, v)
				}
			}
		})
	}
}

func TestReadsOfAbsentKeysAreGoodAnswersAndCounted(t *testing.T) {
	t.Parallel()
	for _, target := range []Target{PxkvRaw, PxkvJSON, Etcd} {
		_, url := newMemory(t)
		result, err := Run(t.Context(), small(target, Get, url), nil)
		if err != nil {
			t.Fatal(err)
		}
		if result.NotFound != 200 || result.Succeeded != 200 || result.Failed != 0 {
			t.Fatalf("%s: %+v", target, result)
		}
	}
}

func TestConnectionsAreKeptAndDealtToTheServersInTurn(t *testing.T) {
	t.Parallel()
	one, oneURL := newMemory(t)
	two, twoURL := newMemory(t)
	c := small(PxkvRaw, Put, oneURL, twoURL)
	c.Connections, c.Requests = 5, 500
	if _, err := Run(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	// A connection whose goroutine got no turn before the others had used up the requests
	// is never dialled, hence at most.
	if n := one.conns.Load(); n > 3 || n < 1 {
		t.Errorf("first server saw %d connections, want up to 3", n)
	}
	if n := two.conns.Load(); n > 2 || n < 1 {
		t.Errorf("second server saw %d connections, want up to 2", n)
	}
}

func TestSameSeedSameKeys(t *testing.T) {
	t.Parallel()
	for _, dist := range []Distribution{Uniform, Zipf} {
		c := small(PxkvRaw, Mix, "http://unused")
		c.Dist = dist
		draws := func(seed uint64, conn int) []int {
			c.Seed = seed
			d := newDraw(&c, conn)
			keys := make([]int, 100)
			for i := range keys {
				keys[i] = d.key()
				if keys[i] < 0 || keys[i] >= c.Keys {
					t.Fatalf("%s drew key %d of %d", dist, keys[i], c.Keys)
				}
			}
			return keys
		}
		if !slices.Equal(draws(1, 0), draws(1, 0)) {
			t.Errorf("%s: the same seed drew different keys", dist)
		}
		if slices.Equal(draws(1, 0), draws(2, 0)) || slices.Equal(draws(1, 0), draws(1, 1)) {
			t.Errorf("%s: another seed or connection drew the same keys", dist)
		}
	}
}

func TestZipfPrefersFewKeys(t *testing.T) {
	t.Parallel()
	c := small(PxkvRaw, Get, "http://unused")
	c.Keys = 10_000
	hot := func(dist Distribution) (n int) {
		c.Dist = dist
		d := newDraw(&c, 0)
		for range 10_000 {
			if d.key() < 100 {
				n++
			}
		}
		return n
	}
	if n := hot(Uniform); n > 200 {
		t.Errorf("uniform drew the first 1 %% of the keys %d times of 10,000", n)
	}
	if n := hot(Zipf); n < 4000 {
		t.Errorf("zipf drew the first 1 %% of the keys only %d times of 10,000", n)
	}
}

func TestFailuresAreCountedByKind(t *testing.T) {
	t.Parallel()
	const refused = "http://127.0.0.1:1" // a port that nobody is given
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	hangup := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(hangup.Close)
	var release sync.WaitGroup
	release.Add(1)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { release.Wait() }))
	t.Cleanup(silent.Close)
	t.Cleanup(release.Done)

	for _, tc := range []struct{ name, url, kind string }{
		{"refused", refused, "connection refused"},
		{"unavailable", answer(503, `{"error":"no leader","code":"unavailable"}`), "503 unavailable"},
		{"unknown", answer(504, `{"error":"Outcome unknown","code":"unknown"}`), "504 unknown"},
		{"etcd's numbers", answer(400, `{"error":"x","code":3}`), "400"},
		{"not JSON", answer(500, `<html>`), "500"},
		{"hang-up", hangup.URL, "connection closed"},
		{"silence", silent.URL, "timeout"},
	} {
		c := small(PxkvRaw, Put, tc.url)
		c.Connections, c.Requests, c.Timeout = 1, 3, 20*time.Second
		if tc.kind == "timeout" {
			c.Timeout = 100 * time.Millisecond
		}
		result, err := Run(t.Context(), c, nil)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if result.Failed != 3 || result.Errors[tc.kind] != 3 || result.Succeeded != 0 {
			t.Errorf("%s: want 3 of %q, got %v", tc.name, tc.kind, result.Errors)
		}
	}
}

func TestPrepareGivesUpAndSaysWhy(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"code":"full"}`, http.StatusInsufficientStorage)
	}))
	t.Cleanup(s.Close)
	c := small(PxkvRaw, Get, s.URL)
	c.Prepare = true
	_, err := Run(t.Context(), c, nil)
	if err == nil || !strings.Contains(err.Error(), "507 full") {
		t.Fatalf("want the last refusal in the error, got %v", err)
	}
}

func TestInterruptionKeepsTheFiguresSoFar(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	s := httptest.NewServer(BareHandler(16))
	t.Cleanup(s.Close)
	var sum Progress
	c := small(RawGet, Get, s.URL)
	c.Requests, c.Duration = 0, time.Hour
	result, err := Run(ctx, c, func(p Progress) {
		sum = p
		cancel(errors.New("enough"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if !result.Interrupted || result.Succeeded == 0 || result.Failed != 0 || result.Throughput == 0 {
		t.Fatalf("got %+v", result)
	}
	if sum.Phase != "measure" || sum.Done == 0 {
		t.Fatalf("progress was %+v", sum)
	}
}

func TestDurationAndWarmupAreKept(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(BareHandler(16))
	t.Cleanup(s.Close)
	c := small(RawGet, Get, s.URL)
	c.Requests, c.Duration, c.Warmup = 0, 200*time.Millisecond, 50*time.Millisecond
	result, err := Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if result.Seconds > 0.2001 || result.BytesRead != 16*result.Succeeded {
		t.Fatalf("got %+v", result)
	}
	if want := float64(result.Succeeded) / 0.2; result.Throughput > want*1.001 {
		t.Fatalf("throughput %v from %d answers in 0.2 s", result.Throughput, result.Succeeded)
	}
}

func TestConfigReportsEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	c := Config{Target: "x", Mode: "y", Dist: "z", ReadPercent: 101, Servers: []string{"127.0.0.1:80"}}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"target", "mode", "distribution", "not a URL", "connections", "duration", "keys", "percentage", "timeout",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestFsyncIsMeasuredAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	result, err := MeasureFsync(t.Context(), dir, 256, 5)
	if err != nil {
		t.Fatal(err)
	}
	if result.Fdatasync.Count != 5 || result.Fsync.Count != 5 || result.Fsync.P50 <= 0 {
		t.Fatalf("got %+v", result)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Fatalf("left %v", left)
	}
	if _, err := MeasureFsync(t.Context(), dir+"/absent", 1, 1); err == nil {
		t.Fatal("a missing directory must be an error")
	}
}

func TestResultReadsAsText(t *testing.T) {
	t.Parallel()
	r := &Result{
		Target: PxkvRaw, Mode: Mix, Connections: 2, Servers: []string{"a"}, Throughput: 1234, NotFound: 3, Failed: 5,
		Errors: map[string]uint64{"timeout": 2, "503 unavailable": 3}, Reads: &Latencies{P50: 1},
		Writes: &Latencies{P50: 2}, Interrupted: true,
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"interrupted", "1234/s", "not found   3", "errors      5", "503 unavailable", "p99.9", "get ", "put ",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, b.String())
		}
	}
}
