package persist

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// Batch is the log writes of one turn: all groups, one record, one fsync. Filling it changes
// the views of the replicas at once; Commit puts it on disk, later and maybe on another
// goroutine. One is filled after the other, and they are committed in that order; one that
// stayed Empty may be left out.
type Batch struct {
	db     *DB
	number uint64 // of its record; 0 while it is empty
	buf    []byte // the record
	sync   bool
	roll   bool // it begins a segment
	// What Pebble has to do, before the record is written and once it is durable. If a crash
	// comes in between, the next Open does the rest.
	before, after []func() error
	newborn       *Replica      // the last one created
	birth         *pebble.Batch // what it begins with
}

// NewBatch begins a batch.
func (db *DB) NewBatch() *Batch {
	b := &Batch{db: db}
	if db.log.Full() && db.committed.Load() >= db.rolled {
		b.checkpoint()
		b.roll, db.rolled = true, b.number
	}
	db.reclaim(b)
	return b
}

// Empty reports whether nothing was put into b.
func (b *Batch) Empty() bool { return b.number == 0 }

// NeedsSync reports whether a promise rests on b: Commit then makes it outlive a crash
// before it returns. A commit index that moved, or a truncation, need no fsync.
func (b *Batch) NeedsSync() bool { return b.sync }

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
	r.created = true
	b.db.replicas[p] = r
	b.op(opCreate, p, true)
	r.record = b.number
	b.uvarints(uint64(id))
	b.bytes(initial.appendTo(nil))
	pb := b.db.pebble.NewBatch()
	set(pb, kindKey(p, kindApplied), appendAppliedRecord(nil, id, initial))
	b.newborn, b.birth = r, pb
	b.after = append(b.after, func() error { b.db.commitState(pb); return nil })
	return r
}

// Put sets a key of the replica that this Batch has just created: the data that a partition
// begins with is there with it or not at all. Everything later goes through an Apply.
func (b *Batch) Put(r *Replica, key []byte, rec Record) {
	if b.newborn != r {
		panic(fmt.Sprintf("persist: partition %s: put to a replica that is not being created", r.partition))
	}
	value := rec.AppendTo(nil)
	b.op(opPut, r.partition, true)
	b.bytes(key)
	b.bytes(value)
	set(b.birth, appendDataKey(nil, r.partition, key), value)
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
	if first <= r.log.last {
		r.log.cut(first)
		r.tail.cut(first)
	}
	for _, e := range entries {
		if e.GetIndex() != r.log.last+1 {
			panic(fmt.Sprintf("persist: partition %s: append of %d after %d", r.partition, e.GetIndex(), r.log.last))
		}
		b.op(opAppend, r.partition, true)
		at := b.entry(r.partition, e)
		r.log.push(e.GetTerm(), at)
		r.tail.push(e, int(at.size), b.number)
	}
	r.tail.evict(b.db.committed.Load(), r.applied.Load().Index)
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
	b.op(opHardState, r.partition, promise)
	b.hardState(h)
}

// Truncate drops r's log up to and including index, which must be applied, or as far as the
// effects are durable: entries above that are what a restart applies again. It is an error, and
// does nothing, above applied; below the log's first entry it is neither.
func (b *Batch) Truncate(r *Replica, index uint64) error {
	r.mustLive()
	if applied := r.applied.Load().Index; index > applied {
		return fmt.Errorf("partition %s: truncate log up to %d, but only %d is applied", r.partition, index, applied)
	}
	if index > r.durable && !cutUnflushed {
		b.db.wantDurable(r)
		index = min(index, r.durable)
	}
	if index < r.log.first() {
		return nil
	}
	r.log.truncate(index)
	r.tail.truncate(index)
	b.op(opTruncate, r.partition, false)
	b.entryID(r.log.base)
	return nil
}

// Destroy deletes r with all that it owns, and writes its tombstone in the same batch. r
// must not be used any more.
func (b *Batch) Destroy(r *Replica) {
	r.mustLive()
	r.destroyed = true
	db, p := b.db, r.partition
	db.mu.Lock()
	db.tombstones[p] = max(db.tombstones[p], r.id)
	delete(db.replicas, p)
	db.mu.Unlock()
	b.op(opDestroy, p, true)
	b.uvarints(uint64(r.id))
	b.after = append(b.after, func() error {
		err := db.replace(p, func() error {
			pb := db.pebble.NewBatch()
			deletePartition(pb, p)
			db.commitState(pb)
			return nil
		})
		db.dropBehind(p)
		if !db.opts.Light {
			db.flush() // gives the disk space back soon, also when nothing else is written
		}
		return err
	})
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

func deletePartition(b *pebble.Batch, p kv.PartitionID) {
	start, end := partitionRange(p)
	if err := b.DeleteRange(start, end, nil); err != nil {
		panic(err)
	}
}

func mustFinish(op *pebble.DeferredBatchOp) {
	if err := op.Finish(); err != nil {
		panic(err)
	}
}
