package data

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/disk"
)

// The expiry index lists the keys of a partition that were given a deadline, in the order of
// the deadlines, so that those which have passed are found without a look at any other key.
//
// A put or a deletion leaves the key's old item where it is, unless the caller forgets it, as the
// state machine does: it would cost every put a read, also where no key has a deadline. Whoever clears
// the index up finds by the key's own record that such an item is out of date. So the index is a
// function of all puts and clearings since the partition began, not of its data alone: snapshots
// carry it as it is.

// kindExpiry comes after the partition: + deadline + the user's key.
const kindExpiry = 0x07

const expiryFormat = 1

// Due is an item of the expiry index.
type Due struct {
	Key        []byte
	DeadlineMS int64 // Unix milliseconds
	Current    bool  // the key still has this deadline
}

// expiryEffect is an item that an Apply adds to the index or removes from it.
type expiryEffect struct {
	partition kv.PartitionID
	key       []byte // as stored
	removed   bool
}

func expiryKey(p kv.PartitionID, deadlineMS int64, key []byte) []byte {
	b := binary.BigEndian.AppendUint64(appendKindKey(nil, p, kindExpiry), uint64(deadlineMS))
	return append(b, key...)
}

// expire enters a key in the expiry index.
func (a *Apply) expire(p kv.PartitionID, key []byte, deadlineMS int64) {
	a.expiry = append(a.expiry, expiryEffect{partition: p, key: expiryKey(p, deadlineMS, key)})
}

// Forget removes an item from the expiry index.
func (a *Apply) Forget(p kv.PartitionID, d Due) {
	a.expiry = append(a.expiry, expiryEffect{p, expiryKey(p, d.DeadlineMS, d.Key), true})
}

// Due is Store.Due as of before a, which must not have changed p yet.
func (a *Apply) Due(p kv.PartitionID, from Due, untilMS int64, limit int) (due []Due, next Due, err error) {
	return a.store.Due(p, from, untilMS, limit)
}

// Due lists the first items of p's expiry index whose deadline is at or before untilMS, at
// most limit of them. next is the first item that is not listed, with deadline 0 when there is
// none. The caller may know that no item comes before from, which spares a walk over those that
// were removed lately; the zero Due is the beginning.
func (s *Store) Due(p kv.PartitionID, from Due, untilMS int64, limit int) (due []Due, next Due, err error) {
	if !s.disk.IsOpen() {
		return nil, Due{}, disk.ErrClosed
	}
	start := expiryKey(p, from.DeadlineMS, from.Key)
	// Nothing is drained: Pebble may wait for the disk, and a turn must not. What is pending is read
	// first, so that nothing is missed that reaches Pebble meanwhile.
	pending := s.pendingExpiry(p, start)
	it, err := s.pebbleIter(start, prefixEnd(kindKey(p, kindExpiry)))
	if err != nil {
		return nil, Due{}, err
	}
	due, next, err = listDue(&expiryIter{stored: it, pending: pending}, untilMS, limit)
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return nil, Due{}, s.readError(fmt.Errorf("partition %s: expiry index: %w", p, err))
	}
	for i := range due {
		if due[i].Current, err = s.hasDeadline(p, due[i].Key, due[i].DeadlineMS); err != nil {
			return nil, Due{}, err
		}
	}
	return due, next, nil
}

// pendingItem is an item of the index that waits to be added to Pebble, or removed there.
type pendingItem struct {
	key     string // as stored
	removed bool
}

