package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"pxkv/transport/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serving runs a listener until the test ends.
func serving(t *testing.T, o Options, serve func(net.Conn) bool) *Listener {
	t.Helper()
	o.Address = "127.0.0.1:0"
	l := New(o)
	if l.Addr() != nil {
		t.Error("an address before Listen")
	}
	if err := errors.Join(l.Listen(), l.Listen()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Serve(serve) }()
	t.Cleanup(func() {
		l.Close()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		l.Cut()
		l.Wait(context.Background())
	})
	return l
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// echo sends back what comes, until the client or somebody else ends that.
func echo(c net.Conn) (handedOn bool) {
	defer c.Close()
	_, _ = io.Copy(c, c)
	return false
}

// answers reports whether a connection is being served by echo.
func answers(c net.Conn) bool {
	b := []byte("x")
	if _, err := c.Write(b); err != nil {
		return false
	}
	_, err := io.ReadFull(c, b)
	return err == nil
}

func TestThoseBeyondTheLimitAreToldSo(t *testing.T) {
	t.Parallel()
	var refused atomic.Int32
	l := serving(t, Options{MaxConns: 2, Refusal: []byte("too many"), Refused: func() { refused.Add(1) }}, echo)
	a, b := dial(t, l), dial(t, l)
	if !answers(a) || !answers(b) {
		t.Fatal("no answer")
	}
	third := dial(t, l)
	_, _ = third.Write(make([]byte, 64<<10)) // what it sent does not destroy what it is told
	if said, err := io.ReadAll(third); err != nil || string(said) != "too many" {
		t.Errorf("%q, %v", said, err)
	}
	if l.Open() != 2 || refused.Load() != 1 {
		t.Errorf("%d open, %d refused", l.Open(), refused.Load())
	}
	a.Close()
	wiretest.Eventually(t, "a place is free", func() bool { return l.Open() == 1 })
	if !answers(dial(t, l)) || !answers(b) {
		t.Error("no answer where there was a place")
	}
}

func TestWithoutARefusalTheyAreClosed(t *testing.T) {
	t.Parallel()
	l := serving(t, Options{MaxConns: 1}, echo)
	if first := dial(t, l); !answers(first) {
		t.Fatal("no answer")
	}
	if said, err := io.ReadAll(dial(t, l)); err != nil || len(said) > 0 {
		t.Errorf("%q, %v", said, err)
	}
}

// A flood of clients that are refused and do not go holds no more of them than a few.
func TestFewAreRefusedAtATime(t *testing.T) {
	t.Parallel()
	l := serving(t, Options{MaxConns: 1, Refusal: []byte("too many")}, echo)
	for range maxRefusing {
		l.refusing <- struct{}{}
	}
	if first := dial(t, l); !answers(first) {
		t.Fatal("no answer")
	}
	if said, _ := io.ReadAll(dial(t, l)); len(said) > 0 {
		t.Errorf("was told %q", said)
	}
	for range maxRefusing {
		<-l.refusing
	}
}

func TestWhatIsHandedOnKeepsItsPlace(t *testing.T) {
	t.Parallel()
	handed := make(chan net.Conn, 1)
	l := serving(t, Options{MaxConns: 1}, func(c net.Conn) bool {
		handed <- c
		return true
	})
	dial(t, l)
	c := <-handed
	wiretest.Eventually(t, "its serving has ended", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.served) == 0
	})
	if l.Open() != 1 {
		t.Errorf("%d open", l.Open())
	}
	c.Close()
	if l.Leave(); l.Open() != 0 {
		t.Errorf("%d open", l.Open())
	}
}

