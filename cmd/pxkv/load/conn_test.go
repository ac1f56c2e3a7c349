package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func connTo(t *testing.T, server string) (*conn, *url.URL) {
	t.Helper()
	u, err := parseServer(server)
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(t.Context(), u, 5*time.Second)
	t.Cleanup(c.close)
	return c, u
}

func TestAnswersOfEveryFormAreRead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 20_000)
	var dialled atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunked":
			w.(http.Flusher).Flush()
			io.WriteString(w, "in ")
			w.(http.Flusher).Flush()
			io.WriteString(w, "pieces")
		case "/long":
			io.WriteString(w, long)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "after a hint")
		case "/last":
			w.Header().Set("Connection", "close")
			io.WriteString(w, "goodbye")
		case "/echo":
			b, _ := io.ReadAll(r.Body)
			w.Write(b)
		}
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			dialled.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c, u := connTo(t, server.URL)
	for _, tc := range []struct {
		path, body, want string
		status           int
	}{
		{"/chunked", "", "in pieces", 200},
		{"/long", "", long, 200},
		{"/none", "", "", 204},
		{"/early", "", "after a hint", 200},
		{"/echo", "short", "short", 200},
		{"/echo", long, long, 200},
		{"/last", "", "goodbye", 200},
		{"/echo", "after the last", "after the last", 200},
	} {
		d := &requester{}
		var body []byte
		if tc.body != "" {
			body = []byte(tc.body)
		}
		status, err := c.roundTrip(d.request(newTemplate(http.MethodPost, u, tc.path, "text/plain"), "", body))
		if err != nil || status != tc.status || string(c.body) != tc.want {
			t.Errorf("%s with %d bytes: status %d, %d bytes, %v; want %d and %d bytes", tc.path, len(tc.body), status,
				len(c.body), err, tc.status, len(tc.want))
		}
	}
	if n := dialled.Load(); n != 2 {
		t.Errorf("%d connections were made; want 2, since the server ended the first", n)
	}
}

func TestRequestsAreWhatNetHTTPWouldSend(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(b))
		got <- r
	}))
	t.Cleanup(server.Close)
	base := strings.Replace(server.URL, "http://", "http://me:se%20cret@", 1) + "/under/a%2Fpath/"
	c, u := connTo(t, base)
	d := newRequester(PxkvRaw, u, &payloads{values: [][]byte{{}}})
	if _, err := c.roundTrip(d.write(7, 0)); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if user, password, _ := r.BasicAuth(); r.Method != http.MethodPut ||
		r.RequestURI != "/under/a%2Fpath/kv/"+keyText(7) ||
		r.Host != u.Host || r.ContentLength != 0 || user != "me" || password != "se cret" {
		t.Errorf("an empty value was sent as %s %s, host %s, length %d, user %q %q", r.Method, r.RequestURI, r.Host,
			r.ContentLength, user, password)
	}
	raw := newRequester(RawGet, u.JoinPath("x").ResolveReference(&url.URL{RawQuery: "a=b"}), nil)
	if _, err := c.roundTrip(raw.read(0)); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.Method != http.MethodGet || r.URL.RawQuery != "a=b" || len(r.TransferEncoding) > 0 {
		t.Errorf("a given URL was sent as %s %s", r.Method, r.RequestURI)
	}
}

func TestServersThatBreakTheProtocolFailTheRequestAlone(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"nonsense\r\n\r\n": "network",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort":   "connection closed",
		strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20): "network",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				to, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = to.Read(make([]byte, 4096))
				_, _ = io.WriteString(to, answer)
				_ = to.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, to)
				to.Close()
			}
		}()
		c := small(PxkvRaw, Put, "http://"+l.Addr().String())
		c.Connections, c.Requests = 1, 2
		result, err := Run(t.Context(), c, nil)
		if err != nil || result.Errors[want] != 2 {
			t.Errorf("%q: %v, %+v; want 2 of %q", answer[:20], err, result, want)
		}
	}
}

func TestTLSIsSpokenAndCertificatesAreChecked(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(BareHandler(8))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // what the client thinks of its certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	c, u := connTo(t, server.URL)
	d := newRequester(RawGet, u, nil)
	var unknown *tls.CertificateVerificationError
	if _, err := c.roundTrip(d.read(0)); !errors.As(err, &unknown) {
		t.Fatalf("a certificate of nobody was taken: %v", err)
	}
	c.tls.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	if status, err := c.roundTrip(d.read(0)); err != nil || status != 200 || len(c.body) != 8 {
		t.Fatalf("status %d, %q, %v", status, c.body, err)
	}
}

func TestTheEndOfAContextEndsARequest(t *testing.T) {
	t.Parallel()
	var release = make(chan struct{})
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	u, err := parseServer(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := newConn(ctx, u, time.Hour)
	t.Cleanup(c.close)
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := c.roundTrip(newRequester(RawGet, u, nil).read(0)); err == nil {
		t.Fatal("no error")
	}
}
