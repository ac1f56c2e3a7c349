package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

func TestListPages(t *testing.T) {
	t.Parallel()
	h := handler(t)
	for i := range 25 {
		do(t, h, "PUT /kv", fmt.Sprintf(`{"key":"k%02d","value":%d}`, i, i))
	}
	do(t, h, "PUT /kv", `{"key":"other","value":"x"}`)
	for _, c := range []struct {
		query string
		sizes []int
	}{
		{"limit=10", []int{10, 10, 6}}, {"limit=13", []int{13, 13}}, {"limit=26", []int{26}}, {"limit=1000", []int{26}},
		{"limit=10&prefix=k", []int{10, 10, 5}}, {"limit=25&prefix=k", []int{25}}, {"limit=10&prefix=none", []int{0}},
		{"limit=10&prefix=k1", []int{10}},
	} {
		cursor := ""
		seen := map[string]any{}
		for page, size := range c.sizes {
			w := do(t, h, "GET /kv?"+c.query+cursor, "")
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got) != size {
				t.Fatalf("%s, page %d: %d pairs, want %d (%v)", c.query, page, len(got), size, err)
			}
			for k, v := range got {
				if seen[k] != nil {
					t.Errorf("%s: %s is on two pages", c.query, k)
				}
				seen[k] = v
			}
			next := w.Header().Get("X-Pxkv-Cursor")
			if last := page == len(c.sizes)-1; (next == "") != last {
				t.Errorf("%s, page %d: cursor %q", c.query, page, next)
			}
			cursor = "&cursor=" + next
		}
	}
	run(t, h, []step{
		{request: "GET /kv?limit=2&prefix=k", status: 200, want: `{"k00":0,"k01":1}`,
			has: "X-Pxkv-Cursor: AWswMg|Content-Length:"},
		{request: "GET /kv?limit=2&prefix=k&keys_only=true&cursor=AWswMg", status: 200, want: `["k02","k03"]`},
		{request: "GET /kv?prefix=k2&cursor=AWsyMw", status: 200, want: `{"k23":23,"k24":24}`, has: "X-Pxkv-Cursor:"},
		{request: "GET /kv?prefix=nope", status: 200, want: `{}`},
		{request: "GET /kv?prefix=nope&keys_only", status: 200, want: `[]`},
		{request: "GET /kv?prefix=other&keys_only=0", status: 200, want: `{"other":"x"}`},
		{request: "GET /kv?prefix=%", status: 400, want: "~prefix"},
	})
}

// A list is shown in many shapes, of all that its filters want.
func TestListsAreFilteredAndShaped(t *testing.T) {
	t.Parallel()
	h := handler(t)
	const ann = `{"age":31,"name":"ann"}`
	run(t, h, []step{
		{request: "PUT /kv", body: `{"key":"u:1","value":` + ann + `}`, status: 200, want: "~"},
		{request: "PUT /kv", body: `{"key":"u:2","value":{"age":9},"ttl":60}`, status: 200, want: "~"},
		{request: "PUT /kv", body: `{"key":"v","value":"text"}`, status: 200, want: "~"},
		{request: "PUT /kv/w", header: "Content-Type: image/png", body: "\xff", status: 201},
		{request: "PUT /kv", body: `{"key":"x","value":1.50}`, status: 200, want: "~"},

		{request: "GET /kv?from=u:2&to=w", status: 200, want: `{"u:2":{"age":9},"v":"text"}`},
		{request: "GET /kv?glob=u:*", status: 200, want: `{"u:1":` + ann + `,"u:2":{"age":9}}`},
		{request: "GET /kv?regex=:2$", status: 200, want: `{"u:2":{"age":9}}`},
		{request: "GET /kv?type=string", status: 200, want: `{"v":"text"}`},
		{request: "GET /kv?type=json&keys_only", status: 200, want: `["u:1","u:2","x"]`},
		{request: "GET /kv?where=value.age+%3E+30+%26%26+key+startsWith+%22u%22", status: 200, want: `{"u:1":` + ann + `}`},
		{request: "GET /kv?where=value.height+%3E+30", status: 200, want: `{}`},
		{request: "GET /kv?type=number&values_only", status: 200, want: `[1.50]`},
		{request: "GET /kv?type=array&values_only", status: 200, want: `[]`},
		{request: "GET /kv?type=object&limit=1", status: 200, want: `{"u:1":` + ann + `}`, has: "X-Pxkv-Cursor: AXU6Mg"},
		{request: "GET /kv?type=object&limit=1&cursor=AXU6Mg&from=a", status: 200, want: `{"u:2":{"age":9}}`,
			has: "X-Pxkv-Cursor:"},
		{request: "GET /kv?type=object&cursor=AXU6Mg&from=v", status: 200, want: `{}`},

		{request: "GET /kv?from=u:2&meta", status: 200, want: `{` +
			`"u:2":{"value":{"age":9},"type":"object","version":2,"modified":"2026-01-01T00:00:00.000Z",` +
			`"expires":"2026-01-01T00:01:00.000Z"},` +
			`"v":{"value":"text","type":"string","version":3,"modified":"2026-01-01T00:00:00.000Z"},` +
			`"w":{"value":{"$binary":"/w=="},"type":"binary","content_type":"image/png","version":4,` +
			`"modified":"2026-01-01T00:00:00.000Z"},` +
			`"x":{"value":1.50,"type":"number","version":5,"modified":"2026-01-01T00:00:00.000Z"}}`},
		{request: "GET /kv?from=x&meta&values_only", status: 200,
			want: `[{"value":1.50,"type":"number","version":5,"modified":"2026-01-01T00:00:00.000Z"}]`},
		{request: "GET /kv?from=v&format=ndjson", status: 200, has: "Content-Type: application/x-ndjson",
			want: `{"key":"v","value":"text"}` + "\n" + `{"key":"w","value":{"$binary":"/w=="}}` + "\n" +
				`{"key":"x","value":1.50}` + "\n"},
		{request: "GET /kv?from=w&format=ndjson&keys_only", status: 200, want: "\"w\"\n\"x\"\n"},
		{request: "GET /kv?from=x&format=ndjson&values_only", status: 200, want: "1.50\n"},
		{request: "GET /kv?from=x&format=ndjson&meta", status: 200, want: `{"key":"x","value":1.50,"type":"number",` +
			`"version":5,"modified":"2026-01-01T00:00:00.000Z"}` + "\n"},
		{request: "GET /kv?from=y&format=ndjson", status: 200, want: ``},
		{request: "HEAD /kv?format=ndjson", status: 200, has: "Content-Type: application/x-ndjson"},

		{request: "GET /kv?key=x&key=nope&key=v&key=x", status: 200, want: `{"x":1.50,"v":"text"}`},
		{request: "GET /kv?key=x&key=v&consistency=stale", status: 200, want: `{"x":1.50,"v":"text"}`},
		{request: "GET /kv?key=nope&key=no", status: 200, want: `{}`},
	})
}

