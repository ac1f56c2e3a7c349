package data

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"unsafe"

	"pxkv/node/kv"
	"pxkv/persist/disk"
	"pxkv/persist/state"
)

// Apply is the effects of the entries that one turn applied, of one or many partitions.
// What each partition gets is there after a crash as a whole or not at all; when it is lost, the
// log brings it again.
type Apply struct {
	store   *Store
	effects []effect
	latest  map[string]int    // partition and key -> position in effects; nil while there are few
	read    map[string]Record // long values that were read, by partition and key: looked for in effects first
	expiry  []expiryEffect    // in the order in which they happened
	labels  []label
	key     []byte // scratch: partition and key
}

type effect struct {
	key     string // partition and key
	record  Record // Value.Data is the caller's until Commit
	deleted bool
}

// Replica is whose entries an Apply applies. It is told how far its state has come when that can be read.
type Replica interface {
	Partition() kv.PartitionID
	ID() kv.ReplicaID
	SetApplied(*state.Applied)
}

// NewApply begins one.
func (s *Store) NewApply() *Apply {
	return &Apply{store: s}
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

// longRead is from what length on a value that was read is kept until Commit. The store has no other
// while a is being filled, and one that is asked for again and again must not be loaded as often.
const longRead = 4 << 10

// Get reads a key as it is after the effects put into a so far, and as it is stored: the value may be packed, see
// Unpack. The record's data must not be changed, but by who put it there: see Put.
func (a *Apply) Get(p kv.PartitionID, key []byte) (Record, bool, error) {
	k := a.effectKey(p, key)
	if i, ok := a.find(k); ok {
		e := &a.effects[i]
		return e.record, !e.deleted, nil
	}
	if rec, ok := a.read[string(k)]; ok {
		return rec, true, nil
	}
	rec, ok, err := a.store.getStored(p, key)
	if ok && len(rec.Value.Data) >= longRead {
		if a.read == nil {
			a.read = map[string]Record{}
		}
		a.read[string(k)] = rec
	}
	return rec, ok, err
}

// Unpack returns the data of a value that Get returned, unpacked. It must not be changed where the value was not
// packed.
func (a *Apply) Unpack(p kv.PartitionID, key []byte, v *kv.Value) ([]byte, error) {
	plain, err := a.store.unpackApplied.Unpack(v)
	if err != nil {
		return nil, unpackError(p, key, err)
	}
	return plain, nil
}

// Changed tells what the effects put into a so far make of a key: its record, or nil where they delete it.
// It is false where they leave it as it is in the store. The record is valid until a's next effect.
func (a *Apply) Changed(p kv.PartitionID, key []byte) (*Record, bool) {
	i, ok := a.find(a.effectKey(p, key))
	if !ok || a.effects[i].deleted {
		return nil, ok
	}
	return &a.effects[i].record, true
}

// Put sets a key, and enters it in the expiry index when it has a deadline, which is above 0.
// rec.Value.Data must not be changed until Commit has returned, unless it is put again.
func (a *Apply) Put(p kv.PartitionID, key []byte, rec Record) {
	if rec.DeadlineMS > 0 {
		a.expire(p, key, rec.DeadlineMS)
	}
	a.note(a.effectKey(p, key), effect{record: rec})
}

// SetKind gives the value of a key that was put another kind.
func (a *Apply) SetKind(p kv.PartitionID, key []byte, kind kv.Kind) {
	if i, ok := a.find(a.effectKey(p, key)); ok {
		a.effects[i].record.Value.Kind = kind
	}
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
func (a *Apply) SetApplied(r Replica, ap state.Applied) {
	for i := range a.labels {
		if a.labels[i].replica == r {
			a.labels[i].applied = ap
			return
		}
	}
	a.labels = append(a.labels, label{r, ap})
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
	if !a.store.disk.IsOpen() {
		return disk.ErrClosed
	}
	defer a.store.disk.FailOnPanic()
	// All buffers stay locked until each has its part. No one else holds two of them.
	changed := make([]*writeBuffer, 0, len(a.labels))
	of := func(p kv.PartitionID) *writeBuffer {
		for i := len(changed) - 1; i >= 0; i-- { // mostly the one of the effect before
			if changed[i].partition == p {
				return changed[i]
			}
		}
		b := a.store.makeBuffer(p)
		b.mu.Lock()
		changed = append(changed, b)
		return b
	}
	for i := range a.effects {
		e := &a.effects[i]
		if e.deleted {
			a.store.room.deleted.Store(true)
		} else {
			// It may be a small part of a log entry, which must not be kept as a whole.
			e.record.Value.Data = bytes.Clone(e.record.Value.Data)
		}
		p, _ := e.split()
		of(p).put(e.key[partitionLen:], pending{e.record, e.deleted})
	}
	for i := range a.expiry {
		e := &a.expiry[i]
		of(e.partition).active.expiry[string(e.key)] = e.removed
	}
	for i := range a.labels {
		of(a.labels[i].replica.Partition()).setApplied(&a.labels[i])
	}
	slices.SortFunc(changed, func(x, y *writeBuffer) int { return cmp.Compare(x.partition, y.partition) })
	added := 0
	for _, b := range changed {
		added += b.added
		b.added = 0
		b.mu.Unlock()
	}
	a.store.buffers.total.Add(int64(added))
	for i := range a.labels {
		a.labels[i].replica.SetApplied(&a.labels[i].applied)
	}
	a.store.drainFull(changed)
	return nil
}

// partitionLen is the length of the partition before the key of an effect.
const partitionLen = 4

// split returns the partition and the key of an effect. The key is only to be read.
func (e *effect) split() (kv.PartitionID, []byte) {
	b := unsafe.Slice(unsafe.StringData(e.key), len(e.key))
	return kv.PartitionID(binary.BigEndian.Uint32(b)), b[partitionLen:]
}
