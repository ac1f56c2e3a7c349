package resp

import (
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
)

// Options configure a Server. Only Service is required; every other zero value means the
// default named at its field.
type Options struct {
	Listen  string                // address, default ":6379"
	Service Service               // required
	Metrics prometheus.Registerer // default none
	Logger  *slog.Logger          // default discards
	Version string                // of this program, shown by INFO

	AllowFlush    bool // FLUSHALL and FLUSHDB are taken; default they are refused
	MaxValueBytes int  // longest value and longest argument in bytes, default kv.DefaultMaxValueBytes

	MaxConns         int   // open connections, default 10000; further ones are told so and closed
	MaxOutputBytes   int   // answers that wait for one client to read them, default 64 MiB; then it is dropped
	MaxBufferedBytes int64 // received and unsent bytes of all connections beyond their small buffers, default 256 MiB

	RequestTimeout time.Duration // of the commands that arrived together, default 10 s
	IdleTimeout    time.Duration // between two commands of a connection, default 0: none
	ReadStall      time.Duration // a command that has begun must go on within this time, default 30 s
	WriteStall     time.Duration // a client must take some of its answers within this time, default 30 s
	ShutdownGrace  time.Duration // for commands under way when Run is told to end, default 10 s

	SlowAfter time.Duration // what takes as long is in SLOWLOG, default 10 ms
	SlowKept  int           // entries of SLOWLOG, default 128
}

// withDefaults returns the options with every unset field filled in.
func (o Options) withDefaults() Options {
	orDefault(&o.Listen, ":6379")
	orDefault(&o.Logger, slog.New(slog.DiscardHandler))
	orDefault(&o.Version, "development")
	orDefault(&o.MaxValueBytes, kv.DefaultMaxValueBytes)
	orDefault(&o.MaxConns, 10_000)
	orDefault(&o.MaxOutputBytes, 64<<20)
	orDefault(&o.MaxBufferedBytes, max(256<<20, 4*int64(o.MaxValueBytes)))
	orDefault(&o.RequestTimeout, 10*time.Second)
	orDefault(&o.ReadStall, 30*time.Second)
	orDefault(&o.WriteStall, 30*time.Second)
	orDefault(&o.ShutdownGrace, 10*time.Second)
	orDefault(&o.SlowAfter, 10*time.Millisecond)
	orDefault(&o.SlowKept, 128)
	return o
}

// validate reports every fault of filled-in options at once.
func (o Options) validate() error {
	var faults []error
	if o.Service == nil {
		faults = append(faults, errors.New("resp: Options.Service is required"))
	}
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"MaxValueBytes", o.MaxValueBytes > 0}, {"MaxConns", o.MaxConns > 0}, {"MaxOutputBytes", o.MaxOutputBytes > 0},
		{"MaxBufferedBytes", o.MaxBufferedBytes > 0}, {"RequestTimeout", o.RequestTimeout > 0},
		{"IdleTimeout", o.IdleTimeout >= 0}, {"ReadStall", o.ReadStall > 0}, {"WriteStall", o.WriteStall > 0},
		{"ShutdownGrace", o.ShutdownGrace > 0}, {"SlowAfter", o.SlowAfter > 0}, {"SlowKept", o.SlowKept > 0},
	} {
		if !f.ok {
			faults = append(faults, errors.New("resp: Options."+f.name+" must not be negative"))
		}
	}
	return errors.Join(faults...)
}

// maxCommandBytes is the longest command: several large values in one MSET.
func (o Options) maxCommandBytes() int { return 4*o.MaxValueBytes + 1<<20 }

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
