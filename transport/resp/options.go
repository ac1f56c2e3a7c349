package resp

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pxkv/node/kv"
	"pxkv/transport/socket"
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

	MaxConns       int // open connections, default 10000; further ones are told so and closed
	MaxOutputBytes int // answers that wait for one client to read them, default 64 MiB; then it is dropped

	// Budget is what commands and answers are counted in while they are held, beyond the small
	// buffers of connections. It must have room for one command. Default one of 256 MiB, or eight
	// of the largest values.
	Budget *kv.Budget

	RequestTimeout time.Duration // of the commands that arrived together, default 10 s
	IdleTimeout    time.Duration // between two commands of a connection, default 0: none
	ReadStall      time.Duration // a command that has begun must go on within this time, default 30 s
	WriteStall     time.Duration // a client must take some of its answers within this time, default 30 s
	Farewell       time.Duration // for clients to go when Run is told to end, default socket.FarewellTime
	ShutdownGrace  time.Duration // for commands under way after that, default 10 s

	Limits Limits // at which work is cut into pieces

	SlowAfter time.Duration // what takes as long is in SLOWLOG, default 10 ms
	SlowKept  int           // entries of SLOWLOG, default 128
}

// withDefaults returns the options with every unset field filled in.
func (o Options) withDefaults() Options {
	o.Listen = cmp.Or(o.Listen, ":6379")
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Version = cmp.Or(o.Version, "development")
	o.MaxValueBytes = cmp.Or(o.MaxValueBytes, kv.DefaultMaxValueBytes)
	o.MaxConns = cmp.Or(o.MaxConns, 10_000)
	o.MaxOutputBytes = cmp.Or(o.MaxOutputBytes, 64<<20)
	if o.Budget == nil {
		o.Budget = kv.NewBudget(max(256<<20, 8*int64(o.MaxValueBytes)))
	}
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 10*time.Second)
	o.ReadStall = cmp.Or(o.ReadStall, 30*time.Second)
	o.WriteStall = cmp.Or(o.WriteStall, 30*time.Second)
	o.Farewell = cmp.Or(o.Farewell, socket.FarewellTime)
	o.ShutdownGrace = cmp.Or(o.ShutdownGrace, 10*time.Second)
	o.SlowAfter = cmp.Or(o.SlowAfter, 10*time.Millisecond)
	o.SlowKept = cmp.Or(o.SlowKept, 128)
	o.Limits = o.Limits.withDefaults()
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
		{"Budget", o.Budget.Limit() > 0}, {"RequestTimeout", o.RequestTimeout > 0},
		{"IdleTimeout", o.IdleTimeout >= 0}, {"ReadStall", o.ReadStall > 0}, {"WriteStall", o.WriteStall > 0},
		{"Farewell", o.Farewell > 0}, {"ShutdownGrace", o.ShutdownGrace > 0},
		{"SlowAfter", o.SlowAfter > 0}, {"SlowKept", o.SlowKept > 0},
	} {
		if !f.ok {
			faults = append(faults, errors.New("resp: Options."+f.name+" must not be negative"))
		}
	}
	return errors.Join(append(faults, o.Limits.validate())...)
}

// maxCommandBytes is the longest command: several large values in one MSET.
func (o Options) maxCommandBytes() int { return 4*o.MaxValueBytes + 1<<20 }
