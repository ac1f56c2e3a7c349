package http1

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"pxkv/transport/wiretest"
)

// A client is dropped when it has taken too little for the time, wherever in the answer it stops.
func TestAClientThatStopsTakingIsDroppedInTime(t *testing.T) {
	t.Parallel()
	const stall = 30 * time.Second
	for name, c := range map[string]struct {
		takes int           // bytes at once
		every time.Duration // how often
		times int
		most  time.Duration // until it is dropped, 0: it gets everything
	}{
		"takes nothing":                {0, 0, 0, stall + stall/8},
		"takes much, and then nothing": {4 << 20, 0, 1, stall + stall/4},
		"takes some now and then":      {minProgress, stall * 9 / 10, 256, 0},
		"takes too little":             {minProgress / 4, stall / 2, 256, 2 * stall},
	} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range c.times {
					time.Sleep(c.every)
					if _, err := io.CopyN(io.Discard, there, int64(c.takes)); err != nil {
						return
					}
				}
			}()
			began := time.Now()
			l := idleListener()
			l.stall = stall
			n, err := (&conn{Conn: here, owner: l, answering: true}).Write(make([]byte, 8<<20))
			took := time.Since(began)
			here.Close()
			<-done
			if c.most == 0 && (err != nil || n != 8<<20) {
				t.Errorf("%s: dropped after %v with %d bytes: %v", name, took, n, err)
			} else if c.most != 0 && (!errors.Is(err, os.ErrDeadlineExceeded) || took < stall || took > c.most) {
				t.Errorf("%s: after %v: %d bytes, %v", name, took, n, err)
			}
		})
	}
}

// So it is on a connection on which net/http has answered before, whose deadline it took away.
func TestAClientThatStopsTakingLaterIsDropped(t *testing.T) {
	t.Parallel()
	b := newBoxes()
	b.in["big"] = make([]byte, largestBox)
	s := newTestServer(t, b, func(o *Options) { o.Limits.WriteStall = time.Second })
	serving(t, s)
	c := wiretest.Dial(t, s.Addr().String())
	if _, err := io.WriteString(c, "GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	wiretest.Answer(t, bufio.NewReader(c))
	if _, err := io.WriteString(c, "GET /box/big HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	wiretest.Eventually(t, "dropped", func() bool { return s.listener.Open() == 0 })
}