// pendingExpiry lists, in their order, the pending items of p at or above start.
func (s *Store) pendingExpiry(p kv.PartitionID, start []byte) (all []pendingItem) {
	b := s.bufferOf(p)
	if b == nil {
		return nil
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	for key, removed := range b.active.expiry {
		if key >= string(start) {
			all = append(all, pendingItem{key, removed})
		}
	}
	if b.immutable != nil {
		for key, removed := range b.immutable.expiry {
			if _, newer := b.active.expiry[key]; !newer && key >= string(start) {
				all = append(all, pendingItem{key, removed})
			}
		}
	}
	slices.SortFunc(all, func(x, y pendingItem) int { return cmp.Compare(x.key, y.key) })
	return all
}

// expiryIter walks over an index as it is with what is pending.
type expiryIter struct {
	stored  *pebble.Iterator
	pending []pendingItem
	begun   bool
}

// next returns the next item's key, nil at the end.
func (e *expiryIter) next() []byte {
	if !e.begun {
		e.begun = true
		e.stored.First()
	}
	for {
		valid := e.stored.Valid()
		if len(e.pending) == 0 || valid && string(e.stored.Key()) < e.pending[0].key {
			if !valid {
				return nil
			}
			key := bytes.Clone(e.stored.Key())
			e.stored.Next()
			return key
		}
		r := e.pending[0]
		e.pending = e.pending[1:]
		if valid && string(e.stored.Key()) == r.key {
			e.stored.Next()
		}
		if !r.removed {
			return []byte(r.key)
		}
	}
}

func listDue(e *expiryIter, untilMS int64, limit int) (due []Due, next Due, err error) {
	for key := e.next(); key != nil; key = e.next() {
		d, err := decodeDue(key[kindPrefixLen:])
		if err != nil {
			return nil, Due{}, err
		}
		if d.DeadlineMS > untilMS || len(due) >= limit {
			return due, d, nil
		}
		due = append(due, d)
	}
	return due, Due{}, nil
}

// decodeDue takes apart what follows the kind in a key of the index.
func decodeDue(b []byte) (Due, error) {
	if len(b) <= 8 {
		return Due{}, fmt.Errorf("%w: item of the expiry index has no key", codec.ErrCorrupt)
	}
	d := Due{DeadlineMS: int64(binary.BigEndian.Uint64(b)), Key: b[8:]}
	if d.DeadlineMS <= 0 {
		return Due{}, fmt.Errorf("%w: item of the expiry index has deadline %d", codec.ErrCorrupt, d.DeadlineMS)
	}
	return d, nil
}

// hasDeadline reports whether a key is there with that deadline.
func (s *Store) hasDeadline(p kv.PartitionID, key []byte, deadlineMS int64) (bool, error) {
	at, err := s.deadline(p, key)
	return at == deadlineMS, err
}

// Deadline is that of a key after the effects put into a so far, passed or not; 0 when it has none,
// or is not there.
func (a *Apply) Deadline(p kv.PartitionID, key []byte) (int64, error) {
	if i, ok := a.find(a.effectKey(p, key)); ok {
		return a.effects[i].deadline(), nil
	}
	return a.store.deadline(p, key)
}

func (e *effect) deadline() int64 {
	if e.deleted {
		return 0
	}
	return e.record.DeadlineMS
}

// deadline of a key. It copies no value.
func (s *Store) deadline(p kv.PartitionID, key []byte) (int64, error) {
	if b := s.bufferOf(p); b != nil {
		if e, ok := b.get(key); ok {
			if e.deleted {
				return 0, nil
			}
			return e.record.DeadlineMS, nil
		}
	}
	v, closer, err := s.pebble.Get(appendDataKey(nil, p, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, s.readError(err)
	}
	rec, err := DecodeRecord(v)
	if err = errors.Join(err, closer.Close()); err != nil {
		return 0, s.readError(fmt.Errorf("partition %s, key %q: %w", p, key, err))
	}
	return rec.DeadlineMS, nil
}

// writeExpiry writes the expiry index of the snapshot, behind its items.
func (s *SnapshotReader) writeExpiry(bw *blockWriter) (items, bytes uint64, err error) {
	it := s.view.it
	start := kindKey(s.view.partition, kindExpiry)
	it.SetBounds(start, prefixEnd(start))
	bw.begin(blockExpiry)
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()[kindPrefixLen:]
		if bw.payload() > 0 && bw.payload()+len(key) > s.chunkBytes() {
			if err := bw.end(); err != nil {
				return 0, 0, err
			}
			bw.begin(blockExpiry)
		}
		bw.buf = append(binary.AppendUvarint(bw.buf, uint64(len(key))), key...)
		items++
		bytes += uint64(len(key))
	}
	if err := it.Error(); err != nil {
		return 0, 0, s.view.store.readError(err)
	}
	if bw.payload() > 0 {
		return items, bytes, bw.end()
	}
	return items, bytes, nil
}

// readExpiry reads a block of the expiry index.
func readExpiry(payload []byte, tables *tableWriter) (items, bytes uint64, err error) {
	c := codec.Cursor{Rest: payload}
	for len(c.Rest) > 0 {
		b := c.Bytes(c.Uvarint())
		if c.Err != nil {
			break
		}
		d, err := decodeDue(b)
		if err == nil {
			err = tables.addExpiry(d)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("%w: %w", ErrSnapshotStream, err)
		}
		items++
		bytes += uint64(len(b))
	}
	if err := c.End("expiry index"); err != nil {
		return 0, 0, fmt.Errorf("%w: %w", ErrSnapshotStream, err)
	}
	return items, bytes, nil
}

// addExpiry writes the next item of the index, all of which come behind the items.
func (t *tableWriter) addExpiry(d Due) error {
	next := expiryKey(t.staged.partition, d.DeadlineMS, d.Key)
	if string(next) <= string(t.key) {
		return fmt.Errorf("item of the expiry index for key %q is out of order", d.Key)
	}
	return t.set(next, []byte{expiryFormat})
}
