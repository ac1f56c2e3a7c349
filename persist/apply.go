package persist

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
)

// Apply is the effects of the entries that one turn applied, of one or many partitions.
// Either all of it is there after a crash or nothing; when it is lost, the log, which stands
// before it in the same WAL, brings it again.
type Apply struct {
	db      *DB
	batch   *pebble.Batch
	effects []effect
	latest  map[string]int // partition and key -> position in effects
	applied []replicaApplied
	key     []byte // scratch: partition and key
	value   []byte // scratch: a record's header
}

type effect struct {
	key     string // partition and key
	record  Record // Value.Data is the caller's
	deleted bool
}

type replicaApplied struct {
	replica *Replica
	applied Applied
}

// NewApply begins one.
func (db *DB) NewApply() *Apply {
	return &Apply{db: db, batch: db.pebble.NewBatch(), latest: map[string]int{}}
}

// Get reads a key as it is after the effects put into a so far. The record owns its memory,
// or shares it with the Put that made it.
func (a *Apply) Get(p kv.PartitionID, key []byte) (Record, bool, error) {
	if i, ok := a.latest[string(a.effectKey(p, key))]; ok {
		e := &a.effects[i]
		return e.record, !e.deleted, nil
	}
	return a.db.Get(p, key)
}

// Exists is like Get, and says only whether the key is there. known, where it is not nil, may
// know without a look into the store that a key is in it.
func (a *Apply) Exists(p kv.PartitionID, key []byte, known func(kv.PartitionID, []byte) bool) (bool, error) {
	if i, ok := a.latest[string(a.effectKey(p, key))]; ok {
		return !a.effects[i].deleted, nil
	}
	if known != nil && known(p, key) {
		return true, nil
	}
	_, ok, err := a.db.Get(p, key)
	return ok, err
}

// Put sets a key. rec.Value.Data must not be changed until Commit has returned.
func (a *Apply) Put(p kv.PartitionID, key []byte, rec Record) {
	a.value = rec.appendHeader(a.value[:0])
	op := a.batch.SetDeferred(kindPrefixLen+len(key), len(a.value)+len(rec.Value.Data))
	appendDataKey(op.Key[:0], p, key)
	copy(op.Value[copy(op.Value, a.value):], rec.Value.Data)
	mustFinish(op)
	a.note(effect{key: string(a.effectKey(p, key)), record: rec})
}

// Delete removes a key, which need not be there.
func (a *Apply) Delete(p kv.PartitionID, key []byte) {
	op := a.batch.DeleteDeferred(kindPrefixLen + len(key))
	appendDataKey(op.Key[:0], p, key)
	mustFinish(op)
	a.note(effect{key: string(a.effectKey(p, key)), deleted: true})
}

func (a *Apply) note(e effect) {
	if i, ok := a.latest[e.key]; ok {
		a.effects[i] = e
		return
	}
	a.latest[e.key] = len(a.effects)
	a.effects = append(a.effects, e)
}

func (a *Apply) effectKey(p kv.PartitionID, key []byte) []byte {
	a.key = append(binary.BigEndian.AppendUint32(a.key[:0], uint32(p)), key...)
	return a.key
}

// SetApplied says how far r's state machine has come with these effects. It is written in
// the same batch; the last call for each replica counts.
func (a *Apply) SetApplied(r *Replica, ap Applied) {
	for i := range a.applied {
		if a.applied[i].replica == r {
			a.applied[i].applied = ap
			return
		}
	}
	a.applied = append(a.applied, replicaApplied{r, ap})
}

// Touched calls f for each key put or deleted, once, in the order of the first touch, with
// what it holds now, or nil. All are valid during the call.
func (a *Apply) Touched(f func(p kv.PartitionID, key []byte, now *Record)) {
	for i := range a.effects {
		e := &a.effects[i]
		key := append(a.key[:0], e.key...)
		now := &e.record
		if e.deleted {
			now = nil
		}
		f(kv.PartitionID(binary.BigEndian.Uint32(key)), key[4:], now)
		a.key = key
	}
}

// Commit writes a. It does not wait for the disk. A disk that fails does not let it return.
func (a *Apply) Commit() error {
	if !a.db.open.Load() {
		return ErrClosed
	}
	defer a.db.failOnPanic()
	if appliedInOwnBatch {
		a.db.commit(a.batch, true, 0, "effects")
		a.db.between()
		a.batch = a.db.pebble.NewBatch()
	}
	for i := range a.applied {
		ra := &a.applied[i]
		a.value = ra.applied.appendTo(a.value[:0])
		set(a.batch, appendKindKey(a.key[:0], ra.replica.partition, kindApplied), a.value)
	}
	if a.batch.Empty() {
		return a.batch.Close()
	}
	a.db.commit(a.batch, false, 0, "effects")
	for i := range a.applied {
		a.applied[i].replica.setApplied(&a.applied[i].applied)
	}
	return nil
}
