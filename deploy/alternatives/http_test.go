package alternatives

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"

	"pxkv/transport/http1"
	"pxkv/transport/wiretest"
)

var answer = bytes.Repeat([]byte("v"), 256)

// handler reads what it is sent and answers 256 bytes, by the interface of net/http.
func handler(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength > 0 {
		var body [1024]byte
		_, _ = io.ReadFull(r.Body, body[:r.ContentLength])
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(answer)
}

func listen(b *testing.B) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// servers starts each server with a handler that does the same, and returns their addresses.
func servers(b *testing.B) map[string]string {
	std := listen(b)
	stdServer := &http.Server{Handler: http.HandlerFunc(handler)}
	go func() { _ = stdServer.Serve(std) }()
	b.Cleanup(func() { _ = stdServer.Close() })

	fast := listen(b)
	fastServer := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		_ = ctx.PostBody()
		ctx.SetContentType("application/octet-stream")
		ctx.SetBody(answer)
	}}
	go func() { _ = fastServer.Serve(fast) }()
	b.Cleanup(func() { _ = fastServer.Shutdown() })

	own, err := http1.New(http1.Options{
		Listen: "127.0.0.1:0", Handler: http.HandlerFunc(handler),
		Plain: http1.Plain{
			Begins: []string{"GET /kv", "PUT /kv"},
			Fits:   func(string, string, string) bool { return true },
		},
	})
	if err == nil {
		err = own.Listen()
	}
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- own.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		<-ended
	})
	return map[string]string{"net-http": std.Addr().String(), "fasthttp": fast.Addr().String(), "http1": own.Addr().String()}
}

// BenchmarkHTTP sends one request after the other over 32 connections (on two cores) to each server.
func BenchmarkHTTP(b *testing.B) {
	all := servers(b)
	for _, request := range []struct{ name, text string }{
		{"get", "GET /kv/user:1234 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"put", fmt.Sprintf("PUT /kv/user:1234 HTTP/1.1\r\nHost: x\r\nContent-Length: 256\r\n\r\n%s", answer)},
	} {
		for _, server := range []string{"net-http", "fasthttp", "http1"} {
			b.Run(request.name+"/"+server, func(b *testing.B) {
				_, got := wiretest.Ask(b, wiretest.Dial(b, all[server]), request.text)
				if got != string(answer) {
					b.Fatalf("the answer is %.60q", got)
				}
				wiretest.Load(b, all[server], request.text)
			})
		}
	}
}
