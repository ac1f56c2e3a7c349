package persist

import (
	"fmt"
	"sync/atomic"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// Replica is one replica's log and bookkeeping. It implements raft.Storage.
//
// Its view is changed by filling a Batch, before that batch is committed: the view may lead
// the disk. It belongs to the goroutine that fills the batches; Applied alone may be called
// from anywhere.
type Replica struct {
	db        *DB
	partition kv.PartitionID
	id        kv.ReplicaID
	hard      hardState
	log       outline
	tail      tail // covers log.last whenever the log's end is not committed
	applied   atomic.Pointer[Applied]
	destroyed bool

	// durable is how far the effects are known to be on disk, so that a restart need not apply
	// them again. The log never begins above it: base <= durable <= applied.
	durable uint64
	created bool   // in record, and its beginning is not known to be on disk
	record  uint64 // of the log, that created it
	moved   uint64 // entries up to here may lie in newer records than those behind them
}

var _ raft.Storage = (*Replica)(nil)

func newReplica(db *DB, p kv.PartitionID, id kv.ReplicaID, base entryID, applied *Applied) *Replica {
	r := &Replica{db: db, partition: p, id: id, log: newOutline(base)}
	r.setApplied(applied)
	return r
}

// Partition of which this is a replica.
func (r *Replica) Partition() kv.PartitionID { return r.partition }

// ID of the replica, its id in Raft.
func (r *Replica) ID() kv.ReplicaID { return r.id }

// Applied is what the last committed Apply or filled Install set. Its Conf and Replicas must
// not be changed.
func (r *Replica) Applied() Applied { return *r.applied.Load() }

func (r *Replica) setApplied(ap *Applied) {
	own := *ap
	if own.Conf == nil {
		own.Conf = &raftpb.ConfState{}
	}
	r.applied.Store(&own)
}

// LogBytes is the size of the log's entries.
func (r *Replica) LogBytes() int64 { return r.log.bytes }

// InitialState implements raft.Storage.
func (r *Replica) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	h := r.hard
	return &raftpb.HardState{Term: &h.term, Vote: &h.vote, Commit: &h.commit}, r.Applied().Conf, nil
}

// FirstIndex implements raft.Storage.
func (r *Replica) FirstIndex() (uint64, error) { return r.log.first(), nil }

// LastIndex implements raft.Storage.
func (r *Replica) LastIndex() (uint64, error) { return r.log.last, nil }

// Term implements raft.Storage. It never reads the disk.
func (r *Replica) Term(index uint64) (uint64, error) {
	switch {
	case index < r.log.base.index:
		return 0, raft.ErrCompacted
	case index > r.log.last:
		return 0, raft.ErrUnavailable
	}
	return r.log.term(index), nil
}

// Snapshot implements raft.Storage. It names the state that a snapshot would have now, and
// carries no data: OpenSnapshot streams that, and labels it itself.
func (r *Replica) Snapshot() (*raftpb.Snapshot, error) {
	ap := r.Applied()
	if ap.Index == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{ConfState: ap.Conf, Index: &ap.Index, Term: &ap.Term}}, nil
}

// entryOverhead is about what raft counts for an entry besides its data.
const entryOverhead = 24

// Entries implements raft.Storage. The end of the log comes from memory, the rest from
// disk; a corrupt entry there is the node's end.
func (r *Replica) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	switch {
	case lo <= r.log.base.index:
		return nil, raft.ErrCompacted
	case hi > r.log.last+1 || lo > hi:
		return nil, raft.ErrUnavailable
	case lo == hi:
		return nil, nil
	}
	out := entryList{max: maxSize}
	tailFirst := r.log.last + 1
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
			return false, r.db.readError(fmt.Errorf("partition %s, log entry %d: %w", r.partition, index, err))
		}
		if out.add(e) {
			return true, nil
		}
	}
	return false, nil
}

func (r *Replica) readEntry(index uint64) (*raftpb.Entry, error) {
	at := r.log.place(index)
	b := make([]byte, at.size)
	if err := r.db.log.Read(at.record, at.offset, b); err != nil {
		return nil, err
	}
	h, err := decodeEntryHeader(r.partition, index, b)
	if err != nil {
		return nil, err
	}
	return h.entry(index), nil
}
