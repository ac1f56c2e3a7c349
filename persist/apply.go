package persist

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"unsafe"

	"pxkv/node/kv"
)

// Apply is the effects of the entries that one turn applied, of one or many partitions.
// What each partition gets is there after a crash as a whole or not at all; when it is lost, the
// log brings it again.
type Apply struct {
	db      *DB
	effects []effect
	latest  map[string]int // partition and key -> position in effects; nil while there are few
	expiry  []expiryEffect // in the order in which they happened
	applied []replicaApplied
	key     []byte // scratch: partition and key
}

type effect struct {
	key     string // partition and key
	record  Record // Value.Data is the caller's until Commit
	deleted bool
}

type replicaApplied struct {
	replica *Replica
	applied Applied
}

// NewApply begins one.
func (db *DB) NewApply() *Apply {
	return &Apply{db: db}
}

// fewEffects is up to how many a walk finds a key faster than a hash table, which has to be filled.
const fewEffects = 16

// find returns the position of the effect on a partition and key.
func (a *Apply) find(key []byte) (int, bool) {
	if a.latest != nil {
		i, ok := a.latest[string(key)]
		return i, ok
	}
	for i := range a.effects {
		if a.effects[i].key == string(key) {
			return i, true
		}
	}
	return 0, false
}

// Get reads a key as it is after the effects put into a so far. The record's data must not be
// changed.
func (a *Apply) Get(p kv.PartitionID, key []byte) (Record, bool, error) {
	if i, ok := a.find(a.effectKey(p, key)); ok {
		e := &a.effects[i]
		return e.record, !e.deleted, nil
	}
	return a.db.Get(p, key)
}

// Exists is like Get, and says only whether the key is there and has not expired at timeMS. known,
// where it is not nil, may know without a look into the store that a key without a deadline is in it.
func (a *Apply) Exists(p kv.PartitionID, key []byte, timeMS int64, known func(kv.PartitionID, []byte) bool) (bool, error) {
	if i, ok := a.find(a.effectKey(p, key)); ok {
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
	a.note(a.effectKey(p, key), effect{record: rec})
}

// Delete removes a key, which need not be there.
func (a *Apply) Delete(p kv.PartitionID, key []byte) {
	a.note(a.effectKey(p, key), effect{deleted: true})
}

func (a *Apply) note(key []byte, e effect) {
	if i, ok := a.find(key); ok {
		e.key = a.effects[i].key
		a.effects[i] = e
		return
	}
	e.key = string(key)
	a.effects = append(a.effects, e)
	switch n := len(a.effects); {
	case a.latest != nil:
		a.latest[e.key] = n - 1
	case n > fewEffects:
		a.latest = make(map[string]int, 4*fewEffects)
		for i := range a.effects {
			a.latest[a.effects[i].key] = i
		}
	}
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
// what it holds now, or nil. p and key are valid during the call; after Commit now's data is never
// changed and may be kept.
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

// Commit makes a readable, each partition's part at a stroke. It does not wait for the disk. A
// disk that fails does not let it return.
func (a *Apply) Commit() error {
	if !a.db.open.Load() {
		return ErrClosed
	}
	defer a.db.failOnPanic()
	// All buffers stay locked until each has its part. No one else holds two of them.
	changed := make([]*behind, 0, len(a.applied))
	of := func(p kv.PartitionID) *behind {
		for i := len(changed) - 1; i >= 0; i-- { // mostly the one of the effect before
			if changed[i].partition == p {
				return changed[i]
			}
		}
		b := a.db.makeBehind(p)
		b.mu.Lock()
		changed = append(changed, b)
		return b
	}
	for i := range a.effects {
		e := &a.effects[i]
		if !e.deleted {
			// It may be a small part of a log entry, which must not be kept as a whole.
			e.record.Value.Data = bytes.Clone(e.record.Value.Data)
		}
		p, _ := e.split()
		of(p).put(e.key[partitionLen:], late{e.record, e.deleted})
	}
	for i := range a.expiry {
		e := &a.expiry[i]
		of(e.partition).expiry[string(e.key)] = e.removed
	}
	for i := range a.applied {
		of(a.applied[i].replica.partition).setApplied(&a.applied[i])
	}
	slices.SortFunc(changed, func(x, y *behind) int { return cmp.Compare(x.partition, y.partition) })
	added := 0
	for _, b := range changed {
		added += b.added
		b.added = 0
		b.mu.Unlock()
	}
	a.db.behindTotal.Add(int64(added))
	for i := range a.applied {
		a.applied[i].replica.setApplied(&a.applied[i].applied)
	}
	a.db.drainFull(changed)
	return nil
}

// partitionLen is the length of the partition before the key of an effect.
const partitionLen = 4

// split returns the partition and the key of an effect. The key is only to be read.
func (e *effect) split() (kv.PartitionID, []byte) {
	b := unsafe.Slice(unsafe.StringData(e.key), len(e.key))
	return kv.PartitionID(binary.BigEndian.Uint32(b)), b[partitionLen:]
}
