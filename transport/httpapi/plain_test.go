package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// A client cannot tell which of the two served it.
func TestPlainAnswersAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("value ", 30_000)
	requests := []string{
		"GET /kv/large HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD /kv/large HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /kv?key=large HTTP/1.1\r\nHost: x\r\n\r\n",
		fmt.Sprintf("PUT /kv/page HTTP/1.1\r\nHost: x\r\nContent-Type: text/html\r\nContent-Length: 20000\r\n\r\n%s",
			large[:20000]),
		"GET /kv/page HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /kv/a HTTP/1.1\r\nHost: x\r\nIf-Match: \"99\"\r\nContent-Length: 1\r\n\r\nb",
		"PUT /kv/a HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\nContent-Length: 1\r\n\r\nb",
		"GET /kv/a?nonsense=1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /kv/a?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nb",
		"PUT /kv HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{}x",
		"GET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD /kv/a HTTP/1.1\r\nHost: x:80\r\nIf-None-Match: \"1\"\r\n\r\n",
		"GET /kv?key=a HTTP/1.1\r\nHost: x\r\nAccept: */*\r\naccept: text/html\r\n\r\n",
		"GET /kv/%7Ba%7D.%2F HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /kv/{a}//..?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /kv/a HTTP/1.1\r\nhost: x\r\nContent-Length: 3\r\nContent-type:\ttext/plain \r\n\r\nabc",
		"PUT /kv HTTP/1.1\r\nHost: x\r\nContent-Length: 23\r\n\r\n{\"key\":\"a\",\"value\":\"b\"}",
		"DELETE /kv/a HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\nIf-Match: \"1\"\r\n\r\n",
		"DELETE /kv HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n{\"key\":\"a\"}",
		"PUT /kv/a HTTP/1.1\r\nHost: x\r\n\r\n",
	}
	record := func(passedOn bool) []string {
		f := newFake()
		f.items["large"] = kv.Item{Value: kv.RawValue([]byte(large), "text/plain"), Version: 1}
		rest := 0 // requests that net/http read
		of := func(ctx context.Context) {
			if ctx.Value(http.ServerContextKey) != nil {
				rest++
			}
		}
		f.onRead = func(ctx context.Context, _ kv.ReadOptions) { of(ctx) }
		f.onWrite = func(ctx context.Context, _ *kv.Command) { of(ctx) }
		addr, _ := start(t, f, nil)
		c := wiretest.Dial(t, addr)
		if passedOn {
			wiretest.Ask(t, c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		answers := wiretest.Transcript(t, c, requests)
		if (rest > 0) != passedOn {
			t.Errorf("passed on: %t; net/http read %d requests", passedOn, rest)
		}
		return answers
	}
	mine, theirs := record(false), record(true)
	for i := range mine {
		if mine[i] != theirs[i] {
			t.Errorf("plain    %.600s\nnet/http %.600s", mine[i], theirs[i])
		}
	}
}

// Requests about one key are plain, and nobody waits for the end of what they do not begin with.
func TestRequestsAboutOneKeyArePlain(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"GET /kv/a": true, "HEAD /kv/a": true, "PUT /kv/a?ttl=30s": true, "DELETE /kv/a": true,
		"POST /kv/a?incr=-5":                true,
		"GET /kv/{a}//..?consistency=stale": true, "GET /kv?key=a": true, "PUT /kv": true, "DELETE /kv": true,
		"GET /kv": false, "GET /kv?a=b": false, "GET /kv?prefix=a": false, "HEAD /kv": false, "HEAD /kv?key=a": false,
		"GET /kv/": false, "PUT /kv/": false, "GET /kvx": false, "POST /kv": false, "POST /batch": false,
		"GET /cluster/owner?key=a": false,
	} {
		method, target, _ := strings.Cut(line, " ")
		path, query, _ := strings.Cut(target, "?")
		begins := slices.ContainsFunc(plain.Begins, func(b string) bool { return strings.HasPrefix(line, b) })
		if got := plain.Fits(method, path, query); got != want || want && !begins {
			t.Errorf("%s: plain is %t, want %t; begins so: %t", line, got, want, begins)
		}
	}
}
