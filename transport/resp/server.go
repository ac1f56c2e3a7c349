package resp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Server is the Redis front door: New makes it, Listen binds its address, Run serves.
type Server struct {
	opt     Options
	service Service
	table   *table
	metrics *metrics
	slowLog slowLog
	buffers budget
	started time.Time

	pipelines  sync.Pool
	large      sync.Pool // *[]byte of largeInput bytes
	nextID     atomic.Int64
	closing    atomic.Bool
	processed  atomic.Int64    // commands
	partitions atomic.Int64    // of the cluster, once known
	base       context.Context // of all commands; set by Run

	mu       sync.Mutex
	listener net.Listener // set by Listen
	conns    map[*conn]struct{}

	serving sync.WaitGroup
}

// New makes a Server that is not yet bound to its address. It registers its metrics, so a
// registry serves one Server.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Server{opt: o, service: o.Service, started: time.Now(), conns: map[*conn]struct{}{}, base: context.Background()}
	s.table = newTable()
	s.buffers.limit = o.MaxBufferedBytes
	s.slowLog.kept = o.SlowKept
	s.pipelines.New = func() any { return &pipeline{} }
	s.large.New = func() any { return new(make([]byte, largeInput)) }
	s.metrics = newMetrics(s.table, s.clients, func() float64 { return float64(s.buffers.used.Load()) })
	if o.Metrics != nil {
		if err := s.metrics.register(o.Metrics); err != nil {
			return nil, fmt.Errorf("resp: register metrics: %w", err)
		}
	}
	return s, nil
}

// Listen binds the address, so that Addr is known and a taken port is reported before
// anything runs. Connections wait in the kernel until Run.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.opt.Listen)
	if err != nil {
		return fmt.Errorf("resp: listen on %s: %w", s.opt.Listen, err)
	}
	s.listener = l
	return nil
}

// Addr returns the bound address, or nil before Listen.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Run serves until ctx ends, then takes no new connection, lets commands under way finish
// for up to Options.ShutdownGrace, cuts the rest, and returns nil when every goroutine that
// it started is gone. It calls Listen when nobody did. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	// Commands outlive ctx by the grace period, so their context is not ctx's child.
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	s.base = base
	accepting := make(chan error, 1)
	go func() { accepting <- s.accept(base) }()
	var failed error
	select {
	case <-ctx.Done():
		_ = s.listener.Close()
		<-accepting
	case err := <-accepting:
		failed = fmt.Errorf("resp: serve %s: %w", s.opt.Listen, err)
		_ = s.listener.Close()
	}
	s.drain(cut)
	return failed
}

// drain ends connections that wait for a command at once, the others after their answers, and
// all after the grace period.
func (s *Server) drain(cut context.CancelFunc) {
	s.closing.Store(true)
	s.each(func(c *conn) { _ = c.net.SetReadDeadline(time.Unix(1, 0)) })
	gone := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(gone)
	}()
	timer := time.NewTimer(s.opt.ShutdownGrace)
	defer timer.Stop()
	select {
	case <-gone:
		return
	case <-timer.C:
	}
	s.opt.Logger.Warn("Redis clients were cut at shutdown", "grace", s.opt.ShutdownGrace, "clients", s.clients())
	cut()
	s.each(func(c *conn) { c.net.Close() })
	<-gone
}

func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}

func (s *Server) clients() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(len(s.conns))
}

// accept takes connections until the listener is closed.
func (s *Server) accept(ctx context.Context) error {
	pause := time.Duration(0)
	for {
		nc, err := s.listener.Accept()
		if err == nil {
			pause = 0
			s.admit(nc)
			continue
		}
		if temporary, ok := err.(interface{ Temporary() bool }); !ok || !temporary.Temporary() || errors.Is(err, net.ErrClosed) {
			return err
		}
		// Out of file descriptors, say: some will be free soon.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.opt.Logger.Warn("Redis connection not accepted", "error", err, "pause", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// admit starts a connection, or tells it that there are too many, as Redis does.
func (s *Server) admit(nc net.Conn) {
	c := &conn{server: s, net: nc, id: s.nextID.Add(1), since: time.Now(), protocol: 2}
	c.small = make([]byte, smallInput)
	c.in = newInput(c.small, s.opt.MaxValueBytes, s.opt.maxCommandBytes())
	c.sender = sender{net: nc, stall: s.opt.WriteStall, max: s.opt.MaxOutputBytes, buffers: &s.buffers}
	s.mu.Lock()
	full := len(s.conns) >= s.opt.MaxConns
	if !full {
		s.conns[c] = struct{}{}
		s.serving.Add(1)
	}
	s.mu.Unlock()
	if full {
		s.metrics.rejected.Inc()
		_ = nc.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, _ = nc.Write([]byte("-" + errClients + "\r\n"))
		nc.Close()
		return
	}
	s.metrics.accepted.Inc()
	go func() {
		defer s.serving.Done()
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

// largeBuffer returns a buffer of at least largeInput bytes.
func (s *Server) largeBuffer(size int) []byte {
	if size > largeInput {
		return make([]byte, size)
	}
	return *s.large.Get().(*[]byte)
}

func (s *Server) giveLargeBuffer(b []byte) {
	if len(b) == largeInput {
		s.large.Put(&b)
	}
}