// TestPageEndsBySize: a page is kept until its cursor is known, so a limit of many large
// values must not keep them all.
func TestPageEndsBySize(t *testing.T) {
	t.Parallel()
	f := newFake()
	for i := range 10 {
		key := fmt.Sprintf("k%d", i)
		f.items[key] = kv.Item{
			Key: []byte(key), Value: kv.Value{Kind: kv.String, Data: bytes.Repeat([]byte("v"), 1<<20)}, Version: 1,
		}
	}
	s := newTestServer(t, f, nil)
	w := do(t, s.Handler(), "GET /kv?limit=10", "")
	var got map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got) != 4 ||
		w.Header().Get("X-Pxkv-Cursor") != cursorText([]byte("k4")) {
		t.Errorf("%d pairs, cursor %q, %v", len(got), w.Header().Get("X-Pxkv-Cursor"), err)
	}
	most := int(s.opt.Budget.Limit() / 8 * int64(kv.OfClients))
	s.opt.Budget.Force(most - 3<<19)
	w = do(t, s.Handler(), "GET /kv?limit=10", "")
	if w.Code != 200 || w.Header().Get("X-Pxkv-Cursor") != cursorText([]byte("k1")) {
		t.Errorf("with little budget: %d, cursor %q", w.Code, w.Header().Get("X-Pxkv-Cursor"))
	}
	s.opt.Budget.Force(3 << 19)
	if w = do(t, s.Handler(), "GET /kv?limit=10", ""); w.Code != 503 {
		t.Errorf("without budget: %d", w.Code)
	}
}

func TestLongListTakesConstantMemory(t *testing.T) {
	f := newFake()
	const n = 1_000_000
	f.list = manyItems(n, nil)
	addr, _ := start(t, f, nil)
	c := wiretest.Dial(t, addr)
	io.WriteString(c, "GET /kv HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.ContentLength != -1 {
		t.Errorf("Content-Length %d", res.ContentLength)
	}
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak uint64
	commas, total := 1, 0
	buf := make([]byte, 256<<10)
	for i := 0; ; i++ {
		m, err := res.Body.Read(buf)
		commas += bytes.Count(buf[:m], []byte(`,"key`))
		total += m
		if i%500 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if commas != n {
		t.Errorf("%d pairs, want %d", commas, n)
	}
	t.Logf("%d bytes in %d pairs; heap before %d KiB, largest %d KiB", total, commas, before.HeapAlloc>>10, peak>>10)
	if peak > before.HeapAlloc+4<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, peak)
	}
}

