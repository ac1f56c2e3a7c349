package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/http1"
)

// newTestServer makes a server over a service; edit may change its options.
func newTestServer(t testing.TB, service Service, edit func(*Options)) *Server {
	t.Helper()
	o := Options{Service: service, Listen: "127.0.0.1:0"}
	if edit != nil {
		edit(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// do sends one request, written as "METHOD target", headers as "Name: value" lines, to a
// handler. It goes through net/http's own parser, as a client's bytes would.
func do(t testing.TB, h http.Handler, request, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n", method, target)
	for _, line := range headers {
		raw += line + "\r\n"
	}
	if body != "" {
		raw += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw + "\r\n" + body)))
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if ct := w.Header().Get("Content-Type"); w.Code >= 400 {
		if ct != "application/json" || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: error %d is not JSON: %s %q", request, w.Code, ct, w.Body)
		}
	}
	return w
}

// step is a request and what it must answer. Steps of one table follow each other on one
// service.
type step struct {
	request string // "METHOD target"
	body    string
	header  string // "Name: value", or several separated by |
	status  int
	want    string // the body: whole, or after ~ a part of it
	has     string // answer headers, "Name: value" separated by |; "Name:" must be absent
}

func run(t *testing.T, h http.Handler, steps []step) {
	t.Helper()
	for i, s := range steps {
		var headers []string
		if s.header != "" {
			headers = strings.Split(s.header, "|")
		}
		w := do(t, h, s.request, s.body, headers...)
		name := fmt.Sprintf("step %d, %s %s %s", i, s.request, s.header, s.body)
		if w.Code != s.status {
			t.Errorf("%s: status %d, want %d (%s)", name, w.Code, s.status, w.Body)
		}
		part, isPart := strings.CutPrefix(s.want, "~")
		if got := w.Body.String(); isPart && !strings.Contains(got, part) || !isPart && got != s.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, s.want)
		}
		for line := range strings.SplitSeq(s.has, "|") {
			k, v, _ := strings.Cut(line, ":")
			if got := w.Header().Get(k); s.has != "" && got != strings.TrimSpace(v) {
				t.Errorf("%s: header %s is %q, want %q", name, k, got, strings.TrimSpace(v))
			}
		}
	}
}

func handler(t *testing.T) http.Handler { return newTestServer(t, newFake(), nil).Handler() }

