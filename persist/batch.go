package persist

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
	"pxkv/persist/state"
)

// Batch is what one turn writes: a raftlog.Batch, and with it what the data has to do. The log decides: the
// data follows when that is durable, and if a crash comes in between, the next Open lets it.
type Batch struct {
	raftlog.Batch
	db      *DB
	newborn *raftlog.Replica // the last one created
	birth   *data.Birth      // what it begins with
}

// NewBatch begins a batch.
func (db *DB) NewBatch() *Batch {
	b := &Batch{db: db}
	db.Begin(&b.Batch)
	return b
}

// Create is raftlog.Batch.Create, and makes the replica's data.
func (b *Batch) Create(p kv.PartitionID, id kv.ReplicaID, initial *state.Applied) *raftlog.Replica {
	if initial == nil {
		initial = &state.Applied{}
	}
	r := b.Batch.Create(p, id, initial)
	if r == nil {
		return nil
	}
	birth := b.db.NewBirth(p, id, initial)
	b.newborn, b.birth = r, birth
	b.After(func() error { birth.Commit(); return nil })
	return r
}

// Put sets a key of the replica that this Batch has just created: the data that a partition
// begins with is there with it or not at all. Everything later goes through an Apply.
func (b *Batch) Put(r *raftlog.Replica, key []byte, rec data.Record) {
	if b.newborn != r {
		panic(fmt.Sprintf("persist: partition %s: put to a replica that is not being created", r.Partition()))
	}
	value := rec.AppendTo(nil)
	b.Batch.Put(r, key, value)
	b.birth.Put(key, value)
}

// Install replaces r's log, data and applied state by the snapshot's, atomically: a crash
// finds all of the old or all of the new. hs is the hard state to have then, with the vote
// that the caller wants to keep; its commit index is raised to the snapshot's. b takes s
// over: Discard then does nothing. A snapshot of another partition is a broken invariant. In the
// place of a void state it must be newer than that: a start could not tell which of them Pebble has.
func (b *Batch) Install(r *raftlog.Replica, s *data.Staged, hs *raftpb.HardState) {
	p := r.Partition()
	if s.Partition() != p {
		panic(fmt.Sprintf("persist: snapshot of partition %s installed into partition %s", s.Partition(), p))
	}
	if !s.Take() {
		panic(fmt.Sprintf("persist: snapshot of partition %s was already installed or discarded", s.Partition()))
	}
	b.Batch.Install(r, s.Number(), s.Applied(), hs)
	id := r.ID()
	b.Before(func() error { return s.Prepare(id) })
	b.After(s.Install)
	if b.db.givenUp[r] {
		delete(b.db.givenUp, r)
		b.After(func() error { return b.db.forget(p.String()) })
	}
}

// Destroy deletes r with all that it owns, and writes its tombstone in the same batch. r
// must not be used any more.
func (b *Batch) Destroy(r *raftlog.Replica) {
	b.Batch.Destroy(r)
	p := r.Partition()
	b.After(func() error { return b.db.Store.Destroy(p) })
}
