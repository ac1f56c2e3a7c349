package persist

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/persist/codec"
	"pxkv/persist/crypt"
	"pxkv/persist/data"
	"pxkv/persist/disk"
	"pxkv/persist/raftlog"
)

// DB is the store of one node: its data, and its log. What spans both is a Batch's to write.
type DB struct {
	*data.Store
	*raftlog.Log

	opts    Options
	crypt   *crypt.FS // nil: the disk is not encrypted
	disk    *disk.Disk
	lock    *pebble.Lock
	metrics *metrics

	rewriting disk.Task // of files of old data keys

	// givenUp are replicas that GiveUp named, until they are replaced. Of the goroutine that fills the batches.
	givenUp map[*raftlog.Replica]bool
}

// Open opens the store in Options.Dir, or makes a new one there. It reads every log and
// checks what it finds, so it takes about a second a gigabyte of log. ErrLocked, codec.ErrFormat
// and codec.ErrCorrupt tell what is wrong with the directory.
func Open(opts Options) (*DB, error) {
	if opts.Dir == "" {
		return nil, errors.New("open store: no data directory given")
	}
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open store in %s: %w", opts.Dir, err)
	}
	db := &DB{opts: opts, givenUp: map[*raftlog.Replica]bool{}}
	if err := db.encrypted(); err != nil {
		return nil, fmt.Errorf("open store in %s: %w", opts.Dir, err)
	}
	db.disk = disk.Open(disk.Options{
		FS: db.opts.FS, Dir: opts.Dir, Pebble: data.Dir, Logger: opts.Logger,
		Fatal: opts.Fatal, StallAfter: opts.StallAfter, Inline: opts.Light,
	})
	if err := db.start(); err != nil {
		return nil, fmt.Errorf("open store in %s: %w", opts.Dir, errors.Join(err, db.stop()))
	}
	db.disk.Begin()
	db.rewrite() // what a crash has left
	return db, nil
}

func (db *DB) start() error {
	// What another pxkv has written, or nobody can read, is not touched: no directory is made in it, and no lock.
	if _, _, err := db.Identity(); errors.Is(err, codec.ErrFormat) || errors.Is(err, codec.ErrCorrupt) {
		return err
	}
	if err := db.makeDirectories(); err != nil {
		return err
	}
	if db.crypt != nil {
		if err := db.crypt.Begin(); err != nil {
			return explain(err)
		}
	}
	if err := db.makeDurable(); err != nil {
		return fmt.Errorf("make what is there durable: %w", err)
	}
	if _, _, err := db.Identity(); err != nil {
		return err // the process that had the lock may have written another one
	}
	log, store := db.join()
	if err := store.Open(db.lock); err != nil {
		return err
	}
	if err := db.recover(log, store); err != nil {
		return data.Corruption(err)
	}
	if err := db.loadGivenUp(); err != nil {
		return fmt.Errorf("look for copies that were given up: %w", err)
	}
	if err := db.RemoveStaged(); err != nil {
		return fmt.Errorf("remove unfinished snapshots: %w", err)
	}
	_, _ = db.LookForRoom() // in memory there is no such thing
	return db.metrics.register()
}

// makeDirectories makes those that are missing, and takes the lock. How large the disk is decides about some
// of the limits.
//
// That MakeDir syncs and makeDurable syncs the same directories again costs a start some syncs. They are left: each
// is an event of the simulated disk, so that without them every seed that is kept would stand for another run.
func (db *DB) makeDirectories() error {
	dir := db.disk.Path(data.Dir)
	if err := disk.MakeDir(db.disk.FS, db.disk.Path(), dir); err != nil {
		return err
	}
	if _, total, err := db.disk.FreeBytes(); err == nil {
		db.opts.Limits.Log.FitTo(total)
		db.opts.Limits.Data.FitTo(total)
		db.opts.Pebble.FitTo(total)
	}
	var err error
	if db.lock, err = pebble.LockDirectory(dir, db.disk.FS); err != nil {
		if _, ok := errors.AsType[*fs.PathError](err); ok {
			return err // the lock file could not even be made
		}
		return fmt.Errorf("%w by another process (%w): stop it, or use another data directory", ErrLocked, err)
	}
	return disk.MakeDir(db.disk.FS, db.disk.Path(), db.disk.Path(raftlog.Dir))
}

// join makes the two stores. The log asks the data what of it is durable; the data knows no log.
func (db *DB) join() (raftlog.Opening, data.Opening) {
	db.metrics = newMetrics(db)
	store := data.New(db.disk, data.Options{
		Pebble: db.opts.Pebble, Limits: db.opts.Limits.Data, Metrics: db.metrics,
		Light: db.opts.Light, Background: db.opts.Background, Between: db.opts.Between,
	})
	log := raftlog.New(db.disk, raftlog.Options{
		Limits: db.opts.Limits.Log, Metrics: db.metrics,
		Reuse: db.opts.ReuseSegments, Alone: db.opts.Background != nil,
		Fresh: db.crypt != nil,
	}, store.Store)
	db.Log, db.Store = log.Log, store.Store
	return log, store
}

// Close closes the store. Nobody may be using it any more: see the duties in the package
// comment. It makes all that was written durable. A second Close does nothing; after Fatal it
// is an error, and leaves everything as it is.
func (db *DB) Close() error {
	if !db.disk.End() {
		return nil
	}
	db.disk.Halt()
	if db.disk.Failed() {
		return fmt.Errorf("close store in %s: its disk failed before", db.disk.Dir)
	}
	// The next Open then has nothing to apply again.
	err := db.Flush()
	if err = errors.Join(err, db.Log.Close(), db.stop()); err != nil {
		return fmt.Errorf("close store in %s: %w", db.disk.Dir, err)
	}
	return nil
}

// stop ends what start has begun, in the order that is its mirror.
func (db *DB) stop() error {
	var errs []error
	db.disk.Halt()
	db.metrics.unregister()
	if db.Log != nil {
		db.Abandon() // does nothing after Close
	}
	if db.Store != nil {
		errs = append(errs, db.Store.Close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(append(errs, db.disk.Close())...)
}

// FreeBytes is how much room the file system under Dir has, and how large it is. In memory
// it is an error.
func (db *DB) FreeBytes() (free, total uint64, err error) { return db.disk.FreeBytes() }
