package http1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pxkv/transport/socket"
	"pxkv/transport/wiretest"
)

const (
	plainGet = "GET /box/a HTTP/1.1\r\nHost: x\r\n\r\n"
	plainPut = "PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv"
	// restGet and restPut are left to net/http.
	restGet = "GET /box/a HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive, x\r\n\r\n"
	restPut = "PUT /box/a HTTP/1.1\r\nHost: x\r\nConnection: Keep-Alive, x\r\nContent-Length: 1\r\n\r\nv"
)

// lastAnswer reads an answer that must say that its connection ends, and the end, which must be one in good order.
func lastAnswer(t *testing.T, r *bufio.Reader) *http.Response {
	t.Helper()
	res, _ := wiretest.Answer(t, r)
	if !res.Close {
		t.Error("the answer does not say that the connection ends")
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("behind the last answer: %q, %v", rest, err)
	}
	return res
}

func TestWhoLeavesSaysSoWithEachAnswer(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, newBoxes(), nil)
	end := serving(t, s)
	addr := s.Addr().String()
	for _, c := range []struct{ before, after string }{
		{plainPut, plainPut}, {plainGet, plainGet}, {restGet, restPut}, {restPut, restGet}, {plainGet, restPut},
		{plainGet, "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n"}, {restGet, "HEAD /box/a HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		s.listener.leaving.Store(false)
		kept := wiretest.Dial(t, addr)
		r := bufio.NewReader(kept)
		io.WriteString(kept, c.before)
		if res, _ := wiretest.Answer(t, r); res.Close {
			t.Errorf("%.30q: the connection ends before anybody leaves", c.before)
		}
		s.Leave()
		s.Leave() // as often as one likes
		io.WriteString(kept, c.after)
		if strings.HasPrefix(c.after, "HEAD") {
			head, err := http.ReadResponse(r, &http.Request{Method: http.MethodHead})
			if err != nil || !head.Close {
				t.Errorf("HEAD: %v, %v", head, err)
			}
		} else {
			lastAnswer(t, r)
		}
		kept.Close()
		// Who comes anew is served, too.
		fresh := wiretest.Dial(t, addr)
		io.WriteString(fresh, strings.Replace(c.after, "HEAD", "GET", 1))
		lastAnswer(t, bufio.NewReader(fresh))
		fresh.Close()
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// leavingBusy starts a server, asks it something and lets it leave while that is under way, until release is called.
func leavingBusy(t *testing.T, request string) (b *boxes, c net.Conn, release func()) {
	t.Helper()
	b = newBoxes()
	reached, released := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(reached) })
	b.busy = func(context.Context) {
		first()
		<-released
	}
	s := newTestServer(t, b, nil)
	serving(t, s)
	c = wiretest.Dial(t, s.Addr().String())
	io.WriteString(c, request)
	<-reached
	s.Leave()
	return b, c, func() { close(released) }
}

// An answer under way says so, too.
func TestWhoLeavesSaysSoWithTheAnswerUnderWay(t *testing.T) {
	t.Parallel()
	for _, put := range []string{plainPut, restPut} {
		_, c, release := leavingBusy(t, put)
		release()
		if res := lastAnswer(t, bufio.NewReader(c)); res.StatusCode != http.StatusCreated {
			t.Error(res.Status)
		}
	}
}

// What was sent together is answered before the connection ends, and only the last answer says that it does.
func TestPipelinedRequestsAreAnsweredByWhoLeaves(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, newBoxes(), nil)
	serving(t, s)
	s.Leave()
	c := wiretest.Dial(t, s.Addr().String())
	io.WriteString(c, strings.Repeat(plainPut, 5)+plainGet)
	r := bufio.NewReader(c)
	for i := range 5 {
		if res, _ := wiretest.Answer(t, r); res.StatusCode != http.StatusCreated || res.Close {
			t.Errorf("answer %d: %s, close %v", i, res.Status, res.Close)
		}
	}
	lastAnswer(t, r)
}

// A request that comes behind the last answer is not carried out, and does not destroy that answer.
func TestWhatComesBehindTheLastAnswerDoesNoHarm(t *testing.T) {
	t.Parallel()
	for _, put := range []string{plainPut, restPut} {
		b, c, release := leavingBusy(t, put)
		io.WriteString(c, strings.Repeat(put, 100)) // nobody reads it yet
		release()
		lastAnswer(t, bufio.NewReader(c))
		b.mu.Lock()
		if b.puts != 1 {
			t.Errorf("%d requests were carried out", b.puts)
		}
		b.mu.Unlock()
	}
}

// At the end clients are waited for, and answered, until all have gone.
func TestTheEndWaitsForClientsToGo(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, newBoxes(), func(o *Options) { o.Limits.Farewell = time.Hour })
	end := serving(t, s)
	addr := s.Addr().String()
	idle, other := wiretest.Dial(t, addr), wiretest.Dial(t, addr)
	wiretest.Ask(t, idle, plainPut)
	wiretest.Ask(t, other, restGet)
	var ending sync.WaitGroup
	ending.Go(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	wiretest.Eventually(t, "it leaves", s.listener.leaving.Load)
	fresh := wiretest.Dial(t, addr)
	io.WriteString(fresh, plainGet)
	lastAnswer(t, bufio.NewReader(fresh))
	for _, c := range []net.Conn{fresh, other} {
		c.Close()
	}
	io.WriteString(idle, plainGet)
	lastAnswer(t, bufio.NewReader(idle))
	idle.Close()
	ending.Wait()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("a connection after the end")
	}
}

