package persist

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// fail ends the node: it calls Options.Fatal, once, and never returns. Whoever comes later
// stays blocked, since the process is on its way out.
//
// A failed fsync is never retried: the kernel marks the failed pages clean, so the second
// try would succeed without writing them.
func (db *DB) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !db.failed.CompareAndSwap(false, true) {
		select {}
	}
	db.opts.Logger.Error("disk cannot be trusted, stopping", "dir", db.opts.Dir, "reason", text)
	db.opts.Fatal(text)
	panic("persist: Options.Fatal returned after: " + text)
}

// failOnPanic, deferred around a write, ends the node in the same way when Pebble panics: it
// does so when it cannot close or create a WAL file.
func (db *DB) failOnPanic() {
	if db.failed.Load() {
		return // the panic is Options.Fatal's own
	}
	if p := recover(); p != nil {
		db.fail("disk write failed under %s: %v", db.opts.Dir, p)
	}
}

// readError sorts out why a read failed: corruption is the node's end, anything else (too
// many open files, say) is the caller's to handle.
func (db *DB) readError(err error) error {
	if isCorruption(err) {
		db.fail("read of %s: %v; this node's data must be rebuilt: remove its data directory and let it join as a new node", db.opts.Dir, err)
	}
	return fmt.Errorf("read of %s: %w", db.opts.Dir, err)
}

// corruptionFound hears from Pebble about a damaged table. While opening, the error that
// comes with it is enough.
func (db *DB) corruptionFound(info pebble.DataCorruptionInfo) {
	if db.open.Load() {
		db.fail("damaged file %s: %v; this node's data must be rebuilt: remove its data directory and let it join as a new node", info.Path, info.Details)
	}
}

// backgroundFailed hears that a flush or a compaction could not write. Pebble would try again for
// ever, while the log grows and a Close waits for it; a restart finds all that is needed in the
// log.
func (db *DB) backgroundFailed(err error) {
	db.fail("background write failed under %s: %v", db.opts.Dir, err)
}

// diskSlow hears about an operation that has been under way for longer than StallAfter.
func (db *DB) diskSlow(info vfs.DiskSlowInfo) {
	db.fail("disk stalled for %s: %s of %s; check the disk under %s", info.Duration, info.OpType, info.Path, db.opts.Dir)
}

// pebbleLogger carries Pebble's messages. Its Fatalf, which Pebble calls when a commit
// failed, does not return.
type pebbleLogger struct{ db *DB }

func (l pebbleLogger) Infof(format string, args ...any) { l.log(slog.LevelDebug, format, args) }

func (l pebbleLogger) Errorf(format string, args ...any) { l.log(slog.LevelError, format, args) }

func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.db.fail("disk write failed under %s: %s", l.db.opts.Dir, fmt.Sprintf(format, args...))
}

func (l pebbleLogger) log(level slog.Level, format string, args []any) {
	if logger := l.db.opts.Logger; logger.Enabled(context.Background(), level) {
		logger.Log(context.Background(), level, "pebble", "text", fmt.Sprintf(format, args...))
	}
}
