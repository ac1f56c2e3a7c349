package resp

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/socket"
)

// Server serves Redis clients: New makes it, Listen binds its address, Run serves.
type Server struct {
	opt     Options
	service Service
	table   *table
	metrics *metrics
	slowLog slowLog
	scripts scripts
	keys    keyCount
	started time.Time

	pipelines  sync.Pool
	large      sync.Pool // *[]byte of Limits.LargeInput bytes
	nextID     atomic.Int64
	processed  atomic.Int64    // commands
	warned     atomic.Int64    // when the log last spoke of a client that speaks HTTP, Unix nanoseconds
	partitions atomic.Int64    // of the cluster, once known
	base       context.Context // of all commands; set by Run
	leaving    atomic.Bool     // commands are refused

	listener *socket.Listener
}

// New makes a Server that is not yet bound to its address. It registers its metrics, so a
// registry serves one Server.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Server{opt: o, service: o.Service, started: time.Now(), base: context.Background()}
	s.table = newTable()
	s.slowLog.after, s.slowLog.kept = o.SlowAfter, o.SlowKept
	s.pipelines.New = func() any {
		p := &pipeline{server: s}
		p.running.Open(o.Budget, kv.OfClients)
		return p
	}
	s.large.New = func() any { return new(make([]byte, o.Limits.LargeInput)) }
	s.metrics = newMetrics(s.table, func() float64 { return float64(s.listener.Open()) })
	s.listener = socket.New(socket.Options{
		Address: o.Listen, MaxUnsent: socket.UnsentOfClients, MaxConns: o.MaxConns,
		Refusal: errClients.append(nil), Refused: s.metrics.rejected.Inc,
		Paused: func(err error, pause time.Duration) {
			o.Logger.Warn("Redis connection not accepted", "error", err, "pause", pause)
		},
	})
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
	if err := s.listener.Listen(); err != nil {
		return fmt.Errorf("resp: listen on %s: %w", s.opt.Listen, err)
	}
	return nil
}

// Addr returns the bound address, or nil before Listen.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends. Then it takes leave: it takes no new connection, refuses each command that is still to
// be carried out, closes connections behind that answer, and those that ask nothing after Options.Farewell.
// It lets commands under way finish for up to Options.ShutdownGrace after that, cuts the rest, and returns nil when
// every goroutine that it started is gone. It calls Listen when nobody did. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	// Commands outlive ctx by the grace period, so their context is not ctx's child.
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	s.base = base
	accepting := make(chan error, 1)
	go func() { accepting <- s.listener.Serve(s.serve) }()
	var failed error
	select {
	case <-ctx.Done():
		s.leaving.Store(true)
		s.listener.Farewell(0, s.opt.Farewell)
		_ = s.listener.Close()
		_ = <-accepting
	case err := <-accepting:
		failed = fmt.Errorf("resp: serve %s: %w", s.opt.Listen, err)
		_ = s.listener.Close()
	}
	s.drain(cut)
	return failed
}

// drain ends connections that wait for a command, the others after their answers, and
// all after the grace period.
func (s *Server) drain(cut context.CancelFunc) {
	s.listener.Wake()
	grace, cancel := context.WithTimeout(context.Background(), s.opt.ShutdownGrace)
	defer cancel()
	if s.listener.Wait(grace) == nil {
		return
	}
	s.opt.Logger.Warn("Redis clients were cut at shutdown", "grace", s.opt.ShutdownGrace, "clients", s.listener.Open())
	cut()
	s.listener.Cut()
	_ = s.listener.Wait(context.Background())
}

// serve answers a client until its connection ends.
func (s *Server) serve(nc net.Conn) (handedOn bool) {
	s.metrics.accepted.Inc()
	c := newConn(s, nc)
	defer c.survive()
	c.serve()
	return false
}

// survive keeps a mistake behind one client's connection from ending the node, which serves others
// and holds data: the connection is closed, and what became of its commands nobody knows. The
// core behind the Service has no such net: there a broken invariant ends the process.
func (c *conn) survive() {
	r := recover()
	if r == nil {
		return
	}
	s := c.server
	s.metrics.panics.Inc()
	s.opt.Logger.Error("a mistake in the Redis server: the connection is closed, the node goes on",
		"client", c.session.address(), "panic", r, "stack", string(debug.Stack()))
	if h := &c.handler; h.pipeline != nil {
		h.running.GiveAll() // the pipeline itself is not used again
		h.pipeline = nil
	}
	c.net.Close()
}

// largeBuffer returns a buffer of at least Limits.LargeInput bytes.
func (s *Server) largeBuffer(size int) []byte {
	if size > s.opt.Limits.LargeInput {
		return make([]byte, size)
	}
	return *s.large.Get().(*[]byte)
}

func (s *Server) giveLargeBuffer(b []byte) {
	if len(b) == s.opt.Limits.LargeInput {
		s.large.Put(&b)
	}
}
