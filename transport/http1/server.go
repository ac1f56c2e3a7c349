package http1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves HTTP/1.1: New makes it, Listen binds its address, Run serves.
type Server struct {
	opt     Options
	metrics *metrics

	listener *listener
	rest     rest
}

// New makes a Server that is not yet bound to its address. It registers its metrics, so a
// Registry serves one Server.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Server{opt: o}
	s.metrics = newMetrics(func() float64 { return float64(s.listener.Open()) })
	s.listener = newListener(o, s.metrics)
	if err := s.metrics.register(o.Registry); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return s, nil
}

// Listen binds the address, so that Addr is known and a taken port is reported before
// anything runs. Connections wait in the kernel until Run.
func (s *Server) Listen() error {
	if err := s.listener.Listen(); err != nil {
		return fmt.Errorf("listen on %s: %w", s.opt.Listen, err)
	}
	return nil
}

// Addr returns the bound address, or nil before Listen.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Leave makes each answer from now on the last one of its connection, and say so ("Connection: close"), so that clients
// go elsewhere one by one. New connections are still taken. Run does so when it is told to end.
func (s *Server) Leave() { s.listener.leaving.Store(true) }

// Run serves until ctx ends. Then it takes leave: for up to Limits.Farewell whoever is there, or comes, is answered for
// the last time, and who asks nothing is waited for. After that it takes no new connection, lets requests under way
// finish for up to Limits.ShutdownGrace, cuts the rest, and returns nil when every goroutine that
// it started is gone. It calls Listen when nobody did. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	// Requests outlive ctx by the grace period, so their context is not ctx's child.
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	srv := &http.Server{
		Handler:                      http.HandlerFunc(s.serveRest),
		ReadHeaderTimeout:            s.opt.Limits.ReadHeaderTimeout,
		IdleTimeout:                  s.opt.Limits.IdleTimeout,
		MaxHeaderBytes:               s.opt.Limits.MaxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(s.opt.Logger.Handler(), slog.LevelDebug),
		BaseContext:                  func(net.Listener) context.Context { return base },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		},
		ConnState: func(c net.Conn, state http.ConnState) { s.rest.follow(c.(*conn), state) },
	}
	handover := newHandover(s.listener.Addr())
	front := newPlainServer(base, s, handover)
	accepting, served := make(chan error, 1), make(chan struct{})
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cut()
	watching.Go(func() { front.watch(base) })
	go func() { accepting <- s.listener.Serve(front.serve) }()
	go func() {
		defer close(served)
		_ = srv.Serve(handover) // until that is closed
	}()

	var failed error
	select {
	case <-ctx.Done():
		s.drain(ctx, handover, served, cut)
		_ = <-accepting
	case err := <-accepting:
		failed = fmt.Errorf("serve %s: %w", s.opt.Listen, err)
		_ = s.listener.Close()
		cut()
		s.listener.Cut()
	}
	_ = srv.Close() // cuts what is left
	<-served
	_ = s.listener.Wait(context.Background())
	_ = s.rest.wait(context.Background())
	return failed
}

// drain ends the server within the grace period. It does not ask net/http to (http.Server.Shutdown): that would close
// connections whose request it is just reading.
func (s *Server) drain(ctx context.Context, handover *handover, served <-chan struct{}, cut context.CancelFunc) {
	s.Leave()
	// Who is the last to connect has a quarter of the time to ask something.
	whole := s.opt.Limits.Farewell
	s.listener.Farewell(whole-whole/4, whole/4)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.Limits.ShutdownGrace)
	defer cancel()
	if err := s.listener.Close(); err != nil {
		s.opt.Logger.Debug("close of the HTTP listener", "error", err)
	}
	s.listener.Wake() // who waits for a request ends now, the others after their answer
	err := s.listener.Wait(grace)
	_ = handover.Close()
	<-served // net/http has all that were handed on
	s.rest.wake()
	if err = errors.Join(err, s.rest.wait(grace)); err != nil {
		s.opt.Logger.Warn("HTTP requests were cut at shutdown",
			"grace", s.opt.Limits.ShutdownGrace, "connections", s.listener.Open())
		cut()
		s.listener.Cut()
	}
}

// serveRest answers a request that net/http read.
func (s *Server) serveRest(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*conn)
	c.answering = true
	c.unread.Store(r.ContentLength != 0)
	if r.ContentLength != 0 {
		limits := &s.opt.Limits
		b := &pacedBody{
			ReadCloser: r.Body, conn: c, began: time.Now(), grace: limits.BodyGrace, rate: limits.MinBodyRate,
		}
		b.limit() // for bodies that nobody reads, too: net/http drains those on its own
		// In a copy: by the kind of its own request's Body net/http decides what it does with the rest of it.
		paced := *r
		paced.Body = b
		r = &paced
	}
	rest := &restWriter{ResponseWriter: w, conn: c}
	s.opt.Handler.ServeHTTP(rest, r)
	rest.decide()
}

// restWriter is the http.ResponseWriter of a request that net/http read.
type restWriter struct {
	http.ResponseWriter
	conn   *conn
	headed bool // the header is decided
}

// WriteHeader implements http.ResponseWriter.
func (w *restWriter) WriteHeader(status int) {
	if !w.headed && status >= http.StatusOK {
		w.headed = true
		if w.conn.owner.leaving.Load() {
			w.Header()["Connection"] = closeAfter
			w.conn.unread.Store(true) // the client may have sent the next request already
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *restWriter) Write(p []byte) (int, error) {
	w.decide()
	return w.ResponseWriter.Write(p)
}

// decide decides the header if nobody did.
func (w *restWriter) decide() {
	if !w.headed {
		w.WriteHeader(http.StatusOK)
	}
}

// Unwrap is for http.ResponseController.
func (w *restWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
