package raftlog

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/state"
)

// Batch is the log writes of one turn: all groups, one record of the log, one fsync. Filling it changes
// the views of the replicas at once; Commit puts it on disk, later and maybe on another
// goroutine. One is filled after the other, and they are committed in that order; one that
// stayed Empty may be left out.
type Batch struct {
	log    *Log
	number uint64 // 0 while it is empty
	buf    []byte // what is written
	sync   bool
	roll   bool // it begins a segment
	// What has to be done elsewhere, before the batch is written and once it is durable. If a crash
	// comes in between, the next start does the rest.
	before, after []func() error
}

// Begin begins a batch in b, which is new.
func (l *Log) Begin(b *Batch) {
	b.log = l
	if l.wal.Full() && l.committed.Load() >= l.rolled {
		b.checkpoint()
		b.roll, l.rolled = true, b.number
	}
	l.reclaim(b)
}

// Empty reports whether nothing was put into b.
func (b *Batch) Empty() bool { return b.number == 0 }

// NeedsSync reports whether a promise rests on b: Commit then makes it outlive a crash
// before it returns. A commit index that moved, or a truncation, need no fsync.
func (b *Batch) NeedsSync() bool { return b.sync }

// Before has step done before b is written, After once it is durable. An error is the node's end.
func (b *Batch) Before(step func() error) { b.before = append(b.before, step) }

// After is described at Before.
func (b *Batch) After(step func() error) { b.after = append(b.after, step) }

// Waits reports whether Commit has to do something elsewhere, which may take long.
func (b *Batch) Waits() bool { return len(b.before)+len(b.after) > 0 }

// Create makes a replica. Without initial it is a learner that waits for a snapshot; with
// it, it is one that was there from the cluster's beginning, whose log begins after
// initial.Index. It returns nil, and does nothing, when p has a replica here or id is at or
// below p's tombstone: such an order comes from the past.
func (b *Batch) Create(p kv.PartitionID, id kv.ReplicaID, initial *state.Applied) *Replica {
	at := &b.log.roster
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.replicas[p] != nil || id <= at.tombstones[p] {
		return nil
	}
	if initial == nil {
		initial = &state.Applied{}
	}
	r := newReplica(b.log, p, id, entryID{initial.Index, initial.Term}, initial)
	r.hard = hardState{term: initial.Term, commit: initial.Index}
	at.replicas[p] = r
	b.op(opCreate, p, true)
	r.durability.created, r.durability.batch = true, b.number
	b.uvarints(uint64(id))
	b.bytes(initial.AppendTo(nil))
	return r
}

// Put remembers data that the replica begins with which this Batch has just created, until that is durable
// elsewhere.
func (b *Batch) Put(r *Replica, key, value []byte) {
	b.op(opPut, r.partition, true)
	b.bytes(key)
	b.bytes(value)
}

// Append adds entries to r's log. The first may overwrite: everything from its index on is
// then gone, in the same batch. A gap is a broken invariant.
func (b *Batch) Append(r *Replica, entries []*raftpb.Entry) {
	if len(entries) == 0 {
		return
	}
	r.mustLive()
	first := entries[0].GetIndex()
	if first <= r.outline.base.index || first > r.outline.last+1 {
		panic(fmt.Sprintf("persist: partition %s: append at %d to a log of %d to %d",
			r.partition, first, r.outline.first(), r.outline.last))
	}
	if first <= r.outline.last {
		r.outline.cut(first)
		r.tail.cut(first)
	}
	for _, e := range entries {
		if e.GetIndex() != r.outline.last+1 {
			panic(fmt.Sprintf("persist: partition %s: append of %d after %d", r.partition, e.GetIndex(),
				r.outline.last))
		}
		b.op(opAppend, r.partition, true)
		at := b.entry(r.partition, e)
		r.outline.push(e.GetTerm(), at)
		r.tail.push(e, int(at.size), b.number)
	}
	r.tail.evict(b.log.committed.Load(), r.applied.Load().Index, &b.log.o.Limits)
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

// SyncHardState makes r's hard state outlive a crash, also what an earlier batch wrote of it without a
// sync. Where all that was written is on the disk a batch that is empty stays so.
func (b *Batch) SyncHardState(r *Replica) {
	r.mustLive()
	switch {
	case !b.Empty():
		b.sync = true
	case b.log.synced.Load() < b.log.batches.Load():
		b.op(opHardState, r.partition, true)
		b.hardState(r.hard)
	}
}

// Truncate drops r's log up to and including index, which must be applied, or as far as the
// effects are durable: entries above that are what a restart applies again. It is an error, and
// does nothing, above applied; below the log's first entry it is neither.
func (b *Batch) Truncate(r *Replica, index uint64) error {
	r.mustLive()
	if applied := r.applied.Load().Index; index > applied {
		return fmt.Errorf("partition %s: truncate log up to %d, but only %d is applied", r.partition, index, applied)
	}
	if index > r.durability.index && !cutUnflushed {
		b.log.wantDurable(r)
		index = min(index, r.durability.index)
	}
	if index < r.outline.first() {
		return nil
	}
	r.outline.truncate(index)
	r.tail.truncate(index)
	b.op(opTruncate, r.partition, false)
	b.entryID(r.outline.base)
	return nil
}

// Void marks r's data and applied state as not to be believed, until a snapshot is installed; its log
// and its promises stand. A restart finds the mark.
func (b *Batch) Void(r *Replica) {
	r.mustLive()
	r.void = true
	b.op(opVoid, r.partition, true)
}

// Install says that r's log and state are those of a snapshot, which has that number elsewhere. hs is the hard
// state to have then, with the vote that the caller wants to keep; its commit index is raised to the
// snapshot's.
func (b *Batch) Install(r *Replica, number uint64, ap state.Applied, hs *raftpb.HardState) {
	r.mustLive()
	r.hard = hardState{term: hs.GetTerm(), vote: hs.GetVote(), commit: max(hs.GetCommit(), ap.Index)}
	r.outline = newOutline(entryID{ap.Index, ap.Term})
	r.tail = tail{}
	r.setApplied(&ap)
	r.durability.index, r.durability.created, r.void = ap.Index, false, false
	b.op(opInstall, r.partition, true)
	b.uvarints(number)
	b.hardState(r.hard)
	b.entryID(r.outline.base)
}

// Destroy ends r, and writes its tombstone in the same batch. r must not be used any more.
func (b *Batch) Destroy(r *Replica) {
	r.mustLive()
	r.destroyed = true
	at, p := &b.log.roster, r.partition
	at.mu.Lock()
	at.tombstones[p] = max(at.tombstones[p], r.id)
	delete(at.replicas, p)
	at.mu.Unlock()
	b.op(opDestroy, p, true)
	b.uvarints(uint64(r.id))
}

func (r *Replica) mustLive() {
	if r.destroyed {
		panic(fmt.Sprintf("persist: partition %s: replica %d is used after it was destroyed", r.partition, r.id))
	}
}