func TestOriginalCalls(t *testing.T) {
	t.Parallel()
	run(t, handler(t), []step{
		{request: "GET /kv", status: 200, want: `{}`, has: "Content-Type: application/json"},
		{request: "PUT /kv", body: `{"key":"a","value":"b"}`, status: 200, want: `{"a":"b"}`,
			has: "Content-Type: application/json"},
		{request: "GET /kv?key=a", status: 200, want: `{"a":"b"}`},
		{request: "GET /kv/?key=a", status: 200, want: `{"a":"b"}`},
		{request: "GET /kv?key=nope", status: 404, want: `{"error":"Key not found"}`},
		{request: "PUT /kv", body: ` { "value" : { "z": 1.50, "a" : [1, 2,{ }] } , "key":"o" } `, status: 200,
			want: `{"o":{"z":1.50,"a":[1,2,{}]}}`},
		{request: "PUT /kv", body: `{"key":"n","value":123456789012345678901234567890.10e+5}`, status: 200,
			want: `{"n":123456789012345678901234567890.10e+5}`},
		{request: "PUT /kv", body: `{"key":"f","value":false}`, status: 200, want: `{"f":false}`},
		{request: "PUT /kv", body: `{"key":"z","value":0}`, status: 200, want: `{"z":0}`},
		{request: "PUT /kv", body: `{"key":"e","value":""}`, status: 200, want: `{"e":""}`},
		{request: "GET /kv", status: 200,
			want: `{"a":"b","e":"","f":false,"n":123456789012345678901234567890.10e+5,"o":{"z":1.50,"a":[1,2,{}]},"z":0}`},
		{request: "GET /kv/", status: 200, want: `~{"a":"b","e":""`},
		{request: "DELETE /kv", body: `{"key":"a"}`, status: 200, want: `{"result":"Key deleted"}`},
		{request: "DELETE /kv", body: `{"key":"a"}`, status: 404, want: `{"error":"Key not found"}`},
		{request: "PUT /kv", body: ``, status: 400, want: `{"error":"Invalid JSON"}`},
		{request: "PUT /kv", body: `{"key":"a","value":1`, status: 400, want: `{"error":"Invalid JSON"}`},
		{request: "PUT /kv", body: `{"key":"a","value":NaN}`, status: 400, want: `{"error":"Invalid JSON"}`},
		{request: "PUT /kv", body: "{\"key\":\"\xff\",\"value\":1}", status: 400, want: `{"error":"Invalid JSON"}`},
		{request: "DELETE /kv", body: `nope`, status: 400, want: `{"error":"Invalid JSON"}`},
		{request: "DELETE /kv", body: ``, status: 400, want: `{"error":"Invalid JSON"}`},
		{request: "PUT /kv", body: `{"value":1}`, status: 400, want: `{"error":"Missing key or value"}`},
		{request: "PUT /kv", body: `{"key":"","value":1}`, status: 400, want: `{"error":"Missing key or value"}`},
		{request: "PUT /kv", body: `{"key":5,"value":1}`, status: 400, want: `{"error":"Missing key or value"}`},
		{request: "PUT /kv", body: `{"key":"a"}`, status: 400, want: `{"error":"Missing key or value"}`},
		{request: "PUT /kv", body: `{"key":"a","value":null}`, status: 400, want: `{"error":"Missing key or value"}`},
		{request: "PUT /kv", body: `[1]`, status: 400, want: `{"error":"Missing key or value"}`},
		{request: "PUT /kv", body: `{}`, status: 400, want: `{"error":"Missing key or value"}`},
		{request: "DELETE /kv", body: `{}`, status: 400, want: `{"error":"Missing key"}`},
		{request: "DELETE /kv", body: `{"key":""}`, status: 400, want: `{"error":"Missing key"}`},
		{request: "DELETE /kv", body: `"x"`, status: 400, want: `{"error":"Missing key"}`},
		{request: "GET /", status: 404, want: `{"error":"Invalid path"}`},
		{request: "PUT /nope", body: "{}", status: 404, want: `{"error":"Invalid path"}`},
		{request: "GET /kvx", status: 404, want: `{"error":"Invalid path"}`},
		{request: "GET //kv", status: 404, want: `{"error":"Invalid path"}`},
		{request: "GET /kv%2Fa", status: 404, want: `{"error":"Invalid path"}`},
		{request: "POST /batches", body: "{}", status: 404, want: `{"error":"Invalid path"}`},
		{request: "OPTIONS *", status: 404, want: `{"error":"Invalid path"}`},
		// Of two members of one name the last counts; unknown members are ignored.
		{request: "PUT /kv", body: `{"key":"a","key":"b","value":1,"x":{},"value":2}`, status: 200, want: `{"b":2}`},
		{request: "PUT /kv", body: `{"\u006bey":"\u00e9\ud83d\ude00<&>","value":"\n\u0001\"\\/é"}`, status: 200,
			want: `{"é😀<&>":"\n\u0001\"\\/é"}`},
	})
}

