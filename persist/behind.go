package persist

import (
	"maps"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
)

// behind is the write-behind buffer of one partition: effects that can be read and are not in
// Pebble yet. Most writes of a busy system go to keys that were written a moment ago; each costs
// one insert into a hash table here, and only the last of them reaches Pebble, together with its
// neighbours in the order of the keys. Nothing is risked by that: until Pebble has flushed them
// the log brings them again, as it does with what is in Pebble's own write buffer.
//
// Whoever needs an order, or the applied state together with the data, drains it first.
type behind struct {
	partition kv.PartitionID

	mu      sync.RWMutex
	effects map[string]late // by key
	expiry  map[string]bool // records of the expiry index, as stored; true: removed
	applied *replicaApplied // the newest, nil when Pebble has it
	bytes   int             // of effects since it was drained, those that were overwritten included
	added   int             // of them by the Apply that is being committed
}

// late is what a key holds.
type late struct {
	record  Record
	deleted bool
}

const (
	// behindBytes is at how many bytes of effects a buffer is drained, which holds up a turn for
	// some milliseconds; allBehindBytes is how much of the log a restart has to apply again because
	// all the buffers were lost. lightBehindBytes and lightAllBehindBytes are for Options.Light.
	behindBytes         = 2 << 20
	allBehindBytes      = 24 << 20
	lightBehindBytes    = 3 << 10
	lightAllBehindBytes = 8 << 10
	// lateOverhead is about what an effect takes besides its key and value.
	lateOverhead = 256
)

// behindOf returns the buffer of p; nil if there is none, and nothing was applied to p.
func (db *DB) behindOf(p kv.PartitionID) *behind { return (*db.behind.Load())[p] }

// makeBehind returns the buffer of p.
func (db *DB) makeBehind(p kv.PartitionID) *behind {
	if b := db.behindOf(p); b != nil {
		return b
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	all := *db.behind.Load()
	if all[p] == nil {
		all = maps.Clone(all)
		all[p] = &behind{partition: p, effects: map[string]late{}, expiry: map[string]bool{}}
		db.behind.Store(&all)
	}
	return all[p]
}

// dropBehind forgets the buffer of p, which is destroyed.
func (db *DB) dropBehind(p kv.PartitionID) {
	db.mu.Lock()
	defer db.mu.Unlock()
	all := maps.Clone(*db.behind.Load())
	delete(all, p)
	db.behind.Store(&all)
}

// drainFull drains what has grown too large: those buffers that did by themselves, and, when all
// together did, the largest, one in each turn.
func (db *DB) drainFull(changed []*behind) {
	one, all := behindBytes, int64(allBehindBytes)
	if db.opts.Light {
		one, all = lightBehindBytes, lightAllBehindBytes
	}
	for _, b := range changed {
		b.mu.Lock()
		if b.bytes > one {
			db.drain(b)
		}
		b.mu.Unlock()
	}
	if db.behindTotal.Load() <= all {
		return
	}
	var largest *behind
	most := 0
	for _, b := range *db.behind.Load() {
		b.mu.RLock()
		if b.bytes > most || b.bytes == most && largest != nil && b.partition < largest.partition {
			largest, most = b, b.bytes
		}
		b.mu.RUnlock()
	}
	if largest != nil {
		db.drainPartition(largest.partition)
	}
}

// get looks a key up; ok is false when Pebble has to be asked.
func (b *behind) get(key []byte) (l late, ok bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	l, ok = b.effects[string(key)]
	return l, ok
}

// put takes an effect in. b.mu is held.
func (b *behind) put(key string, l late) {
	b.effects[key] = l
	b.add(len(key) + len(l.record.Value.Data) + lateOverhead)
}

func (b *behind) add(n int) {
	b.bytes += n
	b.added += n
}

// setApplied takes in how far a replica has come. b.mu is held.
func (b *behind) setApplied(ra *replicaApplied) {
	b.applied = ra
	b.add(lateOverhead)
}

// drain hands everything on to Pebble. b.mu is held.
func (db *DB) drain(b *behind) {
	if len(b.effects)+len(b.expiry) == 0 && b.applied == nil {
		return
	}
	defer db.failOnPanic()
	pb := db.pebble.NewBatch()
	if appliedInOwnBatch {
		b.writeEffects(pb)
		db.commitState(pb)
		db.flushNow() // as if the write buffer was full just now
		db.between()
		pb = db.pebble.NewBatch()
		b.writeApplied(pb)
	} else {
		b.writeApplied(pb)
		b.writeEffects(pb)
	}
	db.commitState(pb)
	db.empty(b)
}

// empty forgets what b holds. b.mu is held.
func (db *DB) empty(b *behind) {
	db.behindTotal.Add(-int64(b.bytes))
	clear(b.effects)
	clear(b.expiry)
	b.applied, b.bytes = nil, 0
}

func (b *behind) writeApplied(pb *pebble.Batch) {
	if ra := b.applied; ra != nil {
		set(pb, kindKey(b.partition, kindApplied), appendAppliedRecord(nil, ra.replica.id, &ra.applied))
	}
}

// writeEffects writes them in the order of their keys: each insert into Pebble's write buffer
// then begins where the one before it ended.
func (b *behind) writeEffects(pb *pebble.Batch) {
	var header [maxRecordHeader]byte
	for _, key := range slices.Sorted(maps.Keys(b.effects)) {
		l := b.effects[key]
		if l.deleted {
			op := pb.DeleteDeferred(kindPrefixLen + len(key))
			copy(appendKindKey(op.Key[:0], b.partition, kindData)[:len(op.Key)][kindPrefixLen:], key)
			mustFinish(op)
			continue
		}
		head := l.record.appendHeader(header[:0])
		op := pb.SetDeferred(kindPrefixLen+len(key), len(head)+len(l.record.Value.Data))
		copy(appendKindKey(op.Key[:0], b.partition, kindData)[:len(op.Key)][kindPrefixLen:], key)
		copy(op.Value[copy(op.Value, head):], l.record.Value.Data)
		mustFinish(op)
	}
	for _, key := range slices.Sorted(maps.Keys(b.expiry)) {
		if b.expiry[key] {
			if err := pb.Delete([]byte(key), nil); err != nil {
				panic(err)
			}
			continue
		}
		set(pb, []byte(key), []byte{expiryFormat})
	}
}

// drainPartition drains the buffer of p.
func (db *DB) drainPartition(p kv.PartitionID) {
	if b := db.behindOf(p); b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		db.drain(b)
	}
}

// drainAll drains all of them.
func (db *DB) drainAll() {
	for _, p := range slices.Sorted(maps.Keys(*db.behind.Load())) {
		db.drainPartition(p)
	}
}

// iter makes an iterator over some of p as it is at one moment.
func (db *DB) iter(p kv.PartitionID, start, end []byte) (*pebble.Iterator, error) {
	if b := db.behindOf(p); b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		db.drain(b)
	}
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return nil, db.readError(err)
	}
	return it, nil
}

// replace lets do change all that Pebble has of p, and forgets what was to come before that.
func (db *DB) replace(p kv.PartitionID, do func() error) error {
	if b := db.behindOf(p); b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		db.empty(b)
	}
	return do()
}
