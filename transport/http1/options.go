package http1

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/transport/socket"
)

// Options configure a Server. Listen and Handler are required; every other zero value means the default
// named at its field.
type Options struct {
	Listen   string                // address
	Handler  http.Handler          // answers requests
	Plain    Plain                 // which requests need no net/http; default none
	Refusal  Refusal               // default the text as it is
	Registry prometheus.Registerer // takes this package's metrics; default a fresh one
	Panics   prometheus.Counter    // mistakes that ended a connection; default one that nobody sees
	Logger   *slog.Logger          // default discards
	Limits   Limits
}

// Plain says which requests may be answered on the only goroutine of their connection: those that are
// answered soon, and with little.
type Plain struct {
	// Begins is how their request lines begin. For the end of any other nobody waits.
	Begins []string
	// Fits looks at a whole request line. The path is as it was sent.
	Fits func(method, path, query string) bool
}

// Limits bound what clients can take.
type Limits struct {
	MaxConns       int // open connections, default 10000; further ones get 503 and are closed
	MaxHeaderBytes int // request line and headers in bytes, default 64 KiB

	ReadHeaderTimeout time.Duration // from a request's first byte to the end of its headers, default 10 s
	BodyGrace         time.Duration // a body may lag so long behind MinBodyRate, default 10 s
	MinBodyRate       int           // bytes per second a body must average after BodyGrace, default 16 KiB
	WriteStall        time.Duration // a client that takes less than 32 KiB in this time is dropped, default 30 s
	IdleTimeout       time.Duration // between requests of a connection, default 120 s
	Farewell          time.Duration // for clients to go when Run is told to end, default socket.FarewellTime
	ShutdownGrace     time.Duration // for requests under way after that, default 10 s
}

// withDefaults returns the options with every unset field filled in.
func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Refusal == nil {
		o.Refusal = plainText
	}
	o.Registry = cmp.Or[prometheus.Registerer](o.Registry, prometheus.NewRegistry())
	o.Panics = cmp.Or(o.Panics, prometheus.NewCounter(prometheus.CounterOpts{Name: "panics"}))
	o.Limits = o.Limits.withDefaults()
	return o
}

// validate reports every fault of filled-in options at once.
func (o Options) validate() error {
	faults := []error{o.Limits.Validate()}
	if o.Handler == nil {
		faults = append(faults, errors.New("http1: Options.Handler is required"))
	}
	return errors.Join(faults...)
}

func (l Limits) withDefaults() Limits {
	l.MaxConns = cmp.Or(l.MaxConns, 10_000)
	l.MaxHeaderBytes = cmp.Or(l.MaxHeaderBytes, 64<<10)
	l.ReadHeaderTimeout = cmp.Or(l.ReadHeaderTimeout, 10*time.Second)
	l.BodyGrace = cmp.Or(l.BodyGrace, 10*time.Second)
	l.MinBodyRate = cmp.Or(l.MinBodyRate, 16<<10)
	l.WriteStall = cmp.Or(l.WriteStall, 30*time.Second)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, 120*time.Second)
	l.Farewell = cmp.Or(l.Farewell, socket.FarewellTime)
	l.ShutdownGrace = cmp.Or(l.ShutdownGrace, 10*time.Second)
	return l
}

// Validate reports every limit that cannot be one.
func (l Limits) Validate() error {
	var faults []error
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"MaxConns", l.MaxConns >= 0}, {"MaxHeaderBytes", l.MaxHeaderBytes >= 0}, {"MinBodyRate", l.MinBodyRate >= 0},
		{"ReadHeaderTimeout", l.ReadHeaderTimeout >= 0}, {"BodyGrace", l.BodyGrace >= 0},
		{"WriteStall", l.WriteStall >= 0},
		{"IdleTimeout", l.IdleTimeout >= 0}, {"Farewell", l.Farewell >= 0},
		{"ShutdownGrace", l.ShutdownGrace >= 0},
	} {
		if !f.ok {
			faults = append(faults, errors.New("http1: Limits."+f.name+" must not be negative"))
		}
	}
	return errors.Join(faults...)
}
