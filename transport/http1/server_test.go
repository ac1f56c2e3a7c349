package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"pxkv/transport/wiretest"
)

// What no handler is asked about is said in the words of who gives the handler.
func TestRefusals(t *testing.T) {
	t.Parallel()
	own := func(status int, text string) (string, []byte) {
		return "text/x-own", fmt.Appendf(nil, "<%d %s>", status, text)
	}
	addr, _ := start(t, newBoxes(), func(o *Options) { o.Refusal = own })
	for raw, status := range map[string]int{
		"GET /box/%zz HTTP/1.1\r\nHost: x\r\n\r\n":                                   400,
		"nonsense\r\n\r\n":                                                           400,
		"GET /box HTTP/9.1\r\nHost: x\r\n\r\n":                                       505,
		"GET /box HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n\r\n":                        417,
		"PUT /box/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n":           501,
		"GET /box HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 80<<10) + "\r\n": 431,
	} {
		res, body := wiretest.Ask(t, wiretest.Dial(t, addr), raw)
		if res.StatusCode != status || !res.Close || res.Header.Get("Content-Type") != "text/x-own" ||
			!strings.HasPrefix(body, fmt.Sprintf("<%d ", status)) || !strings.HasSuffix(body, ">") {
			t.Errorf("%.60q: %d %s", raw, res.StatusCode, body)
		}
	}
	addr, _ = start(t, newBoxes(), func(o *Options) { o.Refusal, o.Limits.MaxConns = own, 1 })
	wiretest.Ask(t, wiretest.Dial(t, addr), "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n")
	_, body := wiretest.Ask(t, wiretest.Dial(t, addr), "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n")
	if body != "<503 Too many connections>" {
		t.Errorf("one too many: %s", body)
	}
}

func TestSlowHeaderIsDropped(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newBoxes(), func(o *Options) { o.Limits.ReadHeaderTimeout = 50 * time.Millisecond })
	c := wiretest.Dial(t, addr)
	io.WriteString(c, "GET /box/a HTTP/1.1\r\nHost:")
	if rest, err := io.ReadAll(c); err != nil {
		t.Errorf("the connection was not closed: %v, %q", err, rest)
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newBoxes(), func(o *Options) { o.Limits.IdleTimeout = time.Second })
	c := wiretest.Dial(t, addr)
	wiretest.Ask(t, c, "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadAll(c); err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func TestSlowBodyIsRefused(t *testing.T) {
	t.Parallel()
	b := newBoxes()
	addr, _ := start(t, b, func(o *Options) { o.Limits.BodyGrace = 50 * time.Millisecond })
	for _, head := range []string{"PUT /box/a", "PUT /box/b"} {
		res, body := wiretest.Ask(t, wiretest.Dial(t, addr),
			head+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
		if res.StatusCode != http.StatusRequestTimeout || !res.Close {
			t.Errorf("%s: %d %s", head, res.StatusCode, body)
		}
	}
	// A body that nobody wants is not waited for longer either.
	c := wiretest.Dial(t, addr)
	wiretest.Ask(t, c, "GET /elsewhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	if _, err := io.ReadAll(c); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Logf("closed with %v", err)
	} else if err != nil {
		t.Error("the connection was not closed")
	}
	if b.puts != 0 {
		t.Errorf("%d writes", b.puts)
	}
}

func TestSteadyBodyMayBeSlow(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newBoxes(), func(o *Options) {
		o.Limits.BodyGrace, o.Limits.MinBodyRate = 200*time.Millisecond, 100
	})
	for tries := 1; ; tries++ {
		c := wiretest.Dial(t, addr)
		io.WriteString(c, "PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n")
		for range 6 { // 100 bytes each second are enough
			io.WriteString(c, "0123456789")
			time.Sleep(60 * time.Millisecond)
		}
		res, body := wiretest.Answer(t, bufio.NewReader(c))
		if res.StatusCode == http.StatusRequestTimeout && tries < 5 {
			continue // on a busy machine it may have been slower
		}
		if res.StatusCode != http.StatusCreated {
			t.Errorf("%d %s", res.StatusCode, body)
		}
		return
	}
}

