package http1

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// oddPieces are what random clients are made of.
var oddPieces = []string{
	"GET /box/a HTTP/1.1\r\n", "PUT /box/b HTTP/1.1\r\n", "HEAD /box/a HTTP/1.1\r\n", "DELETE /box/b HTTP/1.1\r\n",
	"POST /box/b HTTP/1.1\r\n", "GET /elsewhere HTTP/1.1\r\n", "GET /box/none HTTP/1.0\r\n",
	"Host: x\r\n", "Host: x\r\n", "Host: x\r\n", "Host: x\r\n", "Content-Length: 3\r\n", "Content-Length: 5\r\n",
	"Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n",
	"If-None-Match: *\r\n", "Expect: 100-continue\r\n", "X: y\r\n", " folded\r\n", "Y : z\r\n",
	"\r\n", "\r\n", "\r\n", "\r\n", "\r", "\n", "abc", "5\r\nabcde\r\n", "0\r\n", "0\r\n\r\n", " ", ":", "\x00",
}

// mixed is what a random client says.
func mixed(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(3) {
		if r.IntN(4) > 0 { // most are nearly right
			b.WriteString(oddPieces[r.IntN(7)])
			b.WriteString("Host: x\r\n")
			for range r.IntN(3) {
				b.WriteString(oddPieces[7+r.IntN(15)])
			}
			b.WriteString("\r\n")
		}
		for range r.IntN(4) {
			b.WriteString(oddPieces[r.IntN(len(oddPieces))])
		}
	}
	return b.String()
}

// So it is with what is put together by chance.
func TestRandomClientsAreAnsweredAsByNetHTTP(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		raw := mixed(r)
		cut := r.IntN(len(raw) + 1)
		mine, _ := start(t, filled(), nil)
		got, want := said(t, mine, raw, cut), said(t, netHTTP(t, filled()), raw, cut)
		if got != want {
			t.Errorf("seed %d, cut at %d: %q\nhere     %.500q\nnet/http %.500q", seed, cut, raw, got, want)
		}
	}
}
