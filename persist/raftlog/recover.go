package raftlog

import (
	"fmt"
	"slices"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/state"
	"pxkv/persist/wal"
)

// Recover opens the log, or makes a new one, and tells what it says of each replica that is here. It reads
// all of it, which takes about a second a gigabyte. codec.ErrFormat and codec.ErrCorrupt tell what is wrong
// with it.
func (l Opening) Recover() (map[kv.PartitionID]*Recovered, error) {
	rp := newReplay()
	var err error
	l.wal, err = wal.Open(wal.Options{
		FS: l.disk.FS, Dir: l.disk.Path(Dir), SegmentBytes: l.o.Limits.SegmentBytes, Reuse: l.o.Reuse, Alone: l.o.Alone,
		Fresh: l.o.Fresh,
	}, rp.batch)
	if err != nil {
		return nil, corruption(err)
	}
	l.roster.tombstones = rp.tombstones
	last := l.wal.Last()
	l.batches.Store(last)
	l.committed.Store(last)
	l.synced.Store(last)
	return rp.replicas, nil
}

// Load makes a replica of what the log says of it and how far its state has come, and checks that both fit
// together.
func (l Opening) Load(p kv.PartitionID, found *Recovered, applied *state.Applied) error {
	r, err := l.load(p, found, applied)
	if err != nil {
		return fmt.Errorf("partition %s: %w", p, corruption(err))
	}
	l.roster.replicas[p] = r
	return nil
}

func (l *Log) load(p kv.PartitionID, found *Recovered, applied *state.Applied) (*Replica, error) {
	r := newReplica(l, p, found.ID, found.base, applied)
	r.hard, r.durability.index, r.void = found.hard, applied.Index, found.void
	for i, e := range found.entries {
		index := found.base.index + 1 + uint64(i)
		if e.at.batch == 0 {
			return nil, fmt.Errorf("%w: log entry %d is missing", codec.ErrCorrupt, index)
		}
		if last := r.outline.lastTerm(); e.term < last {
			return nil, fmt.Errorf("%w: log entry %d has term %d, less than the %d before it",
				codec.ErrCorrupt, index, e.term, last)
		}
		r.outline.push(e.term, e.at)
	}
	r.moved = r.outline.last // moves are not told apart from appends here
	if err := r.loadTail(); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	// The commit index is stored without an fsync, and the applied index without one of its
	// own: either may be the newer. raft refuses to start with applied above commit.
	r.hard.commit = max(r.hard.commit, applied.Index)
	return r, nil
}

// loadTail reads the end of the log backwards until the tail is full.
func (r *Replica) loadTail() error {
	var backwards []tailEntry
	limits := &r.log.o.Limits
	bytes := int64(0)
	applied := r.Applied().Index
	for index := r.outline.last; index > r.outline.base.index; index-- {
		size := int(r.outline.place(index).size)
		limit := limits.TailBytes
		if index > applied {
			limit += limits.UnappliedBytes
		}
		if bytes += int64(size); bytes > limit {
			break
		}
		e, err := r.readEntry(index)
		if err != nil {
			return err
		}
		backwards = append(backwards, tailEntry{e, size, 0})
	}
	for _, e := range slices.Backward(backwards) {
		r.tail.push(e.entry, e.bytes, 0)
	}
	return nil
}

// check refuses a replica whose parts do not fit together. raft would panic on some of
// these, and silently forget acknowledged entries on others.
func (r *Replica) check() error {
	ap, first, last := r.Applied(), r.outline.first(), r.outline.last
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: replica %d: %s", codec.ErrCorrupt, r.id, fmt.Sprintf(format, args...))
	}
	switch {
	case r.id <= r.log.roster.tombstones[r.partition]:
		return bad("is destroyed: tombstone %d", r.log.roster.tombstones[r.partition])
	case first > ap.Index+1:
		return bad("log begins at %d, applied is only %d", first, ap.Index)
	case ap.Index > last:
		return bad("applied is %d, log ends at %d", ap.Index, last)
	case r.hard.commit > last:
		return bad("commit is %d, log ends at %d", r.hard.commit, last)
	case r.hard.term < r.outline.lastTerm():
		return bad("hard state has term %d, log ends with term %d", r.hard.term, r.outline.lastTerm())
	case ap.Term != r.outline.term(ap.Index):
		return bad("applied entry %d has term %d, in the log it has %d", ap.Index, ap.Term, r.outline.term(ap.Index))
	}
	return nil
}
