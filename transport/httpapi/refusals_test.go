package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pxkv/node/kv"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	run(t, handler(t), []step{
		{request: "PUT /kv/a", header: `If-Match: *`, body: "x", status: 412,
			want: `{"error":"Condition not met","code":"condition"}`, has: "ETag:"},
		{request: "PUT /kv/a", header: `If-Match: "1"`, body: "x", status: 412, want: "~code", has: "ETag:"},
		{request: "DELETE /kv/a", header: `If-Match: "1"`, status: 412, want: "~code"},
		{request: "PUT /kv/a", header: `If-None-Match: *`, body: "x", status: 201, has: `ETag: "1"`},
		{request: "PUT /kv/a", header: `If-None-Match: *`, body: "x", status: 412, want: "~code", has: `ETag: "1"`},
		{request: "PUT /kv/a", header: `If-Match: "1"`, body: "x", status: 200, has: `ETag: "2"`},
		{request: "PUT /kv/a", header: `If-Match: "1"`, body: "x", status: 412, want: "~code",
			has: `ETag: "2"|X-Pxkv-Index: 107`},
		{request: "PUT /kv/a", header: `If-Match: *`, body: "x", status: 200, has: `ETag: "3"`},
		{request: "PUT /kv/a", header: `If-Match: "abc"`, body: "x", status: 412, want: "~code", has: `ETag: "3"`},
		{request: "PUT /kv/a", header: `If-Match: "03"`, body: "x", status: 412, want: "~code"},
		{request: "PUT /kv/a", header: `If-Match: "99999999999999999999999"`, body: "x", status: 412, want: "~code"},
		{request: "PUT /kv", header: `If-Match: "3"`, body: `{"key":"a","value":1}`, status: 200, want: `{"a":1}`,
			has: `ETag: "4"`},
		{request: "PUT /kv", header: `If-Match: "3"`, body: `{"key":"a","value":1}`, status: 412, want: "~code"},
		{request: "PUT /kv/a", header: `If-Match: 4`, body: "x", status: 400, want: "~If-Match"},
		{request: "PUT /kv/a", header: `If-Match: "4`, body: "x", status: 400, want: "~If-Match"},
		{request: "PUT /kv/a", header: `If-Match: `, body: "x", status: 400, want: "~If-Match"},
		{request: "PUT /kv/a", header: `If-Match: "4" "5"`, body: "x", status: 400, want: "~If-Match"},
		{request: "PUT /kv/a", header: `If-Match: W/"4"`, body: "x", status: 400, want: "~strong"},
		{request: "PUT /kv/a", header: `If-Match: "4", "5"`, body: "x", status: 400, want: "~more than one"},
		{request: "PUT /kv/a", header: `If-Match: "4"|If-Match: "5"`, body: "x", status: 400, want: "~more than one"},
		{request: "PUT /kv/a", header: `If-Match: "4"|If-None-Match: *`, body: "x", status: 400, want: "~together"},
		{request: "PUT /kv/a", header: `If-None-Match: "4"`, body: "x", status: 400, want: "~other than *"},
		{request: "DELETE /kv/a", header: `If-None-Match: *`, status: 400, want: "~on DELETE"},
		{request: "PUT /kv/a", header: `If-Unmodified-Since: Thu, 01 Jan 2026 00:00:00 GMT`, body: "x", status: 400,
			want: "~If-Unmodified-Since"},
		{request: "PUT /kv/a", header: `Content-Range: bytes 0-1/2`, body: "x", status: 400, want: "~Content-Range"},
		{request: "PUT /kv/a", header: `Idempotency-Key: 1`, body: "x", status: 400, want: "~Idempotency-Key"},
		{request: "DELETE /kv", header: `Idempotency-Key: 1`, body: `{"key":"a"}`, status: 400,
			want: "~Idempotency-Key"},
		{request: "PUT /kv/a", header: `Content-Encoding: gzip`, body: "x", status: 415, want: "~gzip"},

		{request: "GET /kv/a", header: `If-None-Match: "4"`, status: 304,
			has: `ETag: "4"|Content-Type:|X-Pxkv-Node: n1`},
		{request: "GET /kv/a", header: `If-None-Match: "1", W/"4" , "9"`, status: 304},
		{request: "GET /kv/a", header: `If-None-Match: *`, status: 304},
		{request: "GET /kv/a", header: `If-None-Match: "5"`, status: 200, want: "1"},
		{request: "GET /kv/a", header: `If-None-Match: 4`, status: 400, want: "~If-None-Match"},
		{request: "GET /kv?key=a", header: `If-None-Match: "4"`, status: 304},
		{request: "GET /kv/a", header: `If-Match: "4"`, status: 200, want: "1"},
		{request: "GET /kv/a", header: `If-Match: "5"`, status: 412, want: "~code", has: `ETag: "4"`},
		{request: "DELETE /kv/a", header: `If-Match: "5"`, status: 412, want: "~code", has: `ETag: "4"`},
		{request: "DELETE /kv/a", header: `If-Match: "4"`, status: 200, want: `{"result":"Key deleted"}`, has: "ETag:"},
	})
}

