package persist

import (
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"pxkv/persist/crypt"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
)

// Options of Open. Only Dir is required.
type Options struct {
	// Dir holds everything of this node. It is created when absent.
	Dir string
	// FS is where Dir lies. nil is the disk; vfs.NewMem() keeps everything in memory.
	FS vfs.FS
	// Logger gets Pebble's messages as well. nil discards them.
	Logger *slog.Logger
	// Fatal is called once, when the disk cannot be trusted any more: a failed fsync or
	// commit, corruption found by a read, an operation that hangs. It must not return, for
	// what the caller would do next may rest on data that is lost. It can be called on any
	// goroutine, Pebble's own included; whoever runs into a broken disk after it stays
	// blocked. nil panics with the text.
	Fatal func(text string)
	// StallAfter is how long one disk operation may take, while this process runs, before Fatal is called, so that
	// leaderships move away from a disk that hangs. 0 is 20 s, negative is for ever.
	StallAfter time.Duration
	// Light makes opening cheap for a process that opens thousands of stores in memory, one
	// after another: small buffers, few goroutines, no watch over stalls. Without a Background
	// it flushes while the caller waits.
	Light bool
	// Background, when not nil, decides when a flush in the background writes. nil lets
	// goroutines do it when they can.
	Background data.Background
	// ReuseSegments gives files of the log their length beforehand, and uses those of removed
	// segments again: for a disk. It is always so when FS is nil.
	ReuseSegments bool
	// Place tells where a file is (tests); nil asks the system. See Place.
	Place func(vfs.File) Place
	// Keys reads the keys by which the node's data keys are wrapped, at the start and for each rotation. nil, or
	// none, is for a directory that is not encrypted.
	Keys func() ([]crypt.Key, error)
	// KeepsOldKeys leaves what a rotation has not rewritten yet as it is: for who opens a directory to read it, and
	// keeps in memory what would be written.
	KeepsOldKeys bool
	// Random is where data keys and counters come from (a simulation); nil is the system.
	Random io.Reader
	// Metrics is where metrics are registered until Close. nil keeps none.
	Metrics prometheus.Registerer
	// Pebble says how large it may get.
	Pebble data.Pebble
	// Limits bound what is held in memory; what is 0 takes its default.
	Limits Limits

	// Between is called between the two commits into which some test builds tear a write
	// that must be atomic, so that a simulator can crash there. Other builds never call it.
	Between func()
}

// Limits bound what is held in memory, and say when something is worth doing. A field that is 0
// takes its default. A simulation draws them, so that what lies behind a limit is walked all the time.
type Limits struct {
	Log  raftlog.Limits
	Data data.Limits
}

const defaultStallAfter = 20 * time.Second

func (o Options) withDefaults() (Options, error) {
	if o.FS == nil {
		o.FS, o.ReuseSegments = vfs.Default, true
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Fatal == nil {
		o.Fatal = func(text string) { panic("persist: " + text) }
	}
	switch {
	case o.StallAfter < 0 || o.Light:
		o.StallAfter = 0 // no watch
	case o.StallAfter == 0:
		o.StallAfter = defaultStallAfter
	}
	var errs [2]error
	o.Limits.Log, errs[0] = o.Limits.Log.WithDefaults(o.Light)
	o.Limits.Data, errs[1] = o.Limits.Data.WithDefaults(o.Light)
	o.Pebble = o.Pebble.WithDefaults(o.Light)
	return o, errors.Join(errs[:]...)
}
