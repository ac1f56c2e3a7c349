package httpapi

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
	"pxkv/transport/http1"
)

// Service is what this package needs of a node. Its methods are called concurrently.
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
	// ClusterHealth and PartitionsHealth ask the leaders of all partitions, which takes up to two seconds.
	ClusterHealth(ctx context.Context) kv.ClusterView
	PartitionsHealth(ctx context.Context) []kv.PartitionView
	// SafeToStop does too. An error is a *kv.Error.
	SafeToStop(ctx context.Context, name string) (kv.SafeView, error)
	Owner(key []byte) kv.OwnerView
	Members
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
	// Encryption of the data directory; nil when there is none.
	Encryption Encryption

	MaxValueBytes int // longest value in bytes, default kv.DefaultMaxValueBytes

	// Budget is what request bodies, values and list pages are counted in while they are held. It
	// must have room for one body. Default one of 256 MiB, or four bodies.
	Budget *kv.Budget

	RequestTimeout time.Duration // for requests without timeout=, default 10 s
	Limits         http1.Limits  // on connections and on how fast clients must be
}

// maxTimeout is the largest timeout= that a request may ask for.
const maxTimeout = 60 * time.Second

// withDefaults returns the options with every unset field filled in.
func (o Options) withDefaults() Options {
	o.Listen = cmp.Or(o.Listen, ":8080")
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.MaxValueBytes = cmp.Or(o.MaxValueBytes, kv.DefaultMaxValueBytes)
	if o.Budget == nil {
		o.Budget = kv.NewBudget(max(256<<20, 4*int64(o.jsonBodyLimit())))
	}
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 10*time.Second)
	o.Registry = cmp.Or(o.Registry, prometheus.NewRegistry())
	return o
}

// validate reports every fault of filled-in options at once.
func (o Options) validate() error {
	faults := []error{o.Limits.Validate()}
	if o.Service == nil {
		faults = append(faults, errors.New("httpapi: Options.Service is required"))
	}
	if o.RequestTimeout > maxTimeout {
		faults = append(faults, errors.New("httpapi: Options.RequestTimeout must be at most 60s"))
	}
	if o.Budget.Limit() < int64(o.jsonBodyLimit()) {
		faults = append(faults,
			errors.New("httpapi: Options.Budget must hold one body: twice MaxValueBytes and 64 KiB"))
	}
	if o.MaxValueBytes < 0 {
		faults = append(faults, errors.New("httpapi: Options.MaxValueBytes must not be negative"))
	}
	if o.RequestTimeout < 0 {
		faults = append(faults, errors.New("httpapi: Options.RequestTimeout must not be negative"))
	}
	return errors.Join(faults...)
}

// jsonBodyLimit is the longest JSON body in bytes: a value may grow when it is written as
// JSON (quotes and line breaks double, base64 adds a third). A value that grows to more
// than twice its size must be written raw.
func (o Options) jsonBodyLimit() int { return 2*o.MaxValueBytes + 64<<10 }
