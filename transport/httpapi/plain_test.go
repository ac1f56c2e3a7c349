package httpapi

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// plainSeeds are requests around the border between plain and unusual.
var plainSeeds = []string{
	"GET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD /kv/a HTTP/1.1\r\nHost: x:80\r\nIf-None-Match: \"1\"\r\n\r\n",
	"GET /kv?key=a HTTP/1.1\r\nHost: x\r\nAccept: */*\r\naccept: text/html\r\n\r\n",
	"GET /kv/%7Ba%7D.%2F HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /kv/{a}//..?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n",
	"PUT /kv/a HTTP/1.1\r\nhost: x\r\nContent-Length: 3\r\nContent-type:\ttext/plain \r\n\r\nabcGET",
	"PUT /kv HTTP/1.1\r\nHost: x\r\nContent-Length: 23\r\n\r\n{\"key\":\"a\",\"value\":\"b\"}",
	"DELETE /kv/a HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive\r\nIf-Match: \"1\"\r\n\r\n",
	"DELETE /kv HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n{\"key\":\"a\"}",
	"PUT /kv/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"PUT /kv/a?ttl=30s HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
	"POST /kv/a?incr=-5 HTTP/1.1\r\nHost: x\r\n\r\n",
	// Not plain, each for one reason.
	"GET /kv HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /kv/ HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /kvx HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /kv/a HTTP/1.0\r\nHost: x\r\n\r\n",
	"GET /kv/a HTTP/1.1\r\n\r\n",
	"GET /kv/a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
	"GET /kv/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	"GET /kv/a HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
	"GET /kv/a HTTP/1.1\r\nHost: x\r\nA : y\r\n\r\n",
	"GET /kv/a HTTP/1.1\nHost: x\n\n",
	"GET  /kv/a HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /kv/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /kv/a#b HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
	"PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
	"PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
	"PUT /kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"PUT /kv/a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
	"POST /kv/a?incr=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na",
	"POST /batch HTTP/1.1\r\nHost: x\r\n\r\n",
}

// What is taken for a plain request must be what net/http reads in the same bytes.
func FuzzPlainRequest(f *testing.F) {
	for _, seed := range plainSeeds {
		f.Add([]byte(seed))
	}
	p := newPlainRequest(f.Context(), "192.0.2.1:1234")
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
			got.URL.Path == want.URL.Path && got.URL.RawQuery == want.URL.RawQuery && got.ContentLength == want.ContentLength &&
			bytes.Equal(mine, body) && len(rest) == len(b)-size
		ignored := map[string]bool{"Connection": true, "Content-Length": true, "Cache-Control": true} // net/http keeps or adds them
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
	p := newPlainRequest(t.Context(), "")
	for i, seed := range plainSeeds {
		want := plain
		if i >= 12 {
			want = unusual
		}
		if _, got := p.parse([]byte(seed)); got != want {
			t.Errorf("%q: verdict %d, want %d", seed, got, want)
		}
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
	requests := append([]string{
		fmt.Sprintf("PUT /kv/large HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(large), large),
		"GET /kv/large HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD /kv/large HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /kv?key=large HTTP/1.1\r\nHost: x\r\n\r\n",
		fmt.Sprintf("PUT /kv/page HTTP/1.1\r\nHost: x\r\nContent-Type: text/html\r\nContent-Length: 20000\r\n\r\n%s", large[:20000]),
		"GET /kv/page HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /kv/a HTTP/1.1\r\nHost: x\r\nIf-Match: \"99\"\r\nContent-Length: 1\r\n\r\nb",
		"PUT /kv/a HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\nContent-Length: 1\r\n\r\nb",
		"GET /kv/a?nonsense=1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /kv/a?consistency=stale HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nb",
		"PUT /kv HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{}x",
	}, plainSeeds[:10]...)
	record := func(passedOn bool) (all []string) {
		addr, _ := start(t, newFake(), nil)
		c := dial(t, addr)
		r := bufio.NewReader(c)
		if passedOn {
			io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
		}
		for _, raw := range requests {
			raw = strings.TrimSuffix(raw, "GET")
			io.WriteString(c, raw)
			method, _, _ := strings.Cut(raw, " ")
			res, err := http.ReadResponse(r, &http.Request{Method: method})
			if err != nil {
				t.Fatalf("%.60q: %v", raw, err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatalf("%.60q: %v", raw, err)
			}
			if res.Header.Get("Date") == "" {
				t.Errorf("%.60q: no date", raw)
			}
			delete(res.Header, "Date")
			all = append(all, fmt.Sprintf("%.60q: %d %d %v %v %v %q", raw, res.StatusCode, res.ContentLength, res.TransferEncoding, res.Close, maps.Clone(res.Header), body))
		}
		return all
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
	addr, _ := start(t, newFake(), nil)
	all := "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nvalueGET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n" +
		"GET /cluster/owner?key=a HTTP/1.1\r\nHost: x\r\n\r\nGET /kv/a HTTP/1.1\r\nHost: x\r\n\r\n"
	for cut := 1; cut < len(all); cut += 7 {
		c := dial(t, addr)
		c.(*net.TCPConn).SetNoDelay(true)
		r := bufio.NewReader(c)
		io.WriteString(c, all[:cut])
		time.Sleep(time.Millisecond) // more likely two reads; it must not matter
		io.WriteString(c, all[cut:])
		for i, want := range []string{"", "value", "~partition", "value"} {
			res, body := answer(t, r)
			if res.StatusCode >= 300 || body != want && !(strings.HasPrefix(want, "~") && strings.Contains(body, want[1:])) {
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
	in := plainInput{conn: &conn{Conn: far, owner: &listener{}}, idle: time.Minute, small: make([]byte, smallPlainBytes)}
	in.buf = in.small
	what := incomplete
	if err := arrivals(far, func() []byte {
		if what = in.room(new(atomic.Bool)); what != incomplete {
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
	w := newPlainWriter(&conn{Conn: far, owner: &listener{stall: time.Minute}}, new(atomic.Bool))
	for _, size := range []int{10, longAnswer, 4 * longAnswer} {
		w.reset(false)
		w.Write(make([]byte, size))
		if err := w.finish(); err != nil || w.body != nil || w.out != nil {
			t.Errorf("after %d bytes: %v, body %v, out %v", size, err, w.body, w.out)
		}
	}
	far.Close()
	if n := <-taken; n < 5*longAnswer {
		t.Errorf("only %d bytes arrived", n)
	}
}
