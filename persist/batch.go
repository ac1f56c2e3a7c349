package persist

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// Batch is the log writes of one turn: all groups, one fsync. Filling it changes the views
// of the replicas at once; Commit puts it on disk, later and maybe on another goroutine.
// Batches are committed in the order in which they were made; one that stayed Empty may be
// left out.
type Batch struct {
	db     *DB
	number uint64
	steps  []step
}

// step is what is done at one go: a Pebble batch, or the install of a snapshot. A Batch has
// more than one only when it has installs, which Pebble cannot put into a batch.
type step struct {
	batch   *pebble.Batch
	sync    bool
	destroy bool
	install *install
}

// NewBatch begins a batch.
func (db *DB) NewBatch() *Batch {
	return &Batch{db: db, number: db.batches.Add(1)}
}

// Empty reports whether nothing was put into b.
func (b *Batch) Empty() bool { return len(b.steps) == 0 }

// NeedsSync reports whether a promise rests on b: Commit then makes it outlive a crash
// before it returns. A commit index that moved, or a truncation, need no fsync.
func (b *Batch) NeedsSync() bool {
	for i := range b.steps {
		if b.steps[i].sync {
			return true
		}
	}
	return false
}

// step is the Pebble batch to write to now.
func (b *Batch) step(sync bool) *step {
	if n := len(b.steps); n == 0 || b.steps[n-1].install != nil {
		b.steps = append(b.steps, step{batch: b.db.pebble.NewBatch()})
	}
	s := &b.steps[len(b.steps)-1]
	s.sync = s.sync || sync
	return s
}

// Create makes a replica. Without initial it is a learner that waits for a snapshot; with
// it, it is one that was there from the cluster's beginning, whose log begins after
// initial.Index. It returns nil, and does nothing, when p has a replica here or id is at or
// below p's tombstone: such an order comes from the past.
func (b *Batch) Create(p kv.PartitionID, id kv.ReplicaID, initial *Applied) *Replica {
	b.db.mu.Lock()
	defer b.db.mu.Unlock()
	if b.db.replicas[p] != nil || id <= b.db.tombstones[p] {
		return nil
	}
	if initial == nil {
		initial = &Applied{}
	}
	r := newReplica(b.db, p, id, entryID{initial.Index, initial.Term}, initial)
	r.hard = hardState{term: initial.Term, commit: initial.Index}
	b.db.replicas[p] = r
	s := b.step(true)
	for _, rec := range r.records() {
		set(s.batch, rec.key, rec.value)
	}
	return r
}

// Put sets a key of a replica that this Batch creates: the data that a partition begins with
// is there with it or not at all. Everything later goes through an Apply.
func (b *Batch) Put(r *Replica, key []byte, rec Record) {
	r.mustLive()
	set(b.step(true).batch, appendDataKey(nil, r.partition, key), rec.AppendTo(nil))
}

// keyValue is one of the few records that are not worth deferring.
type keyValue struct{ key, value []byte }

// records are a replica's bookkeeping as it stands, in the order of their keys.
func (r *Replica) records() []keyValue {
	return []keyValue{
		{kindKey(r.partition, kindReplica), encodeReplica(r.id)},
		{kindKey(r.partition, kindHardState), r.hard.encode()},
		{kindKey(r.partition, kindTruncated), r.log.base.encode()},
		{kindKey(r.partition, kindApplied), r.Applied().appendTo(nil)},
	}
}

