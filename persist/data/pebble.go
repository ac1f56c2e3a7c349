package data

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"pxkv/persist/codec"
	"pxkv/persist/disk"
)

// pebbleFormat is what Pebble writes; a newer one only after every version that an
// operator may want to go back to can read it. This one has what is relied on here:
// excises, and checksums in the footers of tables.
const pebbleFormat = pebble.FormatTableFormatV6

// spaceDelay is how long after partitions were deleted the disk gets their space back, also when nothing else is
// written: with one flush for all of them.
const spaceDelay = time.Second

// pebbleOptions are for few megabytes and many partitions.
func (s *Store) pebbleOptions(lock *pebble.Lock) *pebble.Options {
	o, p := s.o, s.o.Pebble
	po := &pebble.Options{
		FS:                          s.disk.FS,
		Lock:                        lock,
		Logger:                      pebbleLogger{s},
		FormatMajorVersion:          pebbleFormat,
		CacheSize:                   p.CacheBytes,
		MemTableSize:                uint64(p.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       8, // of tables that are mostly the same keys again
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               p.baseBytes,
		MaxOpenFiles:                500,
		BytesPerSync:                512 << 10,
		DisableWAL:                  true, // the log is what brings effects again
		DisableAutomaticCompactions: p.DisableCompactions,
		DisableTableStats:           o.Light,
		EventListener: &pebble.EventListener{
			DataCorruption:  s.corruptionFound,
			BackgroundError: s.backgroundFailed,
			FlushEnd: func(pebble.FlushInfo) {
				s.flushes.done.Add(1)
				_, _ = s.lookForRoom()
			},
			CompactionEnd: func(pebble.CompactionInfo) { _, _ = s.lookForRoom() },
		},
	}
	if !o.Light {
		po.FlushDelayDeleteRange = spaceDelay
	}
	po.TargetFileSizes[0] = min(2<<20, p.MemTableBytes)
	po.Experimental.CompactionScheduler = newCompactions()
	po.Experimental.DisableIngestAsFlushable = func() bool { return true } // see ingest
	po.CompactionConcurrencyRange = func() (lower, upper int) { return 1, 2 }
	if p.DisableCompactions {
		po.L0StopWritesThreshold = 1 << 20
	}
	if o.Light {
		po.MaxOpenFiles = 400
		po.Experimental.FileCacheShards = 1
	}
	for i := range po.Levels {
		po.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return po
}

// readError sorts out why a read failed: see disk.ReadError.
func (s *Store) readError(err error) error { return s.disk.ReadError(err, isCorruption(err)) }

// corruptionFound hears from Pebble about a damaged table. While opening, the error that
// comes with it is enough.
func (s *Store) corruptionFound(info pebble.DataCorruptionInfo) {
	if s.disk.IsOpen() {
		s.disk.Fail("damaged file %s: %v; "+disk.Rebuild, info.Path, info.Details)
	}
}

// backgroundFailed hears that a flush or a compaction could not write. Pebble would try again for
// ever, while the log grows and a Close waits for it; a restart finds all that is needed in the
// log.
//
// Two of the errors are none. An install cancels the flush that is under way when its range lies
// between the keys of that flush; Pebble then begins it anew. And what Pebble does not learn about
// free space it does without.
func (s *Store) backgroundFailed(err error) {
	cancelled := errors.Is(err, pebble.ErrCancelledCompaction) && !cancelledFlushFatal
	if cancelled || errors.Is(err, disk.ErrUsage) {
		s.disk.Logger.Debug("background work", "dir", s.disk.Dir, "err", err)
		return
	}
	s.disk.Fail("background write failed under %s: %v", s.disk.Dir, err)
}

// pebbleLogger carries Pebble's messages. Its Fatalf, which Pebble calls when a commit
// failed, does not return.
type pebbleLogger struct{ store *Store }

func (l pebbleLogger) Infof(format string, args ...any) { l.log(slog.LevelDebug, format, args) }

func (l pebbleLogger) Errorf(format string, args ...any) { l.log(slog.LevelError, format, args) }

func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.store.disk.Fail("disk write failed under %s: %s", l.store.disk.Dir, fmt.Sprintf(format, args...))
}

func (l pebbleLogger) log(level slog.Level, format string, args []any) {
	if logger := l.store.disk.Logger; logger.Enabled(context.Background(), level) {
		logger.Log(context.Background(), level, "pebble", "text", fmt.Sprintf(format, args...))
	}
}

// Corruption labels what Pebble calls corrupt.
func Corruption(err error) error {
	if pebble.IsCorruptionError(err) && !errors.Is(err, codec.ErrFormat) && !errors.Is(err, codec.ErrCorrupt) {
		return fmt.Errorf("%w: %w", codec.ErrCorrupt, err)
	}
	return err
}

// isCorruption reports whether err says that stored bytes are not what was written.
func isCorruption(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, codec.ErrCorrupt) || errors.Is(err, codec.ErrFormat)
}