// TestRequestOutlivesItsBodyDeadline: the deadline for the body must not end the context
// of a request whose body has arrived.
func TestRequestOutlivesItsBodyDeadline(t *testing.T) {
	t.Parallel()
	b := newBoxes()
	b.busy = func(ctx context.Context) {
		select {
		case <-ctx.Done():
			t.Errorf("the context ended: %v", ctx.Err())
		case <-time.After(300 * time.Millisecond):
		}
	}
	addr, _ := start(t, b, func(o *Options) { o.Limits.BodyGrace = 50 * time.Millisecond })
	const put = "PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
	if res, body := wiretest.Ask(t, wiretest.Dial(t, addr), put); res.StatusCode != 201 {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, newBoxes(), func(o *Options) { o.Limits.MaxConns = 2 })
	serving(t, s)
	addr := s.Addr().String()
	first, second := wiretest.Dial(t, addr), wiretest.Dial(t, addr)
	wiretest.Ask(t, first, "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n")
	wiretest.Ask(t, second, "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n")
	res, body := wiretest.Ask(t, wiretest.Dial(t, addr), "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n")
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || body != "Too many connections" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	second.Close()
	wiretest.Eventually(t, "a free place", func() bool {
		res, _ := wiretest.Ask(t, wiretest.Dial(t, addr),
			"GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		return res.StatusCode == 200
	})
	if n := valueOf(t, s.metrics.connections); n < 1 || n > 2 {
		t.Errorf("the metrics count %v connections", n)
	}
	if valueOf(t, s.metrics.rejected) < 1 {
		t.Error("the metrics do not count who was turned away")
	}
}

func TestClientGoneEndsTheContext(t *testing.T) {
	t.Parallel()
	b := newBoxes()
	reached, ended := make(chan struct{}), make(chan error, 1)
	b.busy = func(ctx context.Context) {
		close(reached)
		<-ctx.Done()
		ended <- ctx.Err()
	}
	addr, _ := start(t, b, nil)
	c := wiretest.Dial(t, addr)
	io.WriteString(c, "GET /box/a HTTP/1.1\r\nHost: x\r\n\r\n")
	<-reached
	c.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	b := newBoxes()
	reached, release := make(chan struct{}), make(chan struct{})
	b.busy = func(context.Context) {
		close(reached)
		<-release
	}
	addr, stop := start(t, b, nil)
	c := wiretest.Dial(t, addr)
	io.WriteString(c, "PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
	<-reached
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	wiretest.Eventually(t, "the listener is closed", func() bool {
		probe, err := net.Dial("tcp", addr)
		if err == nil {
			probe.Close()
		}
		return err != nil
	})
	close(release)
	if res, body := wiretest.Answer(t, bufio.NewReader(c)); res.StatusCode != 201 || !res.Close {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsWhatDoesNotFinish(t *testing.T) {
	t.Parallel()
	b := newBoxes()
	reached, cut := make(chan struct{}), make(chan struct{})
	b.busy = func(ctx context.Context) {
		close(reached)
		<-ctx.Done()
		close(cut)
	}
	addr, stop := start(t, b, func(o *Options) { o.Limits.ShutdownGrace = 50 * time.Millisecond })
	io.WriteString(wiretest.Dial(t, addr), "GET /box/a HTTP/1.1\r\nHost: x\r\n\r\n")
	<-reached
	if err := stop(); err != nil {
		t.Error(err)
	}
	select {
	case <-cut:
	default:
		t.Error("Run returned before its handlers ended")
	}
}

func TestTakenPortIsReportedByListen(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newBoxes(), nil)
	s := newTestServer(t, newBoxes(), func(o *Options) { o.Listen = addr })
	if err := s.Listen(); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("error %v", err)
	}
	if s.Addr() != nil {
		t.Error("an address without a listener")
	}
}

// TestStoredErrorTextIsNotTouched: net/http's own errors are rewritten on their way out,
// but not the bytes of a value that looks like one, however it falls into pieces.
func TestStoredErrorTextIsNotTouched(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newBoxes(), nil)
	c := wiretest.Dial(t, addr)
	r := bufio.NewReader(c)
	lookalike := "HTTP/1.1 400 Bad Request" + string(serverErrorHeaders) + "400 Bad Request"
	for pad := range len(lookalike) {
		value := strings.Repeat(".", pad) + strings.Repeat(lookalike, 4500/len(lookalike))
		fmt.Fprintf(c, "PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(value), value)
		wiretest.Answer(t, r)
		io.WriteString(c, "GET /box/a HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, body := wiretest.Answer(t, r); body != value {
			t.Fatalf("with %d bytes in front the value came back changed", pad)
		}
	}
	// And the connection's next request may still be one that is not HTTP.
	io.WriteString(c, "nonsense\r\n\r\n")
	if res, body := wiretest.Answer(t, r); res.StatusCode != 400 || !strings.Contains(body, "400") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

// A mistake outside of what answers a request ends the client's connection and nothing else.
func TestAPanicBehindOneClientLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, newBoxes(), func(o *Options) {
		fits := o.Plain.Fits
		o.Plain.Fits = func(method, path, query string) bool {
			if query == "clumsy" {
				panic("bug")
			}
			return fits(method, path, query)
		}
	})
	end := serving(t, s)
	addr := s.Addr().String()
	other, c := wiretest.Dial(t, addr), wiretest.Dial(t, addr)
	const put = "PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv"
	const get = "GET /box/a HTTP/1.1\r\nHost: x\r\n\r\n"
	wiretest.Ask(t, c, put)
	wiretest.Ask(t, other, get)
	io.WriteString(c, strings.Replace(get, "/a", "/a?clumsy", 1))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection behind which it happened is not closed: %v", err)
	}
	if res, _ := wiretest.Ask(t, other, put); res.StatusCode >= http.StatusBadRequest {
		t.Errorf("another client got %d", res.StatusCode)
	}
	wiretest.Eventually(t, "the connection is gone", func() bool { return s.listener.Open() == 1 })
	if n := valueOf(t, s.opt.Panics); n != 1 {
		t.Errorf("%v panics are counted", n)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}
