package http1

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"pxkv/transport/wiretest"
)

// at counts the connections at which net/http is at a stage.
func (r *rest) at(s stage) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.mu.Lock()
		if c.stage == s {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

// A request that net/http is just reading when the time is over is answered.
func TestWhatNetHTTPReadsAtTheEndIsAnswered(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, newBoxes(), func(o *Options) { o.Limits.Farewell = time.Millisecond })
	end := serving(t, s)
	idle, busy := wiretest.Dial(t, s.Addr().String()), wiretest.Dial(t, s.Addr().String())
	wiretest.Ask(t, idle, restGet)
	wiretest.Ask(t, busy, restGet)
	half := len(restPut) / 2
	io.WriteString(busy, restPut[:half])
	wiretest.Eventually(t, "half a request is read", func() bool { return s.rest.at(requested) == 1 })
	var ending sync.WaitGroup
	ending.Go(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	if rest, err := io.ReadAll(idle); err != nil || len(rest) > 0 { // then net/http is told
		t.Errorf("%q, %v", rest, err)
	}
	io.WriteString(busy, restPut[half:])
	if res := lastAnswer(t, bufio.NewReader(busy)); res.StatusCode != http.StatusCreated {
		t.Error(res.Status)
	}
	ending.Wait()
}

// What has arrived on a connection that is to end, and was not read, is read; nothing else is waited for, whether the
// wait has begun or not.
func TestAWaitForAnotherRequestEndsWithALook(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{true, false} {
		client, server := pair(t)
		c := &conn{Conn: server, owner: idleListener()}
		c.enter(answered)
		wait := func() { _ = c.SetReadDeadline(time.Now().Add(time.Hour)) }
		if begun {
			wait()
		}
		_ = c.owner.Close()
		c.wake()
		if !begun {
			wait()
		}
		io.WriteString(client, "GET")
		if n, err := c.Read(make([]byte, 10)); n != 3 || err != nil {
			t.Errorf("begun %v: %d bytes, %v", begun, n, err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Hour)) // for the rest of it
		go io.WriteString(client, " /")
		if n, err := c.Read(make([]byte, 10)); n != 2 || err != nil {
			t.Errorf("begun %v: %d bytes, %v", begun, n, err)
		}
		c.enter(answered)
		wait()
		if n, err := c.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("begun %v: %d bytes, %v", begun, n, err)
		}
	}
}
