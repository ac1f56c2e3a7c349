package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
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