// TestBrokenListIsNeverWellFormed: before the first byte an error has a status, after it
// the connection breaks.
func TestBrokenListIsNeverWellFormed(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 100, 10_000} {
		f := newFake()
		f.list = manyItems(n, kv.Errorf(kv.Unavailable, "partition 3 has no leader"))
		addr, _ := start(t, f, nil)
		c := wiretest.Dial(t, addr)
		io.WriteString(c, "GET /kv HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		switch {
		case n <= 100 && (res.StatusCode != 503 || err != nil):
			t.Errorf("%d items: %d %v %s", n, res.StatusCode, err, body)
		case n > 100 && (res.StatusCode != 200 || !errors.Is(err, io.ErrUnexpectedEOF) || json.Valid(body)):
			t.Errorf("%d items: %d, %v, %d bytes", n, res.StatusCode, err, len(body))
		}
		if n > 100 {
			wiretest.Eventually(t, "the abort is counted", func() bool {
				_, metrics := wiretest.Ask(t, wiretest.Dial(t, addr),
					"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				return strings.Contains(metrics, `pxkv_http_requests_total{op="list",outcome="aborted"} 1`)
			})
		}
	}
}

// TestSilentEndAfterCancelIsAnError: a service that just stops when its context ends has
// not listed everything.
func TestSilentEndAfterCancelIsAnError(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.list = func(ctx context.Context, _ kv.ListQuery) iter.Seq2[kv.Item, error] {
		return func(func(kv.Item, error) bool) { <-ctx.Done() }
	}
	run(t, newTestServer(t, f, nil).Handler(), []step{
		{request: "GET /kv?timeout=20ms", status: 503, want: `~"code":"unavailable"`},
		{request: "GET /kv?timeout=20ms&limit=5", status: 503, want: `~"code":"unavailable"`},
	})
}

// A list that finds nothing, and has sent nothing, ends when its client closes the connection.
func TestAListThatFindsNothingEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/kv?where=false", "/kv?where=false&limit=3"} {
		f := newFake()
		begun, ended := make(chan struct{}), make(chan struct{})
		f.list = func(ctx context.Context, q kv.ListQuery) iter.Seq2[kv.Item, error] {
			return func(func(kv.Item, error) bool) {
				defer close(ended)
				for close(begun); ctx.Err() == nil; runtime.Gosched() {
					q.Progress() // it goes on looking, for as long as somebody waits
				}
			}
		}
		addr, _ := start(t, f, nil)
		c := wiretest.Dial(t, addr)
		io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: x\r\n\r\n")
		<-begun
		c.Close()
		select {
		case <-ended:
		case <-time.After(20 * time.Second): // the default time limit does not end it: Progress renews that
			t.Fatal("the list goes on")
		}
	}
}

func TestSlowReaderOfAListIsDropped(t *testing.T) {
	t.Parallel()
	f := newFake()
	ended := make(chan struct{})
	f.list = func(ctx context.Context, q kv.ListQuery) iter.Seq2[kv.Item, error] {
		return func(yield func(kv.Item, error) bool) {
			defer close(ended)
			manyItems(1<<30, nil)(ctx, q)(yield)
		}
	}
	addr, _ := start(t, f, func(o *Options) { o.Limits.WriteStall = 100 * time.Millisecond })
	c := wiretest.Dial(t, addr)
	io.WriteString(c, "GET /kv HTTP/1.1\r\nHost: x\r\n\r\n")
	<-ended
	// What the kernels hold can still be read; then it breaks.
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("the list ended well")
	}
}

// TestLongListIsNotCut: time limits are for a lack of progress, not for the whole.
func TestLongListIsNotCut(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.list = manyItems(400_000, nil)
	// On a busy machine the reader may stand still for as long as a short limit.
	for _, limit := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		addr, _ := start(t, f, func(o *Options) {
			o.Limits.WriteStall, o.RequestTimeout = limit, limit
			o.Limits.ReadHeaderTimeout, o.Limits.IdleTimeout = limit/3, limit/3
		})
		took, err := readSlowly(t, addr, limit/30)
		switch {
		case err != nil && limit < 4*time.Second:
			continue
		case err != nil:
			t.Errorf("cut after %v: %v", took, err)
		case took < limit*3/2:
			t.Errorf("the list took only %v, which proves nothing", took)
		}
		return
	}
}

// readSlowly reads a list more slowly than it comes, and tells how long that took, and where it was cut.
func readSlowly(t *testing.T, addr string, pause time.Duration) (took time.Duration, err error) {
	t.Helper()
	c := wiretest.Dial(t, addr)
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	begin := time.Now()
	io.WriteString(c, "GET /kv HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	for err == nil {
		_, err = io.CopyN(io.Discard, res.Body, 256<<10)
		time.Sleep(pause)
	}
	if err == io.EOF {
		err = nil
	}
	return time.Since(begin), err
}
