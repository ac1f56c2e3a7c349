package http1

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"pxkv/transport/wiretest"
)

// Requests, and the beginning of one, that are all right.
const (
	getA = "GET /box/a HTTP/1.1\r\nHost: x\r\n\r\n"
	getB = "GET /box/b HTTP/1.1\r\nHost: x\r\n\r\n"
	putB = "PUT /box/b HTTP/1.1\r\nHost: x\r\n"
)

// oddClients are what clients say that are old, careless or hostile: all that one sends before it closes its
// side of the connection.
var oddClients = []string{
	"GET /box/a HTTP/1.0\r\n\r\n",
	"GET /box/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /box/a HTTP/1.0\r\n\r\n",
	"GET /box/a\r\n\r\n",
	"GET  /box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a  HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a HTTP/1.1 \r\nHost: x\r\n\r\n",
	" " + getA,
	"get /box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"G@T /box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a http/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a HTTP/1.2\r\nHost: x\r\n\r\n",
	"GET /box/a HTTP/2.0\r\nHost: x\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET http://x/box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET http://other/box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET //box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a#part HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a?b#part HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/%61 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/%6 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/../box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a; HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
	"OPTIONS /box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"TRACE /box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
	"HEAD /box/a HTTP/1.1\r\nHost: x\r\n\r\n" + getA,
	"HEAD /box/none HTTP/1.1\r\nHost: x\r\n\r\n" + getA,
	"GET /box/a HTTP/1.1\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost:\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: \r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: \r\nHost: y\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: a b\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x/y\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x@y\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost : x\r\n\r\n",
	"GET /box/a HTTP/1.1\r\n Host: x\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nA: b\r\n\tfolded\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nA: b\x7fc\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nA: \xff\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n",
	"GET /box/a HTTP/1.1\nHost: x\n\n",
	"GET /box/a HTTP/1.1\r\nHost: x\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\n\n",
	"GET /box/a HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
	"GET /box/a HTTP/1.1\rHost: x\r\n\r\n",
	"\n" + getA,
	"\r\n\r\n" + getA,
	"GET /box/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + getA,
	"GET /box/a HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n" + getA,
	"GET /box/a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, close\r\n\r\n" + getA,
	"GET /box/a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n" + getA,
	"GET /box/a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nProxy-Connection: close\r\n\r\n" + getA,
	putB + "\r\n" + getB,
	putB + "Content-Length: 0\r\n\r\n" + getB,
	putB + "Content-Length:\r\n\r\n" + getB,
	putB + "Content-Length: 003\r\n\r\nabc" + getB,
	putB + "Content-Length: +3\r\n\r\nabc",
	putB + "Content-Length: 3 \r\n\r\nabc" + getB,
	putB + "Content-Length: 0x3\r\n\r\nabc",
	putB + "Content-Length: 3, 3\r\n\r\nabc",
	putB + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + getB,
	putB + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
	putB + "Content-Length: -3\r\n\r\nabc",
	putB + "Content-Length: 99999999999999999999\r\n\r\nabc",
	putB + "Content-Length: 3\r\n\r\nab",
	putB + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	putB + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
	putB + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + getB,
	putB + "Transfer-Encoding: Chunked\r\n\r\n3;ext=1\r\nabc\r\n0\r\n\r\n" + getB,
	putB + "Transfer-Encoding: chunked\r\nTrailer: T\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n" + getB,
	putB + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: 3\r\n\r\n",
	putB + "Transfer-Encoding: identity\r\n\r\n",
	putB + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	putB + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	putB + "Transfer-Encoding: chunked\r\n\r\nz\r\n",
	putB + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
	putB + "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
	putB + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
	"PUT /box/b HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"PUT /box/b HTTP/1.0\r\nHost: x\r\n\r\nabc",
	putB + "Transfer-Encoding: \r\n\r\n",
	putB + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	putB + "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
	putB + "Transfer-Encoding: chunked \r\n\r\n0\r\n\r\n",
	putB + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
	putB + "Transfer_Encoding: chunked\r\n\r\n" + getA,
	putB + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
	putB + "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\nabc" + getB,
	putB + "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n" + getB,
	"GET /box/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n" + getA,
	"PUT /box/b HTTP/1.0\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
	"PUT /elsewhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
	putB + "Expect:\r\nContent-Length: 3\r\n\r\nabc",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + getA,
	"HEAD /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + getA,
	"DELETE /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + getA,
	"POST /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + getA,
	"GET /box/a HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 30<<10) + "\r\n\r\n" + getA,
	"GET /box/a HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 4000) + "\r\n" + getA,
	"GET /box/" + strings.Repeat("a", 20<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n" + getA,
	"GET /box/a HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 90<<10) + "\r\n\r\n",
	"GET /box/" + strings.Repeat("a", 90<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nHOST: x\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x:y\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n" + getA,
	"HEAD /box/a HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n" + getA,
	"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
	"*1\r\n$4\r\nPING\r\n",
	"",
	"G",
	"GET /box/a HTTP/1.1\r\nHost: x\r\n\r\nGET /bo",
	"GET /box/a HTTP/1.1\r\nHost: x\r\n\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\n\r\n\r\n" + getA,
	putB + "Content-Length: 3\r\n\r\nabc\r\n" + getB,
	"GET /box/a HTTP/1.1\r\nHost: x\r\n\r\nGET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n" + getA,
}

// Whatever clients say is answered as by net/http: the same answers, one after the other, and the same end.
func TestOddClientsAreAnsweredAsByNetHTTP(t *testing.T) {
	t.Parallel()
	mine, _ := start(t, filled(), nil)
	theirs := netHTTP(t, filled())
	for _, raw := range oddClients {
		// In pieces, too: those that are plain wait for their end.
		for _, cut := range []int{0, len(raw) / 2} {
			got, want := said(t, mine, raw, cut), said(t, theirs, raw, cut)
			if got != want {
				t.Errorf("%.140q, cut at %d:\nhere     %.500q\nnet/http %.500q", raw, cut, got, want)
			}
		}
	}
}

// filled are boxes with something in them.
func filled() *boxes {
	b := newBoxes()
	b.in["a"] = []byte("value")
	return b
}

// netHTTP serves a handler with net/http alone, until the test ends.
func netHTTP(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		Handler: h, MaxHeaderBytes: 64 << 10, DisableGeneralOptionsHandler: true, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Shutdown(context.Background())
		<-ended
	})
	return l.Addr().String()
}

var (
	dateLine = regexp.MustCompile(`Date: [^\r]*\r\n`)
	// What is refused before a handler sees it is refused in words of one's own, with their length.
	refusalHead = regexp.MustCompile(
		`(Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n)Content-Length: \d+\r\n`)
	headerLines = regexp.MustCompile(`(?m)^[A-Z][A-Za-z-]*: .*\r\n`)
)

// said is all that a server says to a client that sends raw, in two pieces, and closes its side.
func said(t *testing.T, addr, raw string, cut int) string {
	t.Helper()
	c := wiretest.Dial(t, addr)
	defer c.Close()
	_, err := io.WriteString(c, raw[:cut])
	if cut > 0 {
		time.Sleep(2 * time.Millisecond) // more likely two reads; it must not matter
	}
	if _, failed := io.WriteString(c, raw[cut:]); err == nil {
		err = failed
	}
	if err == nil {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	all, _ := io.ReadAll(c) // an error is a reset behind the answer
	text := refusalHead.ReplaceAllString(dateLine.ReplaceAllString(string(all), ""), "$1")
	// The order of headers has no meaning.
	return headerLines.ReplaceAllStringFunc(text, func(line string) string { return fmt.Sprintf("<%s>", line) })
}
