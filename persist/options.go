package persist

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
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
	// StallAfter is how long one disk operation may take before Fatal is called, so that
	// leaderships move away from a disk that hangs. 0 is 20 s, negative is for ever.
	StallAfter time.Duration
	// CacheBytes is the size of the block cache. 0 is 48 MiB, with Light 256 KiB.
	CacheBytes int64
	// MemTableBytes is the size of one of up to four write buffers. 0 is 8 MiB, with Light
	// 1 MiB.
	MemTableBytes int64
	// Light makes opening cheap for a process that opens thousands of stores in memory, one
	// after another: small buffers, few goroutines, no watch over stalls.
	Light bool
	// Metrics is where metrics are registered until Close. nil keeps none.
	Metrics prometheus.Registerer
	// DisableCompactions is for tests that want the tree to stay as it was written.
	DisableCompactions bool
	segmentBytes       int64 // of the log; see wal.Options
	reuse              bool  // likewise

	// Between is called between the two commits into which some test builds tear a write
	// that must be atomic, so that a simulator can crash there. Other builds never call it.
	Between func()
}

const (
	// pebbleFormat is what Pebble writes; a newer one only after every version that an
	// operator may want to go back to can read it. This one has what is relied on here:
	// excises, and checksums in the footers of tables.
	pebbleFormat = pebble.FormatTableFormatV6

	defaultStallAfter = 20 * time.Second
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS, o.reuse = vfs.Default, true
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Fatal == nil {
		o.Fatal = func(text string) { panic("persist: " + text) }
	}
	cache, memTable, segment := int64(48<<20), int64(8<<20), int64(16<<20)
	if o.Light {
		cache, memTable, segment = 256<<10, 1<<20, 16<<10
	}
	if o.segmentBytes == 0 {
		o.segmentBytes = segment
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = cache
	}
	if o.MemTableBytes <= 0 {
		o.MemTableBytes = memTable
	}
	switch {
	case o.StallAfter < 0 || o.Light:
		o.StallAfter = 0 // no watch
	case o.StallAfter == 0:
		o.StallAfter = defaultStallAfter
	}
	return o
}

// pebbleOptions are for few megabytes and many partitions.
func (db *DB) pebbleOptions(lock *pebble.Lock) *pebble.Options {
	o := db.opts
	po := &pebble.Options{
		FS:                          db.fs,
		Lock:                        lock,
		Logger:                      pebbleLogger{db},
		FormatMajorVersion:          pebbleFormat,
		CacheSize:                   o.CacheBytes,
		MemTableSize:                uint64(o.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       8, // of tables that are mostly the same keys again
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                500,
		BytesPerSync:                512 << 10,
		DisableWAL:                  true, // the log is what brings effects again
		DisableAutomaticCompactions: o.DisableCompactions,
		DisableTableStats:           o.Light,
		EventListener: &pebble.EventListener{
			DataCorruption:  db.corruptionFound,
			BackgroundError: db.backgroundFailed,
			FlushEnd:        func(pebble.FlushInfo) { db.flushes.Add(1) },
		},
	}
	po.Experimental.DisableIngestAsFlushable = func() bool { return true } // see ingest
	po.CompactionConcurrencyRange = func() (lower, upper int) { return 1, 2 }
	if o.Light {
		po.MaxOpenFiles = 50
		po.Experimental.FileCacheShards = 1
	}
	for i := range po.Levels {
		po.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return po
}