// Where nobody is there nobody is waited for, and who asks nothing is closed in good order when the time is over.
func TestTheEndWaitsForNobodyElse(t *testing.T) {
	t.Parallel()
	_, stop := start(t, newBoxes(), func(o *Options) { o.Limits.Farewell = time.Hour })
	if err := stop(); err != nil {
		t.Error(err)
	}
	addr, stop := start(t, newBoxes(), func(o *Options) { o.Limits.Farewell = 20 * time.Millisecond })
	idle, other, silent := wiretest.Dial(t, addr), wiretest.Dial(t, addr), wiretest.Dial(t, addr)
	wiretest.Ask(t, idle, plainPut)
	wiretest.Ask(t, other, restGet)
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, c := range []net.Conn{idle, other, silent} {
		if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
	}
}

// What has arrived when the time is over, and was not read, is answered, whether somebody waited for it or not.
func TestWhatHasArrivedIsAnsweredAtTheEnd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, woken := range []bool{false, true} {
		c := wiretest.Dial(t, l.Addr().String())
		io.WriteString(c, plainPut+plainGet)
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s := newTestServer(t, newBoxes(), nil)
		s.Leave()
		if err := s.listener.Close(); err != nil { // the time is over before anybody has read
			t.Error(err)
		}
		if woken {
			_ = nc.SetReadDeadline(time.Unix(1, 0)) // as by socket.Listener.Wake
		}
		var serving sync.WaitGroup
		serving.Go(func() { newPlainServer(t.Context(), s, newHandover(l.Addr())).serve(nc) })
		r := bufio.NewReader(c)
		if res, _ := wiretest.Answer(t, r); res.StatusCode != http.StatusCreated || res.Close {
			t.Errorf("%s, close %v", res.Status, res.Close)
		}
		lastAnswer(t, r)
		serving.Wait()
	}
}

// woken is a connection on which the first wait is cut short, as by socket.Listener.Wake, and then each one that is too
// short for a client that needs a moment.
type woken struct {
	net.Conn
	reads int
	until time.Time
	waits chan struct{} // is closed when somebody waits
}

// SetReadDeadline implements net.Conn.
func (w *woken) SetReadDeadline(t time.Time) error {
	w.until = t
	return nil
}

// Read implements net.Conn.
func (w *woken) Read(b []byte) (int, error) {
	w.reads++
	if w.reads == 1 || time.Until(w.until) < socket.FirstWords/4 {
		return 0, os.ErrDeadlineExceeded
	}
	close(w.waits)
	return w.Conn.Read(b)
}

// Who has just connected when the time is over, and is about to ask something, is waited for.
func TestWhoHasJustConnectedIsAnsweredAtTheEnd(t *testing.T) {
	t.Parallel()
	for range 10 { // a busy machine may need the whole time until the second look
		client, server := pair(t)
		_ = client.SetDeadline(time.Now().Add(wiretest.Patience))
		s := newTestServer(t, newBoxes(), nil)
		s.Leave()
		if err := s.listener.Close(); err != nil {
			t.Error(err)
		}
		waits, served := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(served)
			newPlainServer(t.Context(), s, newHandover(server.LocalAddr())).serve(&woken{Conn: server, waits: waits})
		}()
		select {
		case <-waits:
			io.WriteString(client, plainPut)
			if res := lastAnswer(t, bufio.NewReader(client)); res.StatusCode != http.StatusCreated {
				t.Error(res.Status)
			}
			<-served
			return
		case <-served:
		}
	}
	t.Error("nobody waits")
}

// A request of which a part is there when the time is over goes on to net/http, which waits for the rest of it.
func TestHalfARequestIsWaitedForAtTheEnd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	half, rest := plainPut[:len(plainPut)-1], plainPut[len(plainPut)-1:]
	for _, begin := range []string{"P", half} {
		s := newTestServer(t, newBoxes(), nil)
		s.Leave()
		if err := s.listener.Close(); err != nil {
			t.Error(err)
		}
		c := wiretest.Dial(t, l.Addr().String())
		io.WriteString(c, begin)
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		h := newHandover(l.Addr())
		passed := make(chan net.Conn, 1)
		go func() {
			got, _ := h.Accept()
			passed <- got
		}()
		newPlainServer(t.Context(), s, h).serve(nc)
		_ = h.Close()
		if got, ok := (<-passed).(*conn); !ok {
			t.Errorf("%q was dropped", begin)
		} else {
			if string(got.ahead) != begin {
				t.Errorf("%q: %q was handed on", begin, got.ahead)
			}
			got.Close()
		}
	}

	b := newBoxes()
	s := newTestServer(t, b, func(o *Options) { o.Limits.Farewell = time.Millisecond })
	end := serving(t, s)
	c := wiretest.Dial(t, s.Addr().String())
	io.WriteString(c, half)
	wiretest.Eventually(t, "the connection is there", func() bool { return s.listener.Open() == 1 })
	var ending sync.WaitGroup
	ending.Go(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	wiretest.Eventually(t, "it closes", s.listener.Closing)
	io.WriteString(c, rest)
	if res := lastAnswer(t, bufio.NewReader(c)); res.StatusCode != http.StatusCreated {
		t.Error(res.Status)
	}
	ending.Wait()
}
