package http1

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// pair returns the two ends of a TCP connection.
func pair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// echo answers everything that arrives with itself, until the connection ends.
func echo(c *net.TCPConn) error {
	small := make([]byte, 64)
	return arrivals(c, func() []byte { return small }, func(n int) bool {
		_, err := c.Write(small[:n])
		return err == nil
	})
}

// A piece that arrives at whatever moment is handed on: while the one before is being handled,
// between that and the wait, or in the middle of it. A lost one would end at the deadline.
func TestArrivalsLoseNothing(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for seed := range uint64(32) {
		client, server := pair(t)
		client.SetDeadline(time.Now().Add(time.Minute))
		server.SetDeadline(time.Now().Add(time.Minute))
		all.Go(func() {
			if err := echo(server); err != io.EOF {
				t.Errorf("connection %d ended with %v", seed, err)
			}
		})
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			for range 2000 {
				// Sometimes exactly what the other side has room for, sometimes in two writes.
				piece := make([]byte, []int{1, 63, 64, 65, 128, 1 + r.IntN(300)}[r.IntN(6)])
				for i := range piece {
					piece[i] = byte(r.Uint32())
				}
				cut := r.IntN(len(piece))
				client.Write(piece[:cut])
				client.Write(piece[cut:])
				back := make([]byte, len(piece))
				if _, err := io.ReadFull(client, back); err != nil || !bytes.Equal(back, piece) {
					t.Errorf("connection %d: %v", seed, err)
					break
				}
			}
			client.CloseWrite()
		})
	}
	all.Wait()
}

// Who says all it has and closes gets its answer and the end, whichever arrives first.
func TestArrivalsSeeTheEndOfAShortConnection(t *testing.T) {
	t.Parallel()
	for range 200 {
		client, server := pair(t)
		client.Write([]byte("hello"))
		client.CloseWrite()
		server.SetDeadline(time.Now().Add(time.Minute))
		if err := echo(server); err != io.EOF {
			t.Fatalf("the connection ended with %v", err)
		}
	}
}

func TestArrivalsEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		do   func(client, server *net.TCPConn)
		want error
	}{
		"deadline": {func(_, s *net.TCPConn) { s.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		"close":    {func(_, s *net.TCPConn) { s.Close() }, net.ErrClosed},
		"end":      {func(c, _ *net.TCPConn) { c.CloseWrite() }, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, server := pair(t)
			ended := make(chan error, 1)
			go func() { ended <- echo(server) }()
			for range 2 * settled { // it now waits without another try
				client.Write([]byte("x"))
				if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			end.do(client, server)
			if err := <-ended; !errors.Is(err, end.want) {
				t.Errorf("ended with %v, want %v", err, end.want)
			}
		})
	}
}
