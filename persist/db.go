package persist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/wal"
)

// DB is the store of one node.
type DB struct {
	opts    Options
	fs      vfs.FS // opts.FS, watched for stalls and with an order among new files
	watch   io.Closer
	lock    *pebble.Lock
	pebble  *pebble.DB // data and applied states
	log     *wal.Log   // everything else
	metrics *metrics

	open   atomic.Bool // Open has returned and Close was not called
	failed atomic.Bool // Fatal was called

	// batches numbers the Batches that are not empty, as the log numbers their records;
	// committed is the number of the last one that was committed, synced that of the last one
	// that was synced. An entry may leave memory once its batch is committed.
	batches, committed, synced atomic.Uint64
	buffers                    sync.Pool // of records

	// Of the goroutine that fills the batches.
	rolled     uint64 // the last batch that begins a segment
	learned    uint64 // flushes after which it was asked what is durable
	reclaiming reclaiming

	flushes   atomic.Uint64 // of Pebble, since Open
	unflushed atomic.Int64  // bytes of effects since a flush was last asked for
	flushing  sync.Mutex
	flushed   <-chan struct{} // closed when the flush that was last asked for is done

	// staged numbers the directories of incoming snapshots.
	staged atomic.Uint64

	behind      atomic.Pointer[map[kv.PartitionID]*behind] // changed by copies, under mu
	behindTotal atomic.Int64                               // bytes in all of them

	mu         sync.RWMutex
	replicas   map[kv.PartitionID]*Replica // as the batches made so far will leave them
	tombstones map[kv.PartitionID]kv.ReplicaID
}

// Open opens the store in Options.Dir, or makes a new one there. It reads every log and
// checks what it finds, so it takes about a second a gigabyte of log. ErrLocked, ErrFormat
// and ErrCorrupt tell what is wrong with the directory.
func Open(opts Options) (*DB, error) {
	if opts.Dir == "" {
		return nil, errors.New("open store: no data directory given")
	}
	opts = opts.withDefaults()
	db := &DB{
		opts:       opts,
		replicas:   map[kv.PartitionID]*Replica{},
		tombstones: map[kv.PartitionID]kv.ReplicaID{},
	}
	db.behind.Store(&map[kv.PartitionID]*behind{})
	watched, watch := vfs.WithDiskHealthChecks(opts.FS, opts.StallAfter, nil, db.diskSlow)
	db.fs, db.watch = orderedFS{watched}, watch
	if err := db.start(); err != nil {
		return nil, fmt.Errorf("open store in %s: %w", opts.Dir, errors.Join(err, db.stop()))
	}
	db.open.Store(true)
	return db, nil
}

func (db *DB) start() error {
	dir := db.path(pebbleDir)
	if err := makeDir(db.fs, dir); err != nil {
		return err
	}
	var err error
	if db.lock, err = pebble.LockDirectory(dir, db.fs); err != nil {
		if _, ok := errors.AsType[*fs.PathError](err); ok {
			return err // the lock file could not even be made
		}
		return fmt.Errorf("%w by another process (%w): stop it, or use another data directory", ErrLocked, err)
	}
	if _, _, err := db.Identity(); err != nil {
		return err // an unknown format must be known before Pebble writes anything
	}
	if db.pebble, err = pebble.Open(dir, db.pebbleOptions(db.lock)); err != nil {
		if isCorruption(err) {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return err
	}
	if err := db.checkFormat(); err != nil {
		return err
	}
	if err := db.load(); err != nil {
		return err
	}
	if err := db.fs.RemoveAll(db.path(stagingDir)); err != nil {
		return fmt.Errorf("remove unfinished snapshots: %w", err)
	}
	if db.opts.Metrics != nil {
		db.metrics, err = registerMetrics(db)
	}
	return err
}

// Close closes the store. Nobody may be using it any more: see the duties in the package
// comment. It makes all that was written durable. A second Close does nothing; after Fatal it
// is an error, and leaves everything as it is.
func (db *DB) Close() error {
	if !db.open.CompareAndSwap(true, false) {
		return nil
	}
	if db.failed.Load() {
		return fmt.Errorf("close store in %s: its disk failed before", db.opts.Dir)
	}
	// The next Open then has nothing to apply again.
	db.drainAll()
	err := db.pebble.Flush()
	if err = errors.Join(err, db.log.Close(), db.stop()); err != nil {
		return fmt.Errorf("close store in %s: %w", db.opts.Dir, err)
	}
	return nil
}

func (db *DB) stop() error {
	var errs []error
	db.metrics.unregister()
	if db.log != nil {
		db.log.Abandon() // does nothing after Close
	}
	if db.pebble != nil {
		errs = append(errs, db.pebble.Close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(append(errs, db.watch.Close())...)
}

// Replicas are the replicas of this node, sorted by partition. At start each is loaded and
// checked; later they are as the batches made so far leave them.
func (db *DB) Replicas() ([]*Replica, error) {
	if !db.open.Load() {
		return nil, ErrClosed
	}
	db.mu.RLock()
	defer db.mu.RUnlock()
	all := make([]*Replica, 0, len(db.replicas))
	for _, r := range db.replicas {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Replica) int { return compare(uint64(a.partition), uint64(b.partition)) })
	return all, nil
}

// Tombstone is the highest id among the replicas of p that were destroyed here, 0 if there
// were none. Messages to ids up to it come from the past.
func (db *DB) Tombstone(p kv.PartitionID) kv.ReplicaID {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.tombstones[p]
}

// FreeBytes is how much room the file system under Dir has, and how large it is. In memory
// it is an error.
func (db *DB) FreeBytes() (free, total uint64, err error) {
	du, err := db.fs.GetDiskUsage(db.opts.Dir)
	if err != nil {
		return 0, 0, fmt.Errorf("disk usage of %s: %w", db.opts.Dir, err)
	}
	return du.AvailBytes, du.TotalBytes, nil
}

// PartitionBytes estimates how much of the disk p takes, what is still in memory not counted.
func (db *DB) PartitionBytes(p kv.PartitionID) (uint64, error) {
	if !db.open.Load() {
		return 0, ErrClosed
	}
	start, end := partitionRange(p)
	n, err := db.pebble.EstimateDiskUsage(start, end)
	if err != nil {
		return 0, db.readError(err)
	}
	return n, nil
}

// isCorruption reports whether err says that stored bytes are not what was written.
func isCorruption(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrFormat) || errors.Is(err, wal.ErrCorrupt)
}
