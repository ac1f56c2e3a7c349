package socket

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Listener takes connections at an address. Its methods may be used from any goroutine.
type Listener struct {
	opt      Options
	refusing chan struct{} // one token for each connection that is being refused
	stopped  chan struct{} // is closed by StopAccepting, and by Close
	ended    chan struct{} // is closed when Serve has returned
	closed   chan struct{} // is closed by Close
	closing  atomic.Bool   // set under mu
	places   atomic.Int64  // that are taken

	mu       sync.Mutex
	listener net.Listener      // set by Listen
	stopping bool              // stopped is closed
	served   map[net.Conn]bool // whether they were there when Farewell began
	former   int               // that were
	serving  sync.WaitGroup    // servings and refusals; added to under mu, and not once closing is set
}

// New makes a Listener that is not yet bound to its address.
func New(o Options) *Listener {
	if o.Refused == nil {
		o.Refused = func() {}
	}
	if o.Paused == nil {
		o.Paused = func(error, time.Duration) {}
	}
	return &Listener{
		opt: o, refusing: make(chan struct{}, maxRefusing), stopped: make(chan struct{}), ended: make(chan struct{}),
		closed: make(chan struct{}), served: map[net.Conn]bool{},
	}
}

// Listen binds the address, if that was not done. Connections wait in the kernel until Serve.
func (l *Listener) Listen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		return nil
	}
	bound, err := l.opt.bind()
	if err != nil {
		return err
	}
	l.listener = bound
	return nil
}

// Addr returns the bound address, or nil before Listen.
func (l *Listener) Addr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener == nil {
		return nil
	}
	return l.listener.Addr()
}

// Open is how many connections have a place.
func (l *Listener) Open() int { return int(l.places.Load()) }

// Leave gives back the place of a connection that was handed on.
func (l *Listener) Leave() { l.places.Add(-1) }

// Closing reports whether Close was called.
func (l *Listener) Closing() bool { return l.closing.Load() }

// Serve takes connections, and has serve called with each on a goroutine of its own. It returns nil after
// StopAccepting or Close, or an error that will not pass. What serve returns says whether the connection was handed
// on: if so, it keeps its place until Leave is called; else it is ended. It is not closed here. It runs once.
func (l *Listener) Serve(serve func(net.Conn) (handedOn bool)) error {
	defer close(l.ended)
	pause := time.Duration(0)
	for {
		c, err := l.listener.Accept()
		switch {
		case err == nil:
			pause = 0
			if !l.admit(c, serve) {
				l.opt.Refused()
			}
			continue
		case l.Closing():
			return nil
		case l.isStopped():
			l.takeRest(serve)
			return nil
		case !passes(err):
			return err
		}
		pause = min(max(2*pause, shortestPause), longestPause)
		l.opt.Paused(err, pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-l.stopped:
			timer.Stop()
		}
	}
}

// admit has a connection served, unless it comes too late. It reports false for one that it refused.
func (l *Listener) admit(c net.Conn, serve func(net.Conn) (handedOn bool)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing.Load() {
		c.Close()
		return true
	}
	if n := l.places.Add(1); l.opt.MaxConns > 0 && n > int64(l.opt.MaxConns) {
		l.places.Add(-1)
		l.refuse(c)
		return false
	}
	l.served[c] = false
	l.serving.Go(func() {
		handedOn := false
		defer func() { // whatever becomes of serve
			l.mu.Lock()
			if l.served[c] {
				l.former--
			}
			delete(l.served, c)
			l.mu.Unlock()
			if !handedOn {
				l.Leave()
			}
		}()
		handedOn = serve(c)
	})
	return true
}

// Close ends Serve. Connections that are being served are left alone.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closing.Swap(true) { // before anybody can see that the address is free
		close(l.closed)
	}
	if !l.stopping {
		l.stopping = true
		close(l.stopped)
	}
	if l.listener == nil {
		return nil
	}
	if err := l.listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Wake ends the reads of all connections that are being served.
func (l *Listener) Wake() { l.each(func(c net.Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }) }

// Cut closes all connections that are being served.
func (l *Listener) Cut() { l.each(func(c net.Conn) { c.Close() }) }

func (l *Listener) each(f func(net.Conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.served {
		f(c)
	}
}

// Wait returns nil when Close was called and no connection is being served or refused any more, or an error
// when ctx ends before.
func (l *Listener) Wait(ctx context.Context) error {
	gone := make(chan struct{})
	go func() {
		<-l.closed
		l.serving.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
