package resp

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/wiretest"
)

const shuttingDown = "-CLUSTERDOWN this node is shutting down: ask another one"

// stoppable runs a server until stop is called, which returns when it takes leave. ended gives the error of Run.
func stoppable(t *testing.T, f *fake, change func(*Options)) (s *Server, stop func(), ended <-chan error) {
	t.Helper()
	o := Options{Listen: "127.0.0.1:0", Service: f}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err == nil {
		err = s.Listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- s.Run(ctx) }()
	return s, func() {
		cancel()
		wiretest.Eventually(t, "it leaves", s.leaving.Load)
	}, end
}

func patiently(o *Options) { o.Farewell = time.Hour }

// end reads the end of a connection, which must be one in good order.
func (c *client) end() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Errorf("behind the last reply: %q, %v", rest, err)
	}
	c.net.Close()
}

// A client that asks something while the server leaves is told that it was not done, and the connection ends.
func TestWhoLeavesRefusesAndHangsUp(t *testing.T) {
	t.Parallel()
	f := newFake()
	s, stop, ended := stoppable(t, f, patiently)
	address := s.Addr().String()
	var clients []*client
	for range 7 {
		c := dial(t, address)
		c.do("SET", "a", "1")
		clients = append(clients, c)
	}
	clients[5].do("MULTI")
	clients[5].do("SET", "a", "2")
	clients[4].raw("SET a ")
	stop()
	for i, words := range []string{"SET a 2", "PING", "SET a 2\r\nGET a\r\nNONSENSE", "EVAL x", "2", "EXEC"} {
		c := clients[i]
		c.raw(words + "\r\n")
		for range strings.Split(words, "\r\n") {
			if got := c.reply(); got != shuttingDown {
				t.Errorf("%q: got %s", words, got)
			}
		}
		c.end()
	}
	half := clients[6] // a command that has begun is waited for
	for _, piece := range []string{"GET a\r\nGET ", "a\r\n"} {
		half.raw(piece)
		if got := half.reply(); got != shuttingDown {
			t.Errorf("%q: got %s", piece, got)
		}
	}
	half.end()
	if err := <-ended; err != nil { // when the last one has gone, not after an hour
		t.Error(err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("a connection after the end")
	}
	if got := string(f.items["a"].Value.Data); got != "1" {
		t.Errorf("what was refused was done: %q", got)
	}
}

// A client whose command is under way is not hung up on with its answer: it may ask something else and only then look.
func TestTheAnswerUnderWayDoesNotEndTheConnection(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.blocked = make(chan struct{})
	s, stop, ended := stoppable(t, f, patiently)
	c := dial(t, s.Addr().String())
	c.raw("SET a 1\r\n")
	wiretest.Eventually(t, "it is under way", func() bool { return f.waiting.Load() == 1 })
	stop()
	close(f.blocked)
	if got := c.reply(); got != "+OK" {
		t.Errorf("got %s", got)
	}
	if got := c.do("GET", "a"); got != shuttingDown {
		t.Errorf("got %s", got)
	}
	c.end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Of a long pipeline that is there each command is answered, whether it was carried out or not.
func TestAPipelineIsAnsweredToItsEnd(t *testing.T) {
	t.Parallel()
	const behind = 2000 // more than one read takes in
	f := newFake()
	f.blocked = make(chan struct{})
	s, stop, ended := stoppable(t, f, patiently)
	c := dial(t, s.Addr().String())
	c.raw("SET a 1\r\n")
	wiretest.Eventually(t, "it is under way", func() bool { return f.waiting.Load() == 1 })
	c.raw(strings.Repeat("SET a 2\r\nGET a\r\n", behind/2))
	stop()
	close(f.blocked)
	if got := c.reply(); got != "+OK" {
		t.Errorf("what was carried out was answered with %s", got)
	}
	for i := range behind {
		if got := c.reply(); got != shuttingDown {
			t.Fatalf("command %d behind it was answered with %s", i, got)
		}
	}
	c.end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Whatever is going on when the server stops, what was carried out is answered so, before whatever was refused.
func TestWhatWasCarriedOutIsAnswered(t *testing.T) {
	t.Parallel()
	for range 20 {
		f := newFake()
		s, stop, ended := stoppable(t, f, func(o *Options) { o.Farewell = 50 * time.Millisecond })
		c := dial(t, s.Addr().String())
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for range 1000 {
				if _, err := io.WriteString(c.net, strings.Repeat("INCR n\r\n", 10)); err != nil {
					return
				}
			}
		}()
		done, refused := 0, 0
		for {
			got, err := readReply(c.in)
			if err != nil {
				break
			}
			switch {
			case got == shuttingDown:
				refused++
			case got[0] != ':' || refused > 0:
				t.Fatalf("after %d that were done and %d that were refused: %s", done, refused, got)
			default:
				done++
			}
			if done == 100 && refused == 0 {
				stop()
			}
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		c.net.Close()
		<-sent
		f.mu.Lock()
		if n, _ := kv.ParseInt(f.items["n"].Value.Data); n != int64(done) {
			t.Errorf("%d were done, and %d answered so", n, done)
		}
		f.mu.Unlock()
	}
}

// What has arrived when the time is over, and was not read, is answered. Who is silent is closed in good order.
func TestWhatHasArrivedIsAnsweredAtTheEnd(t *testing.T) {
	t.Parallel()
	s, stop, ended := stoppable(t, newFake(), func(o *Options) { o.Farewell = time.Millisecond })
	silent := dial(t, s.Addr().String())
	silent.do("PING")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	silent.end()
	c := dial(t, l.Addr().String())
	c.raw("SET a 1\r\nGET a\r\n")
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		newConn(s, nc).serve()
	}()
	for range 2 {
		if got := c.reply(); got != shuttingDown {
			t.Errorf("got %s", got)
		}
	}
	c.end()
	<-served
}

// woken is a connection on which one wait is ended, as by socket.Listener.Wake, and then each one that is too short
// for a client that needs a moment.
type woken struct {
	net.Conn
	reads int
	ended int // by its number, from 1 on
	until time.Time
	waits chan struct{} // is closed when the rest may come
}

// SetReadDeadline implements net.Conn.
func (w *woken) SetReadDeadline(t time.Time) error {
	w.until = t
	return nil
}

// Read implements net.Conn.
func (w *woken) Read(b []byte) (int, error) {
	w.reads++
	if w.reads == w.ended || w.reads > w.ended && time.Until(w.until) < 100*time.Millisecond {
		return 0, os.ErrDeadlineExceeded
	}
	if w.reads == w.ended+1 {
		close(w.waits)
	}
	return w.Conn.Read(b)
}

// The rest of a command that is on its way when the time is over is waited for, as long as it comes: else its client
// could not know what became of it.
func TestHalfACommandIsWaitedForAtTheEnd(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	serving := func(s *Server, begin string, wrap func(net.Conn) net.Conn) (c *client, served <-chan struct{}) {
		c = dial(t, l.Addr().String())
		c.raw(begin)
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			newConn(s, wrap(nc)).serve()
		}()
		return c, done
	}
	f := newFake()
	s, stop, ended := stoppable(t, f, func(o *Options) { o.Farewell = time.Millisecond })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	waits := make(chan struct{})
	c, served := serving(s, "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhal", func(nc net.Conn) net.Conn {
		return &woken{Conn: nc, ended: 2, waits: waits}
	})
	select {
	case <-waits:
	case <-served:
		t.Fatal("nobody waits for the rest")
	}
	c.raw("ve\r\n")
	if got := c.reply(); got != shuttingDown {
		t.Errorf("got %s", got)
	}
	c.net.Close()
	<-served

	// So is the first command of who has just connected.
	for answered, tries := false, 0; !answered; tries++ {
		waits = make(chan struct{})
		c, served = serving(s, "", func(nc net.Conn) net.Conn { return &woken{Conn: nc, ended: 1, waits: waits} })
		select {
		case <-waits:
			answered = true
			c.raw("SET a 1\r\n")
			if got := c.reply(); got != shuttingDown {
				t.Errorf("got %s", got)
			}
		case <-served:
			if tries > 10 { // a busy machine may need the whole time until the second look
				t.Fatal("nobody waits for the first command")
			}
		}
		c.net.Close()
		<-served
	}

	// Who does not go on is not waited for.
	s, stop, ended = stoppable(t, f, func(o *Options) { o.Farewell, o.ReadStall = time.Millisecond, time.Millisecond })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	c, served = serving(s, "GET a", func(nc net.Conn) net.Conn { return nc })
	<-served
	c.end()
}

// Where nobody is there nobody is waited for.
func TestTheEndWaitsForNobodyElse(t *testing.T) {
	t.Parallel()
	_, stop, ended := stoppable(t, newFake(), patiently)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := New(Options{Service: newFake(), Farewell: -1}); err == nil ||
		!strings.Contains(err.Error(), "Options.Farewell") {
		t.Errorf("a negative time: %v", err)
	}
}