func TestTheEndWaitsForEachServing(t *testing.T) {
	t.Parallel()
	woken := make(chan error, 1)
	release := make(chan struct{})
	l := serving(t, Options{}, func(c net.Conn) bool {
		defer c.Close()
		_, err := c.Read(make([]byte, 1))
		woken <- err
		<-release
		_, _ = c.Write([]byte("answer"))
		return false
	})
	c := dial(t, l)
	wiretest.Eventually(t, "it is there", func() bool { return l.Open() == 1 })
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if l.Wait(short) == nil {
		t.Error("Wait returned before Close")
	}
	if err := errors.Join(l.Close(), l.Listen()); err != nil || !l.Closing() {
		t.Errorf("close: %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("a connection after Close")
	}
	l.Wake()
	if err := <-woken; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("its read ended with %v", err)
	}
	if l.Wait(short) == nil {
		t.Error("Wait returned while one was being served")
	}
	close(release)
	if err := l.Wait(context.Background()); err != nil {
		t.Error(err)
	}
	if said, err := io.ReadAll(c); err != nil || string(said) != "answer" {
		t.Errorf("%q, %v", said, err)
	}
}

func TestCutEndsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	l := serving(t, Options{}, echo)
	c := dial(t, l)
	if !answers(c) {
		t.Fatal("no answer")
	}
	l.Close()
	l.Cut()
	if err := l.Wait(context.Background()); err != nil || l.Open() != 0 {
		t.Errorf("%v, %d open", err, l.Open())
	}
	if answers(c) {
		t.Error("an answer from a connection that was cut")
	}
}

func TestATakenPortIsReported(t *testing.T) {
	t.Parallel()
	l := serving(t, Options{}, echo)
	other := New(Options{Address: l.Addr().String()})
	if err := other.Listen(); !errors.Is(err, syscall.EADDRINUSE) || other.Addr() != nil {
		t.Errorf("%v, address %v", err, other.Addr())
	}
}

// script is a net.Listener that answers Accept by a list.
type script struct {
	net.Listener
	mu    sync.Mutex
	says  []error // nil: a connection
	other []net.Conn
	done  chan struct{}
}

func (s *script) Accept() (net.Conn, error) {
	s.mu.Lock()
	if len(s.says) == 0 {
		s.mu.Unlock()
		<-s.done
		return nil, net.ErrClosed
	}
	defer s.mu.Unlock()
	err := s.says[0]
	if s.says = s.says[1:]; err != nil {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	here, there := net.Pipe()
	s.other = append(s.other, there)
	return here, nil
}

func (s *script) Close() error {
	close(s.done)
	return nil
}

func TestAcceptingPausesAfterWhatPasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		says := []error{nil}
		for range 10 {
			says = append(says, syscall.EMFILE)
		}
		says = append(says, nil, syscall.ECONNABORTED, syscall.ENOBUFS)
		s := &script{says: says, done: make(chan struct{})}
		var pauses []time.Duration
		l := New(Options{Paused: func(_ error, pause time.Duration) { pauses = append(pauses, pause) }})
		l.listener = s
		ended := make(chan error, 1)
		began := time.Now()
		go func() { ended <- l.Serve(echo) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		const ms = time.Millisecond
		want := []time.Duration{5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, time.Second,
			time.Second, 5 * ms, 10 * ms}
		if len(pauses) != len(want) || l.Open() != 2 || time.Since(began) != time.Minute {
			t.Fatalf("pauses %v, %d connections", pauses, l.Open())
		}
		for i := range want {
			if pauses[i] != want[i] {
				t.Errorf("pauses %v, want %v", pauses, want)
				break
			}
		}
		l.Close()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		l.Cut()
		l.Wait(context.Background())
	})
}

// A pause does not hold up the end.
func TestTheEndComesInAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		says := make([]error, 100)
		for i := range says {
			says[i] = syscall.ENFILE
		}
		l := New(Options{})
		l.listener = &script{says: says, done: make(chan struct{})}
		ended := make(chan error, 1)
		go func() { ended <- l.Serve(echo) }()
		time.Sleep(10*time.Second + time.Millisecond)
		at := time.Now()
		l.Close()
		if err := <-ended; err != nil || time.Since(at) != 0 {
			t.Errorf("Serve: %v, after %v", err, time.Since(at))
		}
	})
}

func TestWhatLastsEndsServe(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{syscall.EBADF, syscall.EINVAL, errors.New("no more")} {
		l := New(Options{})
		l.listener = &script{says: []error{cause}, done: make(chan struct{})}
		if err := l.Serve(echo); !errors.Is(err, cause) {
			t.Errorf("%v: Serve returned %v", cause, err)
		}
	}
}
