package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pxkv/node/match"
	"pxkv/transport/http1"
)

// Server serves clients by HTTP: New makes it, Listen binds its address, Run serves.
type Server struct {
	opt     Options
	service Service
	log     *slog.Logger
	metrics *metrics
	fixed   map[string]*route // routes whose path has no variable part
	gather  http.Handler
	conns   *http1.Server
	filters *match.Cache // of lists, whose pages a client asks for one after the other
	leaving atomic.Bool
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
		metrics: newMetrics(),
		filters: match.NewCache(),
		fixed:   fixedRoutes(o.Debug),
		gather:  promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{DisableCompression: true}),
	}
	if err := s.metrics.register(o.Registry); err != nil {
		return nil, fmt.Errorf("httpapi: register metrics: %w", err)
	}
	var err error
	s.conns, err = http1.New(http1.Options{
		Listen: o.Listen, Handler: s.Handler(), Plain: plain, Refusal: refusalOfHTTP,
		Registry: o.Registry, Panics: s.metrics.panics, Logger: o.Logger, Limits: o.Limits,
	})
	if err != nil {
		return nil, fmt.Errorf("httpapi: %w", err)
	}
	return s, nil
}

// plain are requests that name one key. Lists and everything else that may take long, or write
// much, is not plain.
var plain = http1.Plain{
	Begins: []string{"GET /kv", "PUT /kv", "HEAD /kv", "DELETE /kv", "POST /kv/"},
	Fits: func(method, path, query string) bool {
		switch {
		case path != "/kv":
			return strings.HasPrefix(path, "/kv/") && len(path) > len("/kv/")
		case method == http.MethodGet:
			return strings.HasPrefix(query, "key=")
		}
		return method == http.MethodPut || method == http.MethodDelete
	},
}

// Listen binds the address, so that Addr is known and a taken port is reported before
// anything runs. Connections wait in the kernel until Run.
func (s *Server) Listen() error {
	if err := s.conns.Listen(); err != nil {
		return fmt.Errorf("httpapi: %w", err)
	}
	return nil
}

// Addr returns the bound address, or nil before Listen.
func (s *Server) Addr() net.Addr { return s.conns.Addr() }

// Handler returns the routes without the limits on connections and slow clients; for tests.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Leave makes each answer from now on the last one of its connection, and /readyz say no, so that clients and load
// balancers go elsewhere. Everything else is answered as ever, and new connections are taken.
func (s *Server) Leave() {
	s.leaving.Store(true)
	s.conns.Leave()
}

// Run serves until ctx ends. Then it takes leave, if Leave was not called, gives clients Limits.Farewell to go, takes
// no new connection, lets requests under way finish for up to Limits.ShutdownGrace, cuts the rest, and returns nil when
// every goroutine that it started is gone. It calls Listen when nobody did. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.conns.Run(ctx); err != nil {
		return fmt.Errorf("httpapi: %w", err)
	}
	return nil
}