func TestMatchOfPairs(t *testing.T) {
	t.Parallel()
	run(t, handler(t), []step{
		{request: "PUT /kv", body: `{"key":"feature_toggle","value":"true"}`, status: 200, want: "~"},
		{request: "PUT /kv", body: `{"key":"flag","value":true}`, status: 200, want: "~"},
		{request: "PUT /kv", body: `{"key":"obj","value":{"a": 1}}`, status: 200, want: "~"},
		{request: "PUT /kv", body: `{"key":"empty","value":""}`, status: 200, want: "~"},
		{request: "PUT /kv/spaced", body: `{ "a": 1 }`, header: "Content-Type: application/json", status: 201},
		{request: "GET /kv?feature_toggle=true", status: 200, want: `{"feature_toggle":"true"}`,
			has: "X-Pxkv-Partition: 2|X-Pxkv-Node: n1"},
		{request: "GET /kv?feature_toggle=false", status: 404, want: `{"error":"Key not found"}`},
		{request: "GET /kv?nope=true", status: 404, want: `{"error":"Key not found"}`},
		{request: "GET /kv?flag=true", status: 200, want: `{"flag":"true"}`},
		{request: "GET /kv?flag=true&feature_toggle=true", status: 200, want: `{"flag":"true","feature_toggle":"true"}`,
			has: "X-Pxkv-Index:"},
		{request: "GET /kv?flag=true&feature_toggle=no", status: 404, want: `{"error":"Key not found"}`},
		{request: "GET /kv?flag=true&flag=false", status: 404, want: `{"error":"Key not found"}`},
		{request: "GET /kv?obj=%7B%22a%22:1%7D", status: 200, want: `{"obj":"{\"a\":1}"}`},
		{request: "GET /kv?spaced=%7B%22a%22:1%7D", status: 200, want: `{"spaced":"{\"a\":1}"}`},
		{request: "GET /kv?empty", status: 200, want: `{"empty":""}`},
		{request: "GET /kv?=true", status: 400, want: `{"error":"Missing key"}`},
		{request: "GET /kv?flag=true&consistency=stale", status: 200, want: `{"flag":"true"}`,
			has: "X-Pxkv-Staleness-Ms: 42"},
		{request: "GET /kv?flag=true&prefix=a", status: 400, want: "~Parameter prefix does not go with"},
		{request: "GET /kv?flag=true&key=a", status: 400, want: "~does not go with key"},
		{request: "GET /kv?" + strings.Repeat("a=b&", 65), status: 400, want: "~More than 64"},
	})
}

func TestRawResource(t *testing.T) {
	t.Parallel()
	run(t, handler(t), []step{
		{request: "GET /kv/a", status: 404, want: `{"error":"Key not found"}`,
			has: "X-Pxkv-Partition: 1|X-Pxkv-Index: 100|X-Pxkv-Node: n1|ETag:"},
		{request: "PUT /kv/a", body: "hello", status: 201, has: `ETag: "1"|X-Pxkv-Index: 101|X-Pxkv-Node: n1`},
		{request: "PUT /kv/a", body: "hello!", status: 200, has: `ETag: "2"`},
		{request: "GET /kv/a", status: 200, want: "hello!",
			has: `ETag: "2"|Content-Type: text/plain; charset=utf-8|Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT|X-Content-Type-Options: nosniff`},
		{request: "PUT /kv/a", body: "\xff\x00", status: 200},
		{request: "GET /kv/a", status: 200, want: "\xff\x00", has: "Content-Type: application/octet-stream"},
		{request: "GET /kv?key=a", status: 200, want: `{"a":{"$binary":"/wA="}}`},
		{request: "PUT /kv/a", body: "{ }", header: "Content-Type: application/json", status: 200},
		{request: "GET /kv/a", status: 200, want: "{ }", has: "Content-Type: application/json"},
		{request: "GET /kv?key=a", status: 200, want: `{"a":{}}`},
		{request: "PUT /kv/a", body: "{\"\xff\":1}", header: "Content-Type: application/json", status: 200},
		{request: "GET /kv?key=a", status: 200, want: `{"a":{"$binary":"eyL/IjoxfQ=="}}`},
		{request: "PUT /kv/a", body: "<p>", header: "Content-Type: text/html", status: 200},
		{request: "GET /kv/a", status: 200, want: "<p>",
			has: "Content-Type: text/html|Content-Security-Policy: sandbox"},
		{request: "PUT /kv/a", body: "", status: 200},
		{request: "GET /kv/a", status: 200, want: "", has: "Content-Type: text/plain; charset=utf-8"},
		{request: "PUT /kv", body: `{"key":"j","value":[1, 2]}`, status: 200, want: `{"j":[1,2]}`},
		{request: "GET /kv/j", status: 200, want: "[1,2]", has: "Content-Type: application/json"},
		{request: "PUT /kv", body: `{"key":"b","value":{"$binary":"aGk="}}`, status: 200,
			want: `{"b":{"$binary":"aGk="}}`},
		{request: "GET /kv/b", status: 200, want: "hi", has: "Content-Type: application/octet-stream"},
		{request: "PUT /kv", body: `{"key":"b","value":{"$binary":""}}`, status: 200, want: `{"b":{"$binary":""}}`},
		{request: "PUT /kv", body: `{"key":"b","value":{"$binary":"a"}}`, status: 400, want: "~$binary"},
		{request: "PUT /kv", body: `{"key":"b","value":{"$binary":5}}`, status: 400, want: "~$binary"},
		{request: "PUT /kv", body: `{"key":"b","value":{"$binary":"a","x":1}}`, status: 200,
			want: `{"b":{"$binary":"a","x":1}}`},
		{request: "DELETE /kv/b", status: 200, want: `{"result":"Key deleted"}`},
		{request: "DELETE /kv/b", status: 404, want: `{"error":"Key not found"}`},
		{request: "PUT /kv/", body: "x", status: 400, want: `{"error":"Missing key"}`},
		{request: "DELETE /kv/", status: 400, want: `{"error":"Missing key"}`},
		{request: "GET /kv?key=", status: 400, want: `{"error":"Missing key"}`},
	})
}

