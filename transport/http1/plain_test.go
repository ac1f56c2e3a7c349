package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pxkv/transport/wiretest"
)

// plainSeeds are requests around the border between plain and unusual.
var plainSeeds = []string{
	"GET /box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD /box/a HTTP/1.1\r\nHost: x:80\r\nIf-None-Match: \"1\"\r\n\r\n",
	"GET /box/a?b=c HTTP/1.1\r\nHost: x\r\nAccept: */*\r\naccept: text/html\r\n\r\n",
	"GET /box/%7Ba%7D.%2F HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/{a}//..?b HTTP/1.1\r\nHost: x\r\n\r\n",
	"PUT /box/a HTTP/1.1\r\nhost: x\r\nContent-Length: 3\r\nContent-type:\ttext/plain \r\n\r\nabcGET",
	"DELETE /box/a HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\nIf-Match: \"1\"\r\n\r\n",
	"DELETE /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nbut gently!",
	"PUT /box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"POST /box/a?b=-5 HTTP/1.1\r\nHost: x\r\n\r\n",
}

// unusualSeeds are not plain, each for one reason.
var unusualSeeds = []string{
	"GET /box HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/ HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /boxx HTTP/1.1\r\nHost: x\r\n\r\n",
	"PATCH /box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a HTTP/1.0\r\nHost: x\r\n\r\n",
	"GET /box/a HTTP/1.1\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nA : y\r\n\r\n",
	"GET /box/a HTTP/1.1\nHost: x\n\n",
	"GET  /box/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a#b HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
	"PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
	"PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
	"PUT /box/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"PUT /box/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
	"POST /box/a?b=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
	"POST /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n",
}

// What is taken for a plain request must be what net/http reads in the same bytes.
func FuzzPlainRequest(f *testing.F) {
	for _, seed := range slices.Concat(plainSeeds, unusualSeeds) {
		f.Add([]byte(seed))
	}
	p := newPlainRequest(f.Context(), "192.0.2.1:1234", plainBoxes)
	f.Fuzz(func(t *testing.T, b []byte) {
		size, what := p.parse(b)
		if what != plain {
			return
		}
		if size > plainBytes {
			t.Fatalf("%d bytes are plain", size)
		}
		r := bufio.NewReader(bytes.NewReader(b))
		want, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("%q is plain, and net/http says %v", b, err)
		}
		body, err := io.ReadAll(want.Body)
		if err != nil {
			t.Fatal(err)
		}
		got := &p.http
		mine, _ := io.ReadAll(got.Body)
		rest, _ := io.ReadAll(r)
		same := got.Method == want.Method && got.Host == want.Host && got.RequestURI == want.RequestURI &&
			got.URL.Path == want.URL.Path && got.URL.RawQuery == want.URL.RawQuery &&
			got.ContentLength == want.ContentLength &&
			bytes.Equal(mine, body) && len(rest) == len(b)-size
		// net/http keeps or adds them
		ignored := map[string]bool{"Connection": true, "Content-Length": true, "Cache-Control": true}
		differ := func(a, b http.Header) bool {
			for name, values := range a {
				if !ignored[name] && strings.Join(values, "\n") != strings.Join(b[name], "\n") {
					return true
				}
			}
			return false
		}
		if !same || differ(got.Header, want.Header) || differ(want.Header, got.Header) {
			t.Fatalf("%q:\nplain    %+v %+v %q\nnet/http %+v %+v %q", b, got, got.URL, mine, want, want.URL, body)
		}
	})
}

func TestTheseArePlain(t *testing.T) {
	t.Parallel()
	p := newPlainRequest(t.Context(), "", plainBoxes)
	for want, seeds := range map[verdict][]string{plain: plainSeeds, unusual: unusualSeeds} {
		for _, seed := range seeds {
			if _, got := p.parse([]byte(seed)); got != want {
				t.Errorf("%q: verdict %d, want %d", seed, got, want)
			}
		}
	}
	nothing := newPlainRequest(t.Context(), "", Plain{})
	if _, got := nothing.parse([]byte(plainSeeds[0])); got != unusual {
		t.Errorf("where nothing is plain: verdict %d", got)
	}
	for n := range len(plainSeeds[0]) {
		if _, got := p.parse([]byte(plainSeeds[0][:n])); got != incomplete {
			t.Errorf("%q: verdict %d, want incomplete", plainSeeds[0][:n], got)
		}
	}
}

