package peer

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"pxkv/node/kv"
)

// stranger makes a Transport that never runs: it lends its side of the handshake to tests
// that then speak on the bare connection.
func stranger(t testing.TB, id kv.NodeID, change ...func(*Options)) *Transport {
	t.Helper()
	opt := Options{
		Listen: "127.0.0.1:0", Identity: Identity{Node: id, ClusterName: "test", Incarnation: 1},
		Handler: &testHandler{}, Resolve: func(kv.NodeID) (string, bool) { return "", false },
		Cluster: func() kv.ClusterID { return testCluster },
	}
	for _, f := range change {
		f(&opt)
	}
	tr, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// dialRaw connects to n as node id and shakes hands.
func dialRaw(t testing.TB, n *node, id kv.NodeID, p purpose) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := stranger(t, id).greet(conn, p, n.id); err != nil {
		t.Fatal(err)
	}
	return conn
}

// dialPipe is dialRaw over a net.Pipe, where one write is one read.
func dialPipe(t testing.TB, n *node, id kv.NodeID) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	n.spawn(func() { n.serve(theirs) })
	if _, err := stranger(t, id).greet(ours, purposeLink, n.id); err != nil {
		t.Fatal(err)
	}
	return ours
}

// acceptRaw listens as node id, shakes hands with whoever comes, and hands the connection to
// serve on a goroutine of its own.
func acceptRaw(t testing.TB, b *book, id kv.NodeID, serve func(net.Conn)) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.set(id, ln.Addr().String())
	s := stranger(t, id)
	var tasks sync.WaitGroup
	tasks.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			tasks.Go(func() {
				defer conn.Close()
				if _, _, err := s.welcome(conn); err == nil {
					serve(conn)
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		tasks.Wait()
	})
}

// message encodes one message.
func message(it item) []byte { return append(it.appendHead(nil), it.payload...) }

// readMessages calls f for each message that arrives until the connection ends.
func readMessages(conn io.Reader, f func(typ uint8, body []byte)) {
	for {
		head := make([]byte, prefixSize)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		p, err := decodePrefix(head, defaultMaxPayload)
		if err != nil {
			return
		}
		content, err := readRest(conn, nil, p.length, 0)
		if err != nil || p.check(content) != nil {
			return
		}
		f(content[0], content[1:])
	}
}

// wantClosed waits until the other end has closed conn.
func wantClosed(t testing.TB, conn net.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil {
		if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
			t.Fatal("the connection was not closed")
		}
	}
}

// scriptedConn is a connection whose writes the test controls: each takes the next budget
// from the channel and fails behind so many bytes. Reads wait for Close.
type scriptedConn struct {
	net.Conn // of a pipe, for everything that is not scripted
	writing  chan []byte
	budget   chan int
	closed   chan struct{}
	once     sync.Once
}

func newScriptedConn() *scriptedConn {
	ours, theirs := net.Pipe()
	theirs.Close()
	return &scriptedConn{
		Conn: ours, writing: make(chan []byte, 16), budget: make(chan int), closed: make(chan struct{}),
	}
}

func (c *scriptedConn) Read([]byte) (int, error) {
	<-c.closed
	return 0, net.ErrClosed
}

func (c *scriptedConn) Write(b []byte) (int, error) {
	c.writing <- append([]byte(nil), b...)
	select {
	case n := <-c.budget:
		if n >= len(b) {
			return len(b), nil
		}
		return n, errors.New("the network broke")
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *scriptedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