func TestRefusalsByName(t *testing.T) {
	t.Parallel()
	h := handler(t)
	var steps []step
	for _, name := range []string{"glob", "regex", "from", "to", "where", "type", "values_only", "meta", "format"} {
		want := "~Parameter " + name + " does not apply to this request"
		steps = append(steps,
			step{request: "GET /kv?key=a&" + name + "=1", status: 400, want: "~Parameter " + name},
			step{request: "GET /kv/a?" + name, status: 400, want: want},
			step{request: "PUT /kv/a?" + name + "=1", body: "x", status: 400, want: want},
			step{request: "PUT /kv?" + name + "=1", body: `{"key":"a","value":1}`, status: 400, want: want},
			step{request: "DELETE /kv/a?" + name + "=1", status: 400, want: want})
	}
	for _, name := range []string{"glob", "regex", "where", "type"} {
		steps = append(steps,
			step{request: "GET /kv?" + name + "=", status: 400, want: "~Parameter " + name + " is empty"},
			step{request: "HEAD /kv?" + name + "=(", status: map[bool]int{true: 200, false: 400}[name == "glob"],
				want: "~"})
	}
	for _, method := range []string{"PATCH", "OPTIONS", "TRACE", "FOO"} {
		for path, allow := range map[string]string{"/kv": "GET, HEAD, PUT, DELETE",
			"/kv/": "GET, HEAD, PUT, DELETE, POST", "/kv/a": "GET, HEAD, PUT, DELETE, POST"} {
			steps = append(steps, step{
				request: method + " " + path, status: 405, want: `~"code":"method"`, has: "Allow: " + allow,
			})
		}
	}
	steps = append(steps, []step{
		{request: "POST /kv?incr=1", status: 405, want: "~POST", has: "Allow: GET, HEAD, PUT, DELETE"},
		{request: "POST /healthz", status: 405, want: "~method", has: "Allow: GET, HEAD"},
		{request: "PUT /kv/a?tll=5", body: "x", status: 400, want: `~Parameter \"tll\" is not known here`},
		{request: "PUT /kv?consistency=stale", body: `{"key":"a","value":1}`, status: 400,
			want: "~consistency does not apply"},
		{request: "GET /kv/a?limit=1", status: 400, want: "~limit does not apply"},
		{request: "GET /kv?key=a&limit=1", status: 400, want: "~limit does not go with key"},
		{request: "GET /kv?key=a&key=b&min_index=1", status: 400, want: "~min_index needs a single key"},
		{request: "GET /kv?key=a&key=", status: 400, want: "~Missing key"},
		{request: "GET /kv?key=a" + strings.Repeat("&key=b", 64), status: 400, want: "~More than 64 keys to read"},
		{request: "GET /cluster/owner?key=a&key=b", status: 400, want: "~key is given twice"},
		{request: "GET /kv?where=value.age+%3E", status: 400,
			want: "~Parameter where: unexpected token EOF at character 11 of 11"},
		{request: "GET /kv?regex=(", status: 400, want: "~Parameter regex: missing closing ): ("},
		{request: "GET /kv?type=int", status: 400, want: `~Parameter type: \"int\" is none of string, json`},
		{request: "GET /kv?format=xml", status: 400, want: `~Parameter format: \"xml\" is neither json nor ndjson`},
		{request: "GET /kv?keys_only&values_only", status: 400, want: "~keys_only does not go with values_only"},
		{request: "GET /kv?keys_only&meta", status: 400, want: "~keys_only does not go with meta"},
		{request: "GET /kv?to=" + strings.Repeat("a", 4097), status: 400, want: "~Parameter to is longer than a key"},
		{request: "GET /kv?key=%zz", status: 400, want: `~Parameter \"key\" has a bad percent-encoding`},
		{request: "GET /kv?%zz=1", status: 400, want: "~bad percent-encoding"},
		{request: "GET /kv?min_index=1", status: 400, want: "~min_index"},
		{request: "GET /kv?key=a&min_index=-1", status: 400, want: "~min_index"},
		{request: "GET /kv?a=1&b=2&min_index=1", status: 400, want: "~min_index"},
		{request: "GET /kv?key=a&consistency=maybe", status: 400, want: "~consistency"},
		{request: "GET /kv?limit=0", status: 400, want: "~limit"},
		{request: "GET /kv?limit=-1", status: 400, want: "~limit"},
		{request: "GET /kv?limit=99999999999999999999", status: 400, want: "~limit"},
		{request: "GET /kv?keys_only=maybe", status: 400, want: "~keys_only"},
		{request: "GET /kv?cursor=x", status: 400, want: "~cursor"},
		{request: "GET /kv?cursor=", status: 400, want: "~cursor"},
		{request: "GET /kv?prefix=b&cursor=" + cursorText([]byte("a")), status: 400, want: "~cursor does not belong"},
		{request: "GET /kv?prefix=" + strings.Repeat("a", 4097), status: 400, want: "~prefix"},
		{request: "GET /kv?key=a&timeout=61s", status: 400, want: "~timeout"},
		{request: "GET /kv?key=a&timeout=0", status: 400, want: "~timeout"},
		{request: "GET /kv?key=a&timeout=NaN", status: 400, want: "~timeout"},
		{request: "GET /kv?key=a&timeout=Inf", status: 400, want: "~timeout"},
		{request: "GET /kv?key=a&timeout=soon", status: 400, want: "~timeout"},
		{request: "GET /kv", status: 200, want: "{}"},
	}...)
	run(t, h, steps)
}

