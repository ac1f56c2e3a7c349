package alternatives

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/valyala/fasthttp"

	"pxkv/transport/http1"
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

// BenchmarkHTTP sends one request after the other over 32 connections. What counts is the CPU of client and server
// together: it does not depend on the neighbours of this machine.
func BenchmarkHTTP(b *testing.B) {
	all := servers(b)
	for _, request := range []struct{ name, text string }{
		{"get", "GET /kv/user:1234 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{"put", fmt.Sprintf("PUT /kv/user:1234 HTTP/1.1\r\nHost: x\r\nContent-Length: 256\r\n\r\n%s", answer)},
	} {
		for _, server := range []string{"net-http", "fasthttp", "http1"} {
			b.Run(request.name+"/"+server, func(b *testing.B) {
				b.SetParallelism(16)
				b.ReportAllocs()
				before := cpuTime()
				b.RunParallel(func(pb *testing.PB) { pump(b, pb.Next, all[server], request.text) })
				b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// cpuTime returns the nanoseconds that this process has spent on processors.
func cpuTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// pump sends a request and reads its answer until next says no.
func pump(b *testing.B, next func() bool, address, request string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	r := bufio.NewReader(c)
	raw := []byte(request)
	for next() {
		if _, err := c.Write(raw); err != nil {
			b.Error(err)
			return
		}
		length, first := 0, true
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				b.Error(err)
				return
			}
			if first && !strings.Contains(string(line), " 200 ") {
				b.Errorf("the answer is %s", line)
				return
			}
			if first = false; len(line) == 2 {
				break
			}
			if bytes.HasPrefix(line, []byte("Content-Length: ")) {
				for _, d := range bytes.TrimSpace(line[16:]) {
					length = length*10 + int(d-'0')
				}
			}
		}
		if _, err := r.Discard(length); err != nil || length != len(answer) {
			b.Errorf("an answer of %d bytes: %v", length, err)
			return
		}
	}
}
