package httpapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

// benchService answers from constants, so that what is measured is this package.
type benchService struct{ fakeService }

var benchValue = bytes.Repeat([]byte("v"), 256)

func (*benchService) Write(context.Context, *kv.Command) (kv.Result, error) {
	return kv.Result{
		Outcome: kv.Done, Version: 1234567, Receipt: kv.Receipt{Partition: 17, Index: 987654, Node: "node-1"},
	}, nil
}

func (*benchService) Read(context.Context, []byte, kv.ReadOptions) (kv.ReadResult, error) {
	return kv.ReadResult{
		Found: true, Receipt: kv.Receipt{Partition: 17, Index: 987654, Node: "node-1"},
		Item: kv.Item{Value: kv.Value{Kind: kv.String, Data: benchValue}, Version: 1234567, Modified: fakeModified},
	}, nil
}

func benchServer(b *testing.B) *Server {
	s, err := New(Options{Service: &benchService{}, Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkLoopback sends one request after the other over one connection per goroutine.
// "bare" is a handler that returns 256 bytes, "bare_put" one that reads 256 first: their
// ratio to the others is what this package costs on top of net/http.
func BenchmarkLoopback(b *testing.B) {
	s := benchServer(b)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	if err := s.Listen(); err != nil {
		b.Fatal(err)
	}
	go func() { done <- s.Run(ctx) }()
	defer func() { stop(); <-done }()
	bare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 0 {
			var body [1024]byte
			io.ReadFull(r.Body, body[:r.ContentLength])
		}
		w.Write(benchValue)
	})}
	go srv.Serve(bare)
	defer srv.Close()

	pair := fmt.Sprintf(`{"key":"user:1234","value":"%s"}`, benchValue)
	put := func(path, body string) string {
		return fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	for _, c := range []struct{ name, addr, request string }{
		{"bare", bare.Addr().String(), "GET /kv?key=user:1234 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"get_pair", s.Addr().String(), "GET /kv?key=user:1234 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"get_raw", s.Addr().String(), "GET /kv/user:1234 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"bare_put", bare.Addr().String(), put("/kv", pair)},
		{"put_pair", s.Addr().String(), put("/kv", pair)},
		{"put_raw", s.Addr().String(), put("/kv/user:1234", string(benchValue))},
	} {
		b.Run(c.name, func(b *testing.B) { wiretest.Load(b, c.addr, c.request) })
	}
}

// nullWriter is the cheapest ResponseWriter.
type nullWriter struct{ h http.Header }

func (w *nullWriter) Header() http.Header         { return w.h }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(int)             {}

// BenchmarkHandler measures the handlers without any network.
func BenchmarkHandler(b *testing.B) {
	h := benchServer(b).Handler()
	pair := fmt.Sprintf(`{"key":"user:1234","value":"%s"}`, benchValue)
	for _, c := range []struct{ name, method, path, body string }{
		{"get_pair", "GET", "/kv?key=user:1234", ""},
		{"get_raw", "GET", "/kv/user:1234", ""},
		{"put_pair", "PUT", "/kv", pair},
		{"put_raw", "PUT", "/kv/user:1234", string(benchValue)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			body := strings.NewReader("")
			req, _ := http.NewRequest(c.method, "http://x"+c.path, io.NopCloser(body))
			req.ContentLength = int64(len(c.body))
			w := &nullWriter{h: http.Header{}}
			for b.Loop() {
				body.Reset(c.body)
				clear(w.h)
				h.ServeHTTP(w, req)
			}
		})
	}
}

func BenchmarkPairBody(b *testing.B) {
	text := []byte(`{"key": "user:1234", "value": {"name": "Ada", "age": 36, "tags": ["a", "b"], "big": 12345678901234567890}}`)
	buf := make([]byte, len(text))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		copy(buf, text)
		if _, err := parsePairBody(buf); err != nil {
			b.Fatal(err)
		}
	}
}