// Append adds entries to r's log. The first may overwrite: everything from its index on is
// then gone, in the same batch. A gap is a broken invariant.
func (b *Batch) Append(r *Replica, entries []*raftpb.Entry) {
	if len(entries) == 0 {
		return
	}
	r.mustLive()
	first := entries[0].GetIndex()
	if first <= r.log.base.index || first > r.log.last+1 {
		panic(fmt.Sprintf("persist: partition %s: append at %d to a log of %d to %d", r.partition, first, r.log.first(), r.log.last))
	}
	pb := b.step(true).batch
	oldLast := r.log.last
	r.cut(first)
	var key [logKeyLen]byte
	for _, e := range entries {
		if e.GetIndex() != r.log.last+1 {
			panic(fmt.Sprintf("persist: partition %s: append of %d after %d", r.partition, e.GetIndex(), r.log.last))
		}
		size := entrySize(e)
		op := pb.SetDeferred(logKeyLen, size)
		copy(op.Key, appendLogKey(key[:0], r.partition, e.GetIndex()))
		putEntry(op.Value, op.Key, e)
		mustFinish(op)
		r.log.push(e.GetTerm(), size)
		r.tail.push(e, size, b.number)
	}
	if oldLast > r.log.last {
		deleteRange(pb, logKey(r.partition, r.log.last+1), logKey(r.partition, oldLast+1))
	}
	r.tail.evict(b.db.committed.Load(), r.applied.Load().Index)
}

// cut drops the view's entries from index on.
func (r *Replica) cut(index uint64) {
	if index > r.log.last {
		return
	}
	known := len(r.tail.entries) > 0 && index >= r.tail.first()
	dropped := r.tail.cut(index)
	if !known {
		dropped = r.log.bytesFrom(index)
	}
	r.log.cut(index, dropped)
}

// SetHardState replaces r's hard state. nil changes nothing.
func (b *Batch) SetHardState(r *Replica, hs *raftpb.HardState) {
	if hs == nil {
		return
	}
	r.mustLive()
	h := hardState{term: hs.GetTerm(), vote: hs.GetVote(), commit: hs.GetCommit()}
	if h == r.hard {
		return
	}
	promise := h.term != r.hard.term || h.vote != r.hard.vote
	r.hard = h
	set(b.step(promise).batch, kindKey(r.partition, kindHardState), h.encode())
}

// Truncate drops r's log up to and including index, which must be applied: applied batches
// stand before this one in the WAL, so no crash can leave a log that begins too late.
// It is an error, and does nothing, above applied; below the log's first entry it is neither.
func (b *Batch) Truncate(r *Replica, index uint64) error {
	r.mustLive()
	if applied := r.applied.Load().Index; index > applied {
		return fmt.Errorf("partition %s: truncate log up to %d, but only %d is applied", r.partition, index, applied)
	}
	first := r.log.first()
	if index < first {
		return nil
	}
	r.log.truncate(index)
	r.tail.truncate(index)
	pb := b.step(false).batch
	set(pb, kindKey(r.partition, kindTruncated), r.log.base.encode())
	deleteRange(pb, logKey(r.partition, first), logKey(r.partition, index+1))
	return nil
}

// Destroy deletes r with all that it owns, and writes its tombstone in the same batch. r
// must not be used any more.
func (b *Batch) Destroy(r *Replica) {
	r.mustLive()
	r.destroyed = true
	b.db.mu.Lock()
	tombstone := max(b.db.tombstones[r.partition], r.id)
	b.db.tombstones[r.partition] = tombstone
	delete(b.db.replicas, r.partition)
	b.db.mu.Unlock()
	s := b.step(true)
	s.destroy = true
	start, end := partitionRange(r.partition)
	deleteRange(s.batch, start, end)
	set(s.batch, tombstoneKey(r.partition), encodeTombstone(tombstone))
}

func (r *Replica) mustLive() {
	if r.destroyed {
		panic(fmt.Sprintf("persist: partition %s: replica %d is used after it was destroyed", r.partition, r.id))
	}
}

// Writing to a batch that has no index cannot fail: it only grows a buffer.
func set(b *pebble.Batch, key, value []byte) {
	if err := b.Set(key, value, nil); err != nil {
		panic(err)
	}
}

func deleteRange(b *pebble.Batch, start, end []byte) {
	if err := b.DeleteRange(start, end, nil); err != nil {
		panic(err)
	}
}

func mustFinish(op *pebble.DeferredBatchOp) {
	if err := op.Finish(); err != nil {
		panic(err)
	}
}