func TestServiceErrors(t *testing.T) {
	t.Parallel()
	unknown := `{"error":"Outcome unknown","code":"unknown"}`
	for _, c := range []struct {
		err         error
		read, write int
		code        string // in the read's answer
	}{
		{kv.Errorf(kv.Invalid, "bad"), 400, 400, "invalid"},
		{kv.Errorf(kv.TooLarge, "big"), 413, 413, "too_large"},
		{kv.Errorf(kv.Unavailable, "no leader"), 503, 503, "unavailable"},
		{kv.Errorf(kv.NotLeader, "not me"), 503, 503, "not_leader"},
		{kv.ErrUnknown(), 504, 504, "unknown"},
		{kv.Errorf(kv.Full, "disk full"), 507, 507, "full"},
		{kv.Errorf(kv.Internal, "broken"), 500, 504, "internal"},
		{fmt.Errorf("wrapped: %w", kv.Errorf(kv.Full, "disk full")), 507, 507, "full"},
		{errors.New("secret detail"), 500, 504, "internal"},
		{context.DeadlineExceeded, 503, 504, "unavailable"},
		{context.Canceled, 503, 504, "unavailable"},
		{kv.Errorf(99, "from the future"), 500, 504, "internal"},
	} {
		f := newFake()
		f.failRead, f.failWrite, f.failList = c.err, c.err, c.err
		h := newTestServer(t, f, nil).Handler()
		for _, request := range []string{"GET /kv?key=a", "GET /kv/a", "GET /kv", "GET /kv?limit=3", "GET /kv?a=b"} {
			w := do(t, h, request, "")
			if w.Code != c.read || !strings.Contains(w.Body.String(), `"code":"`+c.code+`"`) ||
				strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s with %v: %d %s", request, c.err, w.Code, w.Body)
			}
			if retry := w.Header().Get("Retry-After"); (retry == "1") != (c.read == 503) {
				t.Errorf("%s with %v: Retry-After %q", request, c.err, retry)
			}
		}
		for _, request := range []string{"PUT /kv", "DELETE /kv", "PUT /kv/a", "DELETE /kv/a"} {
			w := do(t, h, request, `{"key":"a","value":1}`)
			if w.Code != c.write || c.write == 504 && w.Body.String() != unknown {
				t.Errorf("%s with %v: %d %s", request, c.err, w.Code, w.Body)
			}
		}
	}
}

func TestPanicsBecomeAnswers(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.onRead = func(context.Context, kv.ReadOptions) { panic("bug") }
	f.onWrite = func(context.Context, *kv.Command) { panic("bug") }
	var logged strings.Builder
	h := newTestServer(t, f, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&logged, nil)) }).Handler()
	run(t, h, []step{
		{request: "GET /kv/a", status: 500, want: `{"error":"Internal error","code":"internal"}`},
		{request: "PUT /kv/a", body: "x", status: 504, want: `{"error":"Outcome unknown","code":"unknown"}`},
	})
	if !strings.Contains(logged.String(), "panic while answering") {
		t.Errorf("the panic is not in the log: %s", logged.String())
	}
	run(t, h, []step{{request: "GET /metrics", status: 200, want: "~pxkv_http_panics_total 2\n"}})
}
