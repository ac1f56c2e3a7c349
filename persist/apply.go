package persist

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
)

// Apply is the effects of the entries that one turn applied, of one or many partitions.
// Either all of it is there after a crash or nothing; when it is lost, the log brings it again.
//
// It is put into a Pebble batch at the end, in the order of the keys: each insert into the
// write buffer then begins where the one before it ended.
type Apply struct {
	db      *DB
	effects []effect
	latest  map[string]int // partition and key -> position in effects
	expiry  []expiryEffect // in the order in which they happened
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
	return &Apply{db: db, latest: map[string]int{}}
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

// Exists is like Get, and says only whether the key is there and has not expired at timeMS. known,
// where it is not nil, may know without a look into the store that a key without a deadline is in it.
func (a *Apply) Exists(p kv.PartitionID, key []byte, timeMS int64, known func(kv.PartitionID, []byte) bool) (bool, error) {
	if i, ok := a.latest[string(a.effectKey(p, key))]; ok {
		e := &a.effects[i]
		return !e.deleted && !kv.Expired(e.record.DeadlineMS, timeMS), nil
	}
	if known != nil && known(p, key) {
		return true, nil
	}
	rec, ok, err := a.db.Get(p, key)
	return ok && !kv.Expired(rec.DeadlineMS, timeMS), err
}

// Put sets a key, and enters it in the expiry index when it has a deadline, which is above 0.
// rec.Value.Data must not be changed until Commit has returned.
func (a *Apply) Put(p kv.PartitionID, key []byte, rec Record) {
	if rec.DeadlineMS > 0 {
		a.expire(p, key, rec.DeadlineMS)
	}
	a.note(effect{key: string(a.effectKey(p, key)), record: rec})
}

// Delete removes a key, which need not be there.
func (a *Apply) Delete(p kv.PartitionID, key []byte) {
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
		now := &e.record
		if e.deleted {
			now = nil
		}
		p, key := e.split()
		f(p, key, now)
	}
}

// Commit writes a. It does not wait for the disk. A disk that fails does not let it return.
func (a *Apply) Commit() error {
	if !a.db.open.Load() {
		return ErrClosed
	}
	defer a.db.failOnPanic()
	if len(a.effects)+len(a.expiry)+len(a.applied) == 0 {
		return nil
	}
	order := a.inOrder()
	slices.SortFunc(a.applied, func(x, y replicaApplied) int {
		return cmp.Compare(x.replica.partition, y.replica.partition)
	})
	batch := a.db.pebble.NewBatch()
	if appliedInOwnBatch {
		for _, i := range order {
			a.write(batch, &a.effects[i])
		}
		a.writeExpiry(batch)
		order, a.expiry = nil, nil
		a.db.commitState(batch)
		a.db.flushNow() // as if the write buffer was full just now
		a.db.between()
		batch = a.db.pebble.NewBatch()
	}
	for i := range a.applied {
		ra := &a.applied[i]
		order = a.writeBelow(batch, order, ra.replica.partition)
		a.value = appendAppliedRecord(a.value[:0], ra.replica.id, &ra.applied)
		set(batch, appendKindKey(a.key[:0], ra.replica.partition, kindApplied), a.value)
	}
	for _, i := range order {
		a.write(batch, &a.effects[i])
	}
	a.writeExpiry(batch)
	a.db.commitState(batch)
	for i := range a.applied {
		a.applied[i].replica.setApplied(&a.applied[i].applied)
	}
	return nil
}

// inOrder returns the positions of the effects in the order of their keys.
func (a *Apply) inOrder() []int {
	order := make([]int, len(a.effects))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return strings.Compare(a.effects[x].key, a.effects[y].key) })
	return order
}

// writeBelow writes the effects of the partitions before p and returns the others.
func (a *Apply) writeBelow(batch *pebble.Batch, order []int, p kv.PartitionID) []int {
	for len(order) > 0 {
		e := &a.effects[order[0]]
		if partition, _ := e.split(); partition >= p {
			break
		}
		a.write(batch, e)
		order = order[1:]
	}
	return order
}

// write puts an effect into a Pebble batch.
func (a *Apply) write(batch *pebble.Batch, e *effect) {
	p, key := e.split()
	if e.deleted {
		op := batch.DeleteDeferred(kindPrefixLen + len(key))
		appendDataKey(op.Key[:0], p, key)
		mustFinish(op)
		return
	}
	a.value = e.record.appendHeader(a.value[:0])
	op := batch.SetDeferred(kindPrefixLen+len(key), len(a.value)+len(e.record.Value.Data))
	appendDataKey(op.Key[:0], p, key)
	copy(op.Value[copy(op.Value, a.value):], e.record.Value.Data)
	mustFinish(op)
}

// split returns the partition and the key of an effect. The key is only to be read.
func (e *effect) split() (kv.PartitionID, []byte) {
	b := unsafe.Slice(unsafe.StringData(e.key), len(e.key))
	return kv.PartitionID(binary.BigEndian.Uint32(b)), b[4:]
}
