package data

import (
	"sync"
	"sync/atomic"

	"pxkv/node/kv"
	"pxkv/persist/disk"
	"pxkv/persist/state"
)

// writeBuffer is the write-behind buffer of one partition: effects that can be read and are not in
// Pebble yet. Most writes of a busy system go to keys that were written a moment ago; each costs
// one insert into a hash table here, and only the last of them reaches Pebble, together with its
// neighbours in the order of the keys. Nothing is risked by that: until Pebble has flushed them
// the log brings them again, as it does with what is in Pebble's own memtable.
//
// Whoever needs an order, or the applied state together with the data, drains it first.
type writeBuffer struct {
	partition kv.PartitionID
	drained   disk.Task
	// bytes of the active effects, for those who must not wait for mu.
	bytes atomic.Int64

	handover sync.Mutex      // held by whoever hands effects on to Pebble; taken before mu
	spare    *pendingEffects // empty, to be used again

	mu        sync.RWMutex
	active    *pendingEffects // takes what is applied
	immutable *pendingEffects // on their way into Pebble, which may take as long as it likes; nil: none are
	added     int             // bytes, by the Apply that is being committed
}

// pendingEffects are what becomes one batch of Pebble.
type pendingEffects struct {
	keys    map[string]pending
	expiry  map[string]bool // items of the expiry index, as stored; true: removed
	applied *label          // the newest, nil when Pebble has it
	bytes   int             // of all, those that were overwritten included
}

// pending is what a key holds.
type pending struct {
	record  Record
	deleted bool
}

// label is how far a replica has come with the effects that are written with it.
type label struct {
	replica Replica
	applied state.Applied
}

// pendingOverhead is about what an effect takes besides its key and value.
const pendingOverhead = 256

func newWriteBuffer(p kv.PartitionID) *writeBuffer {
	return &writeBuffer{partition: p, active: newPendingEffects(), spare: newPendingEffects()}
}

func newPendingEffects() *pendingEffects {
	return &pendingEffects{keys: map[string]pending{}, expiry: map[string]bool{}}
}

func (e *pendingEffects) empty() bool {
	return len(e.keys)+len(e.expiry) == 0 && e.applied == nil
}

func (e *pendingEffects) clear() {
	clear(e.keys)
	clear(e.expiry)
	e.applied, e.bytes = nil, 0
}

// get looks a key up; ok is false when Pebble has to be asked.
func (b *writeBuffer) get(key []byte) (e pending, ok bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if e, ok = b.active.keys[string(key)]; !ok && b.immutable != nil {
		e, ok = b.immutable.keys[string(key)]
	}
	return e, ok
}

// put takes an effect in. b.mu is held.
func (b *writeBuffer) put(key string, e pending) {
	b.active.keys[key] = e
	b.add(len(key) + len(e.record.Value.Data) + pendingOverhead)
}

func (b *writeBuffer) add(n int) {
	b.active.bytes += n
	b.added += n
	b.bytes.Store(int64(b.active.bytes))
}

// setApplied takes in how far a replica has come. b.mu is held.
func (b *writeBuffer) setApplied(l *label) {
	b.active.applied = l
	b.add(pendingOverhead)
}

// rotate takes the active effects away, to be handed on to Pebble; nil when there are none. b.handover is
// held until they are retired.
func (b *writeBuffer) rotate() *pendingEffects {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.active
	if e.empty() {
		return nil
	}
	b.active, b.immutable, b.spare = b.spare, e, nil
	b.bytes.Store(0)
	return e
}

// retire ends what rotate began: Pebble has the effects.
func (b *writeBuffer) retire(e *pendingEffects) {
	b.mu.Lock()
	b.immutable = nil
	b.mu.Unlock()
	e.clear()
	b.spare = e
}
