package http1

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pxkv/transport/wiretest"
)

// upload sends the head of a request and then size bytes of body, and reads nothing.
func upload(c net.Conn, head string, size int) error {
	if _, err := io.WriteString(c, head); err != nil {
		return err
	}
	piece := strings.Repeat(" ", 64<<10)
	for ; size > 0; size -= len(piece) {
		if _, err := io.WriteString(c, piece[:min(size, len(piece))]); err != nil {
			return err
		}
	}
	return nil
}

// A client that sends the whole body before it reads learns why it was refused.
func TestEarlyAnswerReachesWhoSendsOn(t *testing.T) {
	t.Parallel()
	const size = 24 << 20
	addr, _ := start(t, newBoxes(), nil)
	length := fmt.Sprintf(" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	for head, status := range map[string]int{
		"PUT /box/a" + length:     413,
		"POST /box/a" + length:    200,
		"PUT /elsewhere" + length: 200,
		// net/http leaves what it can of a connection that its client wants to be closed.
		"PUT /box/a HTTP/1.1\r\nConnection: close" + strings.TrimPrefix(length, " HTTP/1.1"):                 413,
		"PUT /box/a HTTP/1.0" + strings.TrimPrefix(length, " HTTP/1.1"):                                      413,
		"PUT /box/a HTTP/1.1\r\nTransfer-Encoding: zip" + strings.TrimPrefix(length, " HTTP/1.1"):            501,
		"PUT /box/b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", size): 413,
	} {
		c := wiretest.Dial(t, addr)
		if err := upload(c, head, size); err != nil {
			t.Errorf("%.16q: before all was sent: %v", head, err)
			continue
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%.16q: no answer: %v", head, err)
		} else if res.StatusCode != status || !res.Close {
			t.Errorf("%.16q: %d, close %t", head, res.StatusCode, res.Close)
		}
	}
}

// So does one that finds too many connections.
func TestTooManyConnectionsReachesWhoSendsOn(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, newBoxes(), func(o *Options) { o.Limits.MaxConns = 1 })
	wiretest.Ask(t, wiretest.Dial(t, addr), "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n")
	c := wiretest.Dial(t, addr)
	if err := upload(c, "PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n", 8<<20); err != nil {
		t.Fatal(err)
	}
	if res, _ := wiretest.Answer(t, bufio.NewReader(c)); res.StatusCode != http.StatusServiceUnavailable {
		t.Error(res.Status)
	}
}

// A client that never stops is cut off, and so is what lingers when the server ends.
func TestNobodyLingersForLong(t *testing.T) {
	t.Parallel()
	const endless = "PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n"
	addr, _ := start(t, newBoxes(), nil)
	began := time.Now()
	err := upload(wiretest.Dial(t, addr), endless, 1<<40)
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("not cut off, %v: %v", time.Since(began), err)
	}

	s := newTestServer(t, newBoxes(), nil)
	end := serving(t, s)
	c := wiretest.Dial(t, s.Addr().String())
	wiretest.Ask(t, c, endless)
	var sending sync.WaitGroup
	sending.Go(func() { // one that is silent would be cut off after a second
		for err := error(nil); err == nil; time.Sleep(50 * time.Millisecond) {
			_, err = io.WriteString(c, " ")
		}
	})
	wiretest.Eventually(t, "lingering", func() bool {
		return valueOf(t, s.metrics.lingering) == 1
	})
	began = time.Now()
	if err := end(); err != nil || time.Since(began) > 5*time.Second { // of the ten that socket.Discard gives
		t.Errorf("the server ended after %v: %v", time.Since(began), err)
	}
	sending.Wait()
}

// Beyond a number nobody waits: a flood of such clients holds no more connections than that.
func TestFewConnectionsLinger(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, newBoxes(), nil)
	serving(t, s)
	for range maxLingering {
		s.listener.lingers <- struct{}{}
	}
	least := time.Hour // of some: a busy machine may take longer by itself
	for range 5 {
		c := wiretest.Dial(t, s.Addr().String())
		began := time.Now()
		wiretest.Ask(t, c, "PUT /box/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
		wiretest.Eventually(t, "closed", func() bool { return s.listener.Open() == 0 })
		least = min(least, time.Since(began))
	}
	if least >= time.Second { // after which socket.Discard cuts off who is silent
		t.Errorf("closed after %v", least)
	}
}