func TestOddKeys(t *testing.T) {
	t.Parallel()
	run(t, handler(t), []step{
		{request: "PUT /kv/a/b", body: "1", status: 201},
		{request: "GET /kv/a%2Fb", status: 200, want: "1"},
		{request: "GET /kv?key=a/b", status: 200, want: `{"a/b":"1"}`},
		{request: "PUT /kv//", body: "slash", status: 201},
		{request: "GET /kv?key=/", status: 200, want: `{"/":"slash"}`},
		{request: "PUT /kv/a/../b", body: "dots", status: 201},
		{request: "GET /kv?key=a/../b", status: 200, want: `{"a/../b":"dots"}`},
		{request: "PUT /kv/..", body: "up", status: 201},
		{request: "PUT /kv/a/", body: "trailing", status: 201},
		{request: "GET /kv/a//", status: 404, want: `~Key not found`},
		{request: "PUT /kv/a+b", body: "plus", status: 201},
		{request: "GET /kv?key=a%2Bb", status: 200, want: `{"a+b":"plus"}`},
		{request: "GET /kv?key=a+b", status: 404, want: `~Key not found`},
		{request: "PUT /kv/%FF%00%22", body: "bytes", status: 201},
		{request: "GET /kv?key=%FF%00%22", status: 200, want: `{"\udcff\u0000\"":"bytes"}`},
		{request: "PUT /kv", body: `{"key":"\udcff\u0000\"","value":"again"}`, status: 200,
			want: `{"\udcff\u0000\"":"again"}`},
		{request: "GET /kv/%FF%00%22", status: 200, want: "again"},
		{request: "GET /cluster/owner?key=%FF", status: 200, want: `~"key":"\udcff"`},
		{request: "PUT /kv", body: `{"key":"\ud800","value":"x"}`, status: 400, want: "~half a surrogate pair"},
		{request: "PUT /kv", body: `{"key":"a","value":"\udcff"}`, status: 400, want: "~$binary"},
		{request: "PUT /kv", body: `{"key":"a","value":["\udcff"]}`, status: 200, want: `{"a":["\udcff"]}`},
		{request: "PUT /kv/key?", body: "k", status: 201},
		{request: "DELETE /kv/a", status: 200, want: "~"},
		{request: "GET /kv?keys_only", status: 200,
			want: `["..","/","a+b","a/","a/../b","a/b","key","\udcff\u0000\""]`},
		{request: "PUT /kv/" + strings.Repeat("k", 4096), body: "x", status: 201},
		{request: "PUT /kv/" + strings.Repeat("k", 4097), body: "x", status: 400, want: "~4096"},
		{request: "GET /kv/" + strings.Repeat("k", 4097), status: 400, want: "~4096"},
		{request: "GET /kv?key=" + strings.Repeat("k", 4097), status: 400, want: "~4096"},
		{request: "GET /kv?" + strings.Repeat("k", 4097) + "=1", status: 400, want: "~4096"},
		{request: "DELETE /kv", body: `{"key":"` + strings.Repeat("k", 4097) + `"}`, status: 400, want: "~4096"},
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newTestServer(t, f, func(o *Options) { o.MaxValueBytes = 1000 }).Handler()
	text := func(n int) string { return strings.Repeat("v", n) }
	deep := func(n int) string {
		return `{"key":"d","value":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`
	}
	run(t, h, []step{
		{request: "PUT /kv/a", body: text(1000), status: 201},
		{request: "PUT /kv/a", body: text(1001), status: 413, want: `~"code":"too_large"`},
		{request: "PUT /kv", body: `{"key":"a","value":"` + text(1000) + `"}`, status: 200, want: "~"},
		{request: "PUT /kv", body: `{"key":"a","value":"` + text(1001) + `"}`, status: 413,
			want: `~"code":"too_large"`},
		{request: "PUT /kv", body: text(2*1000 + 64<<10 + 1), status: 413, want: `~"code":"too_large"`},
		{request: "PUT /kv", body: deep(500), status: 200, want: "~"},
		{request: "PUT /kv", body: deep(1001), status: 400, want: "~deeper than 1000"},
		{request: "PUT /kv/a", header: "Content-Type: " + text(255), body: "x", status: 200},
		{request: "PUT /kv/a", header: "Content-Type: " + text(256), body: "x", status: 400, want: "~Content-Type"},
	})
	if f.writes != 4 {
		t.Errorf("%d writes reached the service, want 4", f.writes)
	}
}

func TestReadOptionsReachTheService(t *testing.T) {
	t.Parallel()
	f := newFake()
	var got kv.ReadOptions
	var left time.Duration
	f.onRead = func(ctx context.Context, opt kv.ReadOptions) {
		d, _ := ctx.Deadline()
		got, left = opt, time.Until(d)
	}
	h := newTestServer(t, f, nil).Handler()
	for _, c := range []struct {
		query string
		want  kv.ReadOptions
		left  time.Duration
	}{
		{"", kv.ReadOptions{}, 10 * time.Second},
		{"?consistency=linearizable&timeout=30", kv.ReadOptions{}, 30 * time.Second},
		{"?consistency=stale&min_index=77&timeout=1500ms", kv.ReadOptions{Consistency: kv.Stale, MinIndex: 77},
			1500 * time.Millisecond},
		{"?timeout=0.5", kv.ReadOptions{}, 500 * time.Millisecond},
	} {
		w := do(t, h, "GET /kv/a"+c.query, "")
		if got != c.want || left > c.left || left < c.left-400*time.Millisecond {
			t.Errorf("%s: got %+v with %v left", c.query, got, left)
		}
		if stale := w.Header().Get("X-Pxkv-Staleness-Ms"); (stale == "42") != (c.want.Consistency == kv.Stale) {
			t.Errorf("%s: staleness %q", c.query, stale)
		}
	}
	f.ageless = true
	if h := do(t, h, "GET /kv/a?consistency=stale", "").Header(); h.Get("X-Pxkv-Partition") == "" ||
		h["X-Pxkv-Staleness-Ms"] != nil {
		t.Errorf("a replica that cannot tell its age says %v", h)
	}
}

func TestBlind(t *testing.T) {
	t.Parallel()
	f := newFake()
	var blind bool
	f.onWrite = func(_ context.Context, cmd *kv.Command) { blind = cmd.Blind }
	h := newTestServer(t, f, nil).Handler()
	pair := `{"key":"a","value":1}`
	if do(t, h, "PUT /kv", pair); !blind {
		t.Error("PUT /kv without a condition should be blind")
	}
	if do(t, h, "PUT /kv", pair, "If-Match: *"); blind {
		t.Error("PUT /kv with a condition must not be blind")
	}
	if do(t, h, "PUT /kv/a", pair); blind {
		t.Error("PUT /kv/a must not be blind: it answers 201 or 200")
	}
}

func TestHead(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := httptest.NewServer(newTestServer(t, f, nil).Handler())
	defer s.Close()
	do(t, s.Config.Handler, "PUT /kv/a", "hello")
	for path, want := range map[string]struct {
		status int
		length int64
	}{"/kv/a": {200, 5}, "/kv?key=a": {200, 13}, "/kv/nope": {404, 25}, "/kv": {200, -1}, "/kv?limit=1": {200,
		13}, "/healthz": {200, 15}} {
		res, err := s.Client().Head(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want.status || res.ContentLength != want.length {
			t.Errorf("HEAD %s: %d with length %d, want %+v", path, res.StatusCode, res.ContentLength, want)
		}
	}
}

func TestClusterCalls(t *testing.T) {
	t.Parallel()
	f := newFake()
	run(t, newTestServer(t, f, nil).Handler(), []step{
		{request: "GET /healthz", status: 200, want: `{"status":"ok"}`},
		{request: "GET /readyz", status: 200, want: `{"status":"ready"}`},
		{request: "GET /cluster", status: 200,
			want: `{"id":"0000000000005eed","name":"pxkv","node":"n1","epoch":7,"version":1,"partitions":4,"replicas":3,"ready":true,"members":[{"id":"00000000000000a1","name":"n1","state":"active","reachable":true,"addresses":{"http":"10.0.0.1:8080","resp":"10.0.0.1:6379","peer":"10.0.0.1:7947","gossip":"10.0.0.1:7946"},"replicas":4,"wanted":4,"leaders":4}],"health":{"served":{"yes":true},"complete":{"yes":true},"may_fail":{"yes":false,"why":["not n1: without it 4 partitions (0, 1, 2, 3) would not be served"]}}}`},
		{request: "GET /cluster/partitions", status: 200,
			want: `~[{"partition":0,"slots":[0,4095],"leader":"n1","replicas":[{"node":"n1","id":1,"role":"voter","answers":true,"caught_up":true,"behind":0}],"joint":false,"complete":true,"wanted":[{"node":"n1","id":1}]},`},
		{request: "GET /cluster/safe-to-stop?node=n2", status: 200, want: `{"node":"n2","safe":true,"partitions":[]}`},
		{request: "GET /cluster/safe-to-stop?node=n1", status: 409,
			want: `{"error":"Node n1 is needed: without it 2 partitions (0, 3) and the cluster's own group would not be served","code":"not_safe","node":"n1","safe":false,"partitions":[0,3],"meta":true}`},
		{request: "GET /cluster/safe-to-stop?node=n9", status: 400, want: `~no member is named`},
		{request: "GET /cluster/safe-to-stop", status: 400, want: "~Name one member"},
		{request: "GET /cluster/safe-to-stop?node=n1&node=n2", status: 400, want: "~Name one member"},
		{request: "GET /cluster/safe-to-stop?node=n2&x=1", status: 400, want: `~\"x\" is not known here: there is node`},
		{request: "GET /cluster/safe-to-stop?node=%zz", status: 400, want: "~percent-encoding"},
		{request: "GET /cluster/owner?key=%3Ca%3E", status: 200,
			want: `{"key":"<a>","slot":12288,"partition":3,"leader":"n1","replicas":[{"node":"n1","id":4}]}`},
		{request: "GET /cluster/owner", status: 400, want: `{"error":"Missing key"}`},
		{request: "GET /cluster/owner?key=a&x=1", status: 400, want: "~not known here"},
		{request: "GET /metrics", status: 200, want: `~pxkv_http_requests_total{op="cluster",outcome="ok"} 4`},
		{request: "GET /metrics", status: 200, want: `~pxkv_http_in_flight_requests 1`},
		{request: "GET /debug/pprof/", status: 404, want: "~Invalid path"},
	})
	f.notReady = errors.New("partition 3 has no reachable leader")
	run(t, newTestServer(t, f, func(o *Options) { o.Debug = true }).Handler(), []step{
		{request: "GET /readyz", status: 503,
			want: `{"error":"partition 3 has no reachable leader","code":"not_ready"}`, has: "Retry-After: 1"},
		{request: "GET /debug/pprof/", status: 200, want: "~goroutine"},
		{request: "GET /debug/pprof/cmdline", status: 200, want: "~"},
		{request: "GET /debug/pprof/nope", status: 404, want: "~Invalid path"},
	})
}

// A node that is asked to stop answers as ever, and turns load balancers away.
func TestWhoLeavesIsNotReady(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, newFake(), nil)
	s.Leave()
	run(t, s.Handler(), []step{
		{request: "GET /readyz", status: 503, want: `{"error":"this node is shutting down","code":"not_ready"}`,
			has: "Retry-After: 1"},
		{request: "GET /healthz", status: 200, want: `{"status":"ok"}`},
		{request: "GET /kv?key=missing", status: 404, want: "~"},
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Limits: http1.Limits{MaxConns: -1}, RequestTimeout: time.Hour})
	for _, want := range []string{"Service", "MaxConns", "RequestTimeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}
