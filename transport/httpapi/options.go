package httpapi

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
)

// Service is what the front door needs of a node. Its methods are called concurrently.
type Service interface {
	// Write carries out a command and answers when its outcome is known. It may keep the
	// command's bytes. An error is a *kv.Error, or is taken for an unknown outcome.
	Write(ctx context.Context, cmd *kv.Command) (kv.Result, error)
	// Batch carries out many operations, reads as kv.OpRead, and answers each of them, in order. It
	// does not use the commands or their bytes after it returned.
	Batch(ctx context.Context, cmds []kv.Command) []kv.Answer
	// Read reads one key. The item's bytes must stay unchanged after the call.
	Read(ctx context.Context, key []byte, opt kv.ReadOptions) (kv.ReadResult, error)
	// List yields items in byte order of their keys over the whole cluster. It stops at
	// q.Limit or when the consumer breaks; it yields an error once, as its last pair. An
	// item's bytes need to live only until the next one is asked for.
	List(ctx context.Context, q kv.ListQuery) iter.Seq2[kv.Item, error]
	Cluster() kv.ClusterView
	Partitions() []kv.PartitionView
	Owner(key []byte) kv.OwnerView
	// Ready returns nil, or an error that says what is missing.
	Ready() error
}

// Options configure a Server. Only Service is required; every other zero value means the
// default named at its field.
type Options struct {
	Listen   string               // address, default ":8080"
	Service  Service              // required
	Registry *prometheus.Registry // shown at /metrics, takes this package's metrics; default a fresh one
	Logger   *slog.Logger         // default discards
	Debug    bool                 // serve /debug/pprof/

	MaxValueBytes    int   // longest value in bytes, default kv.DefaultMaxValueBytes
	MaxConns         int   // open connections, default 10000; further ones get 503 and are closed
	MaxHeaderBytes   int   // request line and headers in bytes, default 64 KiB
	MaxBufferedBytes int64 // request bodies and list pages held at one time, default 256 MiB

	RequestTimeout    time.Duration // for requests without timeout=, default 10 s
	ReadHeaderTimeout time.Duration // from a request's first byte to the end of its headers, default 10 s
	BodyGrace         time.Duration // a body may lag so long behind MinBodyRate, default 10 s
	MinBodyRate       int           // bytes per second a body must average after BodyGrace, default 16 KiB
	WriteStall        time.Duration // a client that takes less than 32 KiB of its answer in this time is dropped, default 30 s
	IdleTimeout       time.Duration // between requests of a connection, default 120 s
	ShutdownGrace     time.Duration // for requests under way when Run is told to end, default 10 s
}

// maxTimeout is the largest timeout= that a request may ask for.
const maxTimeout = 60 * time.Second

// withDefaults returns the options with every unset field filled in.
func (o Options) withDefaults() Options {
	orDefault(&o.Listen, ":8080")
	orDefault(&o.Logger, slog.New(slog.DiscardHandler))
	orDefault(&o.MaxValueBytes, kv.DefaultMaxValueBytes)
	orDefault(&o.MaxConns, 10_000)
	orDefault(&o.MaxHeaderBytes, 64<<10)
	orDefault(&o.MaxBufferedBytes, max(256<<20, 2*int64(o.jsonBodyLimit())))
	orDefault(&o.RequestTimeout, 10*time.Second)
	orDefault(&o.ReadHeaderTimeout, 10*time.Second)
	orDefault(&o.BodyGrace, 10*time.Second)
	orDefault(&o.MinBodyRate, 16<<10)
	orDefault(&o.WriteStall, 30*time.Second)
	orDefault(&o.IdleTimeout, 120*time.Second)
	orDefault(&o.ShutdownGrace, 10*time.Second)
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	return o
}

// validate reports every fault of filled-in options at once.
func (o Options) validate() error {
	var faults []error
	if o.Service == nil {
		faults = append(faults, errors.New("httpapi: Options.Service is required"))
	}
	if o.RequestTimeout > maxTimeout {
		faults = append(faults, errors.New("httpapi: Options.RequestTimeout must be at most 60s"))
	}
	if o.MaxBufferedBytes < int64(o.jsonBodyLimit()) {
		faults = append(faults, errors.New("httpapi: Options.MaxBufferedBytes must hold one body: twice MaxValueBytes and 64 KiB"))
	}
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"MaxValueBytes", o.MaxValueBytes > 0}, {"MaxConns", o.MaxConns > 0},
		{"MaxHeaderBytes", o.MaxHeaderBytes > 0}, {"MinBodyRate", o.MinBodyRate > 0},
		{"RequestTimeout", o.RequestTimeout > 0}, {"ReadHeaderTimeout", o.ReadHeaderTimeout > 0},
		{"BodyGrace", o.BodyGrace > 0}, {"WriteStall", o.WriteStall > 0},
		{"IdleTimeout", o.IdleTimeout > 0}, {"ShutdownGrace", o.ShutdownGrace > 0},
	} {
		if !f.ok {
			faults = append(faults, errors.New("httpapi: Options."+f.name+" must not be negative"))
		}
	}
	return errors.Join(faults...)
}

// jsonBodyLimit is the longest JSON body in bytes: a value may grow when it is written as
// JSON (quotes and line breaks double, base64 adds a third). A value that grows to more
// than twice its size must be written raw.
func (o Options) jsonBodyLimit() int { return 2*o.MaxValueBytes + 64<<10 }

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
