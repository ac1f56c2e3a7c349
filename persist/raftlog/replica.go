package raftlog

import (
	"fmt"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/state"
)

// Replica is one replica's log and bookkeeping. It implements raft.Storage.
//
// Its view is changed by filling a Batch, before that batch is committed: the view may lead
// the disk. It belongs to the goroutine that fills the batches; Applied alone may be called
// from anywhere.
type Replica struct {
	log        *Log
	partition  kv.PartitionID
	id         kv.ReplicaID
	hard       hardState
	outline    outline
	tail       tail // covers outline.last whenever the log's end is not committed
	applied    atomic.Pointer[state.Applied]
	durability durability
	moved      uint64 // entries up to here may lie in newer batches than those behind them
	destroyed  bool
	void       bool // see Batch.Void
}

var _ raft.Storage = (*Replica)(nil)

func newReplica(l *Log, p kv.PartitionID, id kv.ReplicaID, base entryID, applied *state.Applied) *Replica {
	r := &Replica{log: l, partition: p, id: id, outline: newOutline(base)}
	r.setApplied(applied)
	return r
}

// Partition of which this is a replica.
func (r *Replica) Partition() kv.PartitionID { return r.partition }

// ID of the replica, its id in Raft.
func (r *Replica) ID() kv.ReplicaID { return r.id }

// Applied is what the last SetApplied or filled Install set. Its Conf and Replicas must
// not be changed.
func (r *Replica) Applied() state.Applied { return *r.applied.Load() }

func (r *Replica) setApplied(ap *state.Applied) {
	own := *ap
	if own.Conf == nil {
		own.Conf = &raftpb.ConfState{}
	}
	r.applied.Store(&own)
}

// SetApplied says how far r's state has come, when that can be read. It belongs to the goroutine that fills
// the batches.
func (r *Replica) SetApplied(ap *state.Applied) {
	r.setApplied(ap)
	if !appliedTailKept {
		r.tail.evict(r.log.committed.Load(), ap.Index, &r.log.o.Limits)
	}
}

// Durable is up to which index the effects are known to be on disk: what is above it a restart applies again.
func (r *Replica) Durable() uint64 { return r.durability.index }

// SetVoid marks the state as not to be believed, until a snapshot is installed or the process ends: see
// Batch.Void.
func (r *Replica) SetVoid() { r.void = true }

// Void reports whether the state is not to be believed, and waits for the snapshot that replaces it:
// see Batch.Void.
func (r *Replica) Void() bool { return r.void }

// LogBytes is the size of the log's entries.
func (r *Replica) LogBytes() int64 { return r.outline.bytes }

// InitialState implements raft.Storage.
func (r *Replica) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	h := r.hard
	return &raftpb.HardState{Term: &h.term, Vote: &h.vote, Commit: &h.commit}, r.Applied().Conf, nil
}

// FirstIndex implements raft.Storage.
func (r *Replica) FirstIndex() (uint64, error) { return r.outline.first(), nil }

// LastIndex implements raft.Storage.
func (r *Replica) LastIndex() (uint64, error) { return r.outline.last, nil }

// Term implements raft.Storage. It never reads the disk.
func (r *Replica) Term(index uint64) (uint64, error) {
	switch {
	case index < r.outline.base.index:
		return 0, raft.ErrCompacted
	case index > r.outline.last:
		return 0, raft.ErrUnavailable
	}
	return r.outline.term(index), nil
}

// Snapshot implements raft.Storage. It names the state that a snapshot would have now, and
// carries no data: that is streamed from where it is kept, with its own label.
func (r *Replica) Snapshot() (*raftpb.Snapshot, error) {
	ap := r.Applied()
	if ap.Index == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &raftpb.Snapshot{
		Metadata: &raftpb.SnapshotMetadata{ConfState: ap.Conf, Index: &ap.Index, Term: &ap.Term},
	}, nil
}

// entryOverhead is about what raft counts for an entry besides its data.
const entryOverhead = 24

// Entries implements raft.Storage. The end of the log comes from memory, the rest from
// disk; a corrupt entry there is the node's end.
func (r *Replica) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	switch {
	case lo <= r.outline.base.index:
		return nil, raft.ErrCompacted
	case hi > r.outline.last+1 || lo > hi:
		return nil, raft.ErrUnavailable
	case lo == hi:
		return nil, nil
	}
	out := entryList{max: maxSize}
	tailFirst := r.outline.last + 1
	if len(r.tail.entries) > 0 {
		tailFirst = r.tail.first()
	}
	if lo < tailFirst {
		full, err := r.readEntries(&out, lo, min(hi, tailFirst))
		if full || err != nil {
			return out.entries, err
		}
		lo = tailFirst
	}
	for ; lo < hi; lo++ {
		if out.add(r.tail.entries[lo-tailFirst].entry) {
			break
		}
	}
	return out.entries, nil
}

// entryList gathers entries up to a size, but at least one.
type entryList struct {
	entries   []*raftpb.Entry
	size, max uint64
}

// add reports whether the list was full; e is then left out.
func (l *entryList) add(e *raftpb.Entry) (full bool) {
	size := uint64(len(e.GetData()) + entryOverhead)
	if len(l.entries) > 0 && l.size+size > l.max {
		return true
	}
	l.size += size
	l.entries = append(l.entries, e)
	return false
}

// readEntries adds the entries [lo, hi) from disk.
func (r *Replica) readEntries(out *entryList, lo, hi uint64) (full bool, err error) {
	for index := lo; index < hi; index++ {
		e, err := r.readEntry(index)
		if err != nil {
			return false, r.log.readError(fmt.Errorf("partition %s, log entry %d: %w", r.partition, index, err))
		}
		if out.add(e) {
			return true, nil
		}
	}
	return false, nil
}

func (r *Replica) readEntry(index uint64) (*raftpb.Entry, error) {
	at := r.outline.place(index)
	b := make([]byte, at.size)
	if err := r.log.wal.Read(at.batch, at.offset, b); err != nil {
		return nil, err
	}
	h, err := decodeEntryHeader(r.partition, index, b)
	if err != nil {
		return nil, err
	}
	return h.entry(index), nil
}

// hardState is raftpb.HardState as plain values.
type hardState struct {
	term, vote, commit uint64
}

// entryID names an entry: the last one that a log no longer holds.
type entryID struct {
	index, term uint64
}
