package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"pxkv/transport/wiretest"
)

// Who was told by the kernel that the connection stands is served, and whoever comes later is refused.
func TestWhoHasConnectedIsServedWhenNoMoreAreTaken(t *testing.T) {
	t.Parallel()
	l := New(Options{Address: "127.0.0.1:0"})
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for range 20 {
		conns = append(conns, dial(t, l)) // nobody has accepted it
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.StopAccepting()
	}()
	<-l.stopped
	if err := l.Serve(echo); err != nil {
		t.Error(err)
	}
	<-done
	for i, c := range conns {
		if !answers(c) {
			t.Errorf("connection %d is not served", i)
		}
		c.Close()
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("a connection was taken afterwards")
	}
	if l.Closing() {
		t.Error("it is closing before Close")
	}
	if err := errors.Join(l.Close(), l.Wait(t.Context())); err != nil {
		t.Error(err)
	}
}

// Nobody is waited for who is not there; connections are taken for the first while; and it is over when all have gone.
func TestFarewellWaitsForThoseWhoAreThere(t *testing.T) {
	t.Parallel()
	serving(t, Options{}, echo).Farewell(time.Hour, time.Hour)

	l := serving(t, Options{}, echo)
	first := dial(t, l)
	if !answers(first) {
		t.Fatal("no answer")
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		l.Farewell(time.Hour, time.Hour)
	}()
	second := dial(t, l)
	if !answers(second) || !answers(first) {
		t.Error("one is not served")
	}
	first.Close()
	if !answers(second) || l.isStopped() {
		t.Error("it did not wait for the other one")
	}
	second.Close()
	<-over

	l = serving(t, Options{}, echo)
	if !answers(dial(t, l)) {
		t.Fatal("no answer")
	}
	l.Farewell(time.Millisecond, time.Millisecond) // who does not go is not waited for
	if l.Open() != 1 || !l.isStopped() {
		t.Errorf("%d are open, stopped %v", l.Open(), l.isStopped())
	}
}

// handed is a net.Listener that gives connections of a list, and then waits.
type handed struct {
	net.Listener
	conns   chan net.Conn
	stopped chan struct{}
}

// Accept implements net.Listener.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.stopped:
		return nil, net.ErrClosed
	}
}

// SetDeadline ends Accept.
func (h *handed) SetDeadline(t time.Time) error {
	if t.Before(time.Now()) {
		close(h.stopped)
	}
	return nil
}

// Close implements net.Listener.
func (*handed) Close() error { return nil }

// It goes on while clients go that were there before, and not for those that come and go meanwhile; nor without end.
func TestFarewellGoesOnWhileClientsGo(t *testing.T) {
	t.Parallel()
	const every, while, slack = 10 * time.Millisecond, 20 * time.Millisecond, 3 * lookEvery
	for name, c := range map[string]struct {
		former, fresh int // how many go, one every so often
		stays         int
		least, most   time.Duration
	}{
		"all go":                {former: 50, least: 50 * every, most: 50*every + slack},
		"some stay":             {former: 20, stays: 1, least: 20*every + 2*while, most: 20*every + 2*while + slack},
		"others come and go":    {fresh: 50, stays: 1, least: 2 * while, most: 2*while + slack},
		"they go without end":   {former: 500, least: MoreFarewell, most: MoreFarewell + 2*while + slack},
		"nobody is there to go": {},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &handed{conns: make(chan net.Conn), stopped: make(chan struct{})}
			l := New(Options{})
			l.listener = h
			ended := make(chan error, 1)
			go func() { ended <- l.Serve(echo) }()
			connect := func() (client net.Conn) {
				client, server := net.Pipe()
				h.conns <- server
				synctest.Wait()
				return client
			}
			var all []net.Conn
			for range c.stays + c.former {
				all = append(all, connect())
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				for _, client := range all[c.stays:] {
					time.Sleep(every)
					client.Close()
				}
				for range c.fresh {
					client, server := net.Pipe()
					time.Sleep(every)
					select {
					case h.conns <- server:
					case <-h.stopped:
					}
					client.Close()
				}
			}()
			began := time.Now()
			l.Farewell(while, while)
			if took := time.Since(began); took < c.least || took > c.most {
				t.Errorf("%s: it took %v", name, took)
			}
			<-over
			for _, client := range all {
				client.Close()
			}
			if err := errors.Join(l.Close(), l.Wait(context.Background()), <-ended); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is said last arrives together with the end.
func TestCorkHoldsTheLastWordsBack(t *testing.T) {
	t.Parallel()
	held := false
	for range 10 { // the kernel holds them for 200 ms, in which a busy machine may do nothing
		said := make(chan struct{})
		end := make(chan struct{})
		l := serving(t, Options{}, func(c net.Conn) bool {
			defer c.Close()
			Cork(c)
			_, _ = c.Write([]byte("words"))
			close(said)
			<-end
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, c)
			return false
		})
		c := dial(t, l)
		<-said
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		held = held || errors.Is(err, os.ErrDeadlineExceeded)
		close(end)
		if err != nil {
			_ = c.SetReadDeadline(time.Now().Add(wiretest.Patience))
			if words, err := io.ReadAll(c); string(words) != "words" || err != nil {
				t.Fatalf("%q, %v", words, err)
			}
		}
		c.Close()
		if held {
			return
		}
	}
	if corks {
		t.Error("they arrived before the end")
	}
}