// A client cannot tell which of the two served it.
func TestPlainAnswersAreThoseOfNetHTTP(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("value ", 30_000)
	requests := slices.Concat([]string{
		"GET /box/large HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /box/large?length HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD /box/large HTTP/1.1\r\nHost: x\r\n\r\n",
		fmt.Sprintf("PUT /box/page HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n%s", large[:20000]),
		"GET /box/page HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /box/page HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"1\"\r\n\r\n",
		"GET /box/none HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD /box/none HTTP/1.1\r\nHost: x\r\n\r\n",
	}, plainSeeds)
	for i, raw := range requests {
		requests[i] = strings.TrimSuffix(raw, "GET")
	}
	record := func(passedOn bool) []string {
		b := newBoxes()
		b.in["large"] = []byte(large)
		addr, _ := start(t, b, nil)
		c := wiretest.Dial(t, addr)
		if passedOn {
			wiretest.Ask(t, c, "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		answers := wiretest.Transcript(t, c, requests)
		if passedOn && b.rest != 1+len(requests) || !passedOn && b.rest != 0 {
			t.Errorf("passed on: %t; net/http read %d of %d requests", passedOn, b.rest, len(requests))
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

// However a request is cut on its way, and whatever follows it, it is answered, in order.
func TestPlainRequestsInPieces(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newBoxes(), nil)
	all := "PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nvalueGET /box/a HTTP/1.1\r\nHost: x\r\n\r\n" +
		"GET /elsewhere?b=a HTTP/1.1\r\nHost: x\r\n\r\nGET /box/a HTTP/1.1\r\nHost: x\r\n\r\n"
	for cut := 1; cut < len(all); cut += 7 {
		c := wiretest.Dial(t, addr)
		c.(*net.TCPConn).SetNoDelay(true)
		r := bufio.NewReader(c)
		io.WriteString(c, all[:cut])
		time.Sleep(time.Millisecond) // more likely two reads; it must not matter
		io.WriteString(c, all[cut:])
		for i, want := range []string{"", "value", "elsewhere", "value"} {
			res, body := wiretest.Answer(t, r)
			if res.StatusCode >= 300 || body != want {
				t.Fatalf("cut at %d, answer %d: %d %q, want %q", cut, i, res.StatusCode, body, want)
			}
		}
		c.Close()
	}
}

// A connection keeps a large buffer only while a request needs it, and none is too large.
func TestPlainInputIsBounded(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		io.WriteString(near, strings.Repeat("x", 3*plainBytes))
		near.Close()
	}()
	in := plainInput{
		conn: &conn{Conn: far, owner: idleListener()}, idle: time.Minute, small: make([]byte, smallPlainBytes),
	}
	in.buf = in.small
	what := incomplete
	if err := arrivals(far, func() []byte {
		if what = in.room(); what != incomplete {
			return nil
		}
		return in.buf[in.have:]
	}, func(n int) bool { in.have += n; return true }); err != nil {
		t.Fatal(err)
	}
	if what != unusual || in.have != plainBytes {
		t.Errorf("verdict %d with %d bytes", what, in.have)
	}
	in.drop(in.have)
	if len(in.buf) != smallPlainBytes || in.large != nil {
		t.Errorf("an idle connection keeps %d bytes", len(in.buf))
	}
}

// Between two answers a connection holds no buffer for them, however long the last one was.
func TestPlainWriterKeepsNothing(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer near.Close()
	taken := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, near)
		taken <- n
	}()
	w := newPlainWriter(&conn{Conn: far, owner: idleListener()})
	for _, size := range []int{10, LongAnswer, 4 * LongAnswer} {
		w.reset(false)
		w.Write(make([]byte, size))
		if err := w.finish(); err != nil || w.body != nil || w.out != nil {
			t.Errorf("after %d bytes: %v, body %v, out %v", size, err, w.body, w.out)
		}
	}
	far.Close()
	if n := <-taken; n < 5*LongAnswer {
		t.Errorf("only %d bytes arrived", n)
	}
}
