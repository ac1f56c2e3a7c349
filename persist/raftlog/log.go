package raftlog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/disk"
	"pxkv/persist/limit"
	"pxkv/persist/wal"
)

// Dir is where a Log keeps its files, below the directory of the node.
const Dir = "log"

// Log is the logs and promises of one node.
type Log struct {
	disk    *disk.Disk
	o       Options
	effects Effects
	wal     *wal.Log

	// batches numbers the Batches that are not empty, as the records of wal are numbered;
	// committed is the number of the last one that was committed, synced that of the last one
	// that was synced. An entry may leave memory once its batch is committed.
	batches, committed, synced atomic.Uint64
	buffers                    sync.Pool // of batches

	roster roster

	// Of the goroutine that fills the batches.
	rolled     uint64 // the last batch that begins a segment
	reclaiming reclaiming

	pinned pinned
}

// roster is who is here, as the batches made so far will leave it.
type roster struct {
	mu         sync.RWMutex
	replicas   map[kv.PartitionID]*Replica
	tombstones map[kv.PartitionID]kv.ReplicaID
}

// Effects is who keeps what the entries do: an entry stays in the log until its effects are durable there.
type Effects interface {
	// Flushes grows whenever something may have become durable.
	Flushes() uint64
	// Durable is up to which index effects of a replica are on disk; false when not even its beginning is.
	Durable(p kv.PartitionID, id kv.ReplicaID) (index uint64, ok bool)
	// WantDurable has what was applied to p made durable when that is worth it, and all that was applied
	// when it is urgent. It is learned from Durable, later.
	WantDurable(p kv.PartitionID, urgent bool)
	// WantFlush has what is on its way to the disk brought there.
	WantFlush()
	// FlushAll has all that was applied made durable, and reports whether that was begun. It is called in the
	// background.
	FlushAll() bool
}

// Metrics hears what a Log does. It is called from any goroutine.
type Metrics interface {
	// Committed is called for each batch; began is zero when it was not synced.
	Committed(bytes int, began time.Time)
	// Moved bytes of entries were written once more.
	Moved(bytes int)
}

// Options of a Log.
type Options struct {
	Limits  Limits
	Metrics Metrics
	Reuse   bool // files of the log have their length beforehand, and are used again
	Fresh   bool // nothing is overwritten: see wal.Options
	Alone   bool // nothing is done in the background: see wal.Options
}

// Limits bound what is held in memory, and say when something is worth doing. A field that is 0
// takes its default; the second default is that of a light store. All are in bytes.
type Limits struct {
	// SegmentBytes is the size of a segment of the log. 0: 16 MiB; 16 KiB.
	SegmentBytes int64
	// TailBytes is how much of each log's end stays in memory, so that applying and sending rarely
	// read the log. 0: 256 KiB.
	TailBytes int64
	// UnappliedBytes is how much stays beyond that while it is not applied yet. 0: 4 MiB.
	UnappliedBytes int64
	// PinnedBytes is how much of the log the effects that are not flushed may pin, whatever they
	// come to once only the last on each key counts: then they are flushed. A restart has to apply
	// about that much again. A log that somebody wants to truncate may be pinned by a quarter of it.
	// 0: 16 MiB; 16 KiB.
	PinnedBytes int64
	// MoveBytes bounds what one batch moves from the oldest segment, and so how long its turn
	// takes; one entry is moved whatever its size. 0: 1 MiB.
	MoveBytes int64
}

// WithDefaults fills in what is 0, and names everything that cannot be.
func (l Limits) WithDefaults(light bool) (Limits, error) {
	c := limit.Check{Light: light}
	c.Fill("SegmentBytes", &l.SegmentBytes, 16<<20, 16<<10)
	c.Fill("TailBytes", &l.TailBytes, 256<<10, 256<<10)
	c.Fill("UnappliedBytes", &l.UnappliedBytes, 4<<20, 4<<20)
	c.Fill("PinnedBytes", &l.PinnedBytes, 16<<20, 16<<10)
	c.Fill("MoveBytes", &l.MoveBytes, 1<<20, 1<<20)
	return l, c.Err()
}

// FitTo makes what takes room on the disk small enough for one of total bytes. Disks above 4 GiB know no
// difference.
func (l *Limits) FitTo(total uint64) {
	limit.Fit(&l.SegmentBytes, total, 256, 256<<10)
	limit.Fit(&l.PinnedBytes, total, 256, 256<<10)
}

// Opening is a Log at a start. What nobody may do to one later are methods of this type alone: who holds the
// Log does not have them.
type Opening struct{ *Log }

// New makes a log, which Recover opens.
func New(d *disk.Disk, o Options, e Effects) Opening {
	return Opening{&Log{disk: d, o: o, effects: e, roster: roster{
		replicas: map[kv.PartitionID]*Replica{}, tombstones: map[kv.PartitionID]kv.ReplicaID{},
	}}}
}

// Close seals the log, so that the next start has nothing to guess at.
func (l *Log) Close() error { return l.wal.Close() }

// Abandon closes the files and leaves them as they are. It does nothing after Close, nor before Recover.
func (l *Log) Abandon() {
	if l.wal != nil {
		l.wal.Abandon()
	}
}

// Replicas are the replicas of this node, sorted by partition. At start each is loaded and
// checked; later they are as the batches made so far leave them.
func (l *Log) Replicas() ([]*Replica, error) {
	if !l.disk.IsOpen() {
		return nil, disk.ErrClosed
	}
	l.roster.mu.RLock()
	defer l.roster.mu.RUnlock()
	all := make([]*Replica, 0, len(l.roster.replicas))
	for _, r := range l.roster.replicas {
		all = append(all, r)
	}
	slices.SortFunc(all, byPartition)
	return all, nil
}

func byPartition(a, b *Replica) int { return cmp.Compare(a.partition, b.partition) }

// Replica of a partition, as the batches made so far leave it; nil when there is none.
func (l *Log) Replica(p kv.PartitionID) *Replica {
	l.roster.mu.RLock()
	defer l.roster.mu.RUnlock()
	return l.roster.replicas[p]
}

// Tombstone is the highest id among the replicas of p that were destroyed here, 0 if there
// were none. Messages to ids up to it come from the past.
func (l *Log) Tombstone(p kv.PartitionID) kv.ReplicaID {
	l.roster.mu.RLock()
	defer l.roster.mu.RUnlock()
	return l.roster.tombstones[p]
}

// Position is the number of the last batch that is known to be on disk. It only
// grows, over restarts too; a disk on which it is lower than it was is an older one.
func (l *Log) Position() uint64 { return l.synced.Load() }

// Files is how many bytes the log has on disk, and how many segments.
func (l *Log) Files() (bytes int64, segments int) { return l.wal.Bytes() }

// readError sorts out why a read failed: see disk.ReadError.
func (l *Log) readError(err error) error {
	corrupt := errors.Is(err, codec.ErrCorrupt) || errors.Is(err, codec.ErrFormat) || errors.Is(err, wal.ErrCorrupt)
	return l.disk.ReadError(err, corrupt)
}

// corruption labels what package wal calls corrupt.
func corruption(err error) error {
	switch {
	case errors.Is(err, wal.ErrCorrupt):
		return fmt.Errorf("%w: %w", codec.ErrCorrupt, err)
	case errors.Is(err, wal.ErrFormat):
		return fmt.Errorf("%w: %w", codec.ErrFormat, err)
	}
	return err
}
