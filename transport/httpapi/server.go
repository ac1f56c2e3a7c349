package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server is the HTTP front door: New makes it, Listen binds its address, Run serves.
type Server struct {
	opt     Options
	service Service
	log     *slog.Logger
	metrics *metrics
	buffers budget
	fixed   map[string]*route // routes whose path has no variable part
	gather  http.Handler

	mu       sync.Mutex
	listener *listener // set by Listen
}

// New makes a Server that is not yet bound to its address. It registers its metrics, so a
// Registry serves one Server.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		opt:     o,
		service: o.Service,
		log:     o.Logger,
		fixed:   fixedRoutes(o.Debug),
		gather:  promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{DisableCompression: true}),
	}
	s.buffers.limit = o.MaxBufferedBytes
	s.metrics = newMetrics(s.openConns)
	if err := s.metrics.register(o.Registry); err != nil {
		return nil, fmt.Errorf("httpapi: register metrics: %w", err)
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
		return fmt.Errorf("httpapi: listen on %s: %w", s.opt.Listen, err)
	}
	s.listener = newListener(l, s.opt, s.metrics)
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

// Handler returns the routes without the listener's limits on connections and slow
// readers; for tests.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Run serves until ctx ends, then takes no new connection, lets requests under way finish
// for up to Options.ShutdownGrace, cuts the rest, and returns nil when every goroutine that
// it started is gone. It calls Listen when nobody did. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	// Requests outlive ctx by the grace period, so their context is not ctx's child.
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	var conns sync.WaitGroup
	srv := &http.Server{
		Handler:                      s.Handler(),
		ReadHeaderTimeout:            s.opt.ReadHeaderTimeout,
		IdleTimeout:                  s.opt.IdleTimeout,
		MaxHeaderBytes:               s.opt.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:                  func(net.Listener) context.Context { return base },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		// http.Server.Close does not wait for handlers; StateNew and StateClosed enclose them.
		ConnState: func(c net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				conns.Add(1)
			case http.StateIdle: // the last answer has left
				c.(*conn).answering = false
			case http.StateClosed, http.StateHijacked:
				conns.Done()
			}
		},
	}
	rest := newHandover(s.listener.Addr())
	front := newDoor(base, s, rest)
	accepting, serving := make(chan error, 1), make(chan error, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cut()
	watching.Go(func() { front.watch(base) })
	go func() { accepting <- front.accept(s.listener) }()
	go func() { serving <- srv.Serve(rest) }()

	var failed error
	select {
	case <-ctx.Done():
		s.drain(ctx, front, srv, cut)
		<-accepting
	case err := <-accepting:
		failed = fmt.Errorf("httpapi: serve %s: %w", s.opt.Listen, err)
		cut()
		front.cut()
		srv.Close()
	}
	<-serving
	front.conns.Wait()
	conns.Wait()
	s.listener.wait()
	return failed
}

// drain ends the server within the grace period.
func (s *Server) drain(ctx context.Context, front *door, srv *http.Server, cut context.CancelFunc) {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.ShutdownGrace)
	defer cancel()
	front.closing.Store(true) // before anybody can see that the listener is closed: each answer says so
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Debug("close of the HTTP listener", "error", err)
	}
	front.stop()
	if err := errors.Join(front.wait(grace), srv.Shutdown(grace)); err != nil {
		s.log.Warn("HTTP requests were cut at shutdown", "grace", s.opt.ShutdownGrace, "connections", s.openConns())
		cut()
		front.cut()
		srv.Close()
	}
}

func (s *Server) openConns() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return 0
	}
	return float64(s.listener.open.Load())
}
