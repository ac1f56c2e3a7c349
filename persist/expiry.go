package persist

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
)

// The expiry index lists the keys of a partition that were given a deadline, in the order of
// the deadlines, so that those which have passed are found without a look at any other key.
//
// A put that takes a deadline away, or gives another, leaves the old record where it is: looking
// for it would cost every put a read. Whoever clears the index up finds by the key's own record
// that such an entry is out of date. So the index is a function of all puts and clearings since
// the partition began, not of its data alone: snapshots carry it as it is.

// kindExpiry comes after the partition: + deadline + the user's key.
const kindExpiry = 0x07

const expiryFormat = 1

// Due is a record of the expiry index.
type Due struct {
	Key        []byte
	DeadlineMS int64 // Unix milliseconds
	Current    bool  // the key still has this deadline
}

// expiryEffect is a record that an Apply adds to the index or removes from it.
type expiryEffect struct {
	key     []byte // as stored
	removed bool
}

func appendExpiryKey(b []byte, p kv.PartitionID, deadlineMS int64, key []byte) []byte {
	b = binary.BigEndian.AppendUint64(appendKindKey(b, p, kindExpiry), uint64(deadlineMS))
	return append(b, key...)
}

// expire enters a key in the expiry index.
func (a *Apply) expire(p kv.PartitionID, key []byte, deadlineMS int64) {
	a.expiry = append(a.expiry, expiryEffect{key: appendExpiryKey(nil, p, deadlineMS, key)})
}

// Forget removes a record from the expiry index.
func (a *Apply) Forget(p kv.PartitionID, d Due) {
	a.expiry = append(a.expiry, expiryEffect{appendExpiryKey(nil, p, d.DeadlineMS, d.Key), true})
}

// writeExpiry puts the changes of the index into a Pebble batch.
func (a *Apply) writeExpiry(batch *pebble.Batch) {
	for i := range a.expiry {
		e := &a.expiry[i]
		if e.removed {
			if err := batch.Delete(e.key, nil); err != nil {
				panic(err)
			}
			continue
		}
		set(batch, e.key, []byte{expiryFormat})
	}
}

// Due is DB.Due as of before a, which must not have changed p yet.
func (a *Apply) Due(p kv.PartitionID, from Due, untilMS int64, limit int) (due []Due, next Due, err error) {
	return a.db.Due(p, from, untilMS, limit)
}

// Due lists the first records of p's expiry index whose deadline is at or before untilMS, at
// most limit of them. next is the first record that is not listed, with deadline 0 when there is
// none. The caller may know that no record comes before from, which spares a walk over those that
// were removed lately; the zero Due is the beginning.
func (db *DB) Due(p kv.PartitionID, from Due, untilMS int64, limit int) (due []Due, next Due, err error) {
	if !db.open.Load() {
		return nil, Due{}, ErrClosed
	}
	end := prefixEnd(kindKey(p, kindExpiry))
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: appendExpiryKey(nil, p, from.DeadlineMS, from.Key), UpperBound: end})
	if err != nil {
		return nil, Due{}, db.readError(err)
	}
	due, next, err = listDue(it, untilMS, limit)
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return nil, Due{}, db.readError(fmt.Errorf("partition %s: expiry index: %w", p, err))
	}
	for i := range due {
		if due[i].Current, err = db.hasDeadline(p, due[i].Key, due[i].DeadlineMS); err != nil {
			return nil, Due{}, err
		}
	}
	return due, next, nil
}

func listDue(it *pebble.Iterator, untilMS int64, limit int) (due []Due, next Due, err error) {
	for ok := it.First(); ok; ok = it.Next() {
		d, err := decodeDue(it.Key()[kindPrefixLen:])
		if err != nil {
			return nil, Due{}, err
		}
		d.Key = append([]byte(nil), d.Key...)
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
		return Due{}, fmt.Errorf("%w: record of the expiry index has no key", ErrCorrupt)
	}
	d := Due{DeadlineMS: int64(binary.BigEndian.Uint64(b)), Key: b[8:]}
	if d.DeadlineMS <= 0 {
		return Due{}, fmt.Errorf("%w: record of the expiry index has deadline %d", ErrCorrupt, d.DeadlineMS)
	}
	return d, nil
}

// hasDeadline reports whether a key is there with that deadline. It copies no value.
func (db *DB) hasDeadline(p kv.PartitionID, key []byte, deadlineMS int64) (bool, error) {
	v, closer, err := db.pebble.Get(appendDataKey(nil, p, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, db.readError(err)
	}
	rec, err := DecodeRecord(v)
	if err = errors.Join(err, closer.Close()); err != nil {
		return false, db.readError(fmt.Errorf("partition %s, key %q: %w", p, key, err))
	}
	return rec.DeadlineMS == deadlineMS, nil
}

// writeExpiry writes the expiry index of the snapshot, behind its items.
func (s *SnapshotReader) writeExpiry(fw *frameWriter) (items, bytes uint64, err error) {
	it := s.view.it
	start := kindKey(s.view.partition, kindExpiry)
	it.SetBounds(start, prefixEnd(start))
	fw.frame(frameExpiry)
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()[kindPrefixLen:]
		if fw.payload() > 0 && fw.payload()+len(key) > chunkBytes {
			if err := fw.end(); err != nil {
				return 0, 0, err
			}
			fw.frame(frameExpiry)
		}
		fw.buf = append(binary.AppendUvarint(fw.buf, uint64(len(key))), key...)
		items++
		bytes += uint64(len(key))
	}
	if err := it.Error(); err != nil {
		return 0, 0, s.view.db.readError(err)
	}
	if fw.payload() > 0 {
		return items, bytes, fw.end()
	}
	return items, bytes, nil
}

// readExpiry reads a frame of the expiry index.
func readExpiry(payload []byte, tables *tableWriter) (items, bytes uint64, err error) {
	c := cursor{rest: payload}
	for len(c.rest) > 0 {
		b := c.bytes(c.uvarint())
		if c.err != nil {
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
	if err := c.end("expiry index"); err != nil {
		return 0, 0, fmt.Errorf("%w: %w", ErrSnapshotStream, err)
	}
	return items, bytes, nil
}

// addExpiry writes the next record of the index, all of which come behind the items.
func (t *tableWriter) addExpiry(d Due) error {
	next := appendExpiryKey(nil, t.staged.partition, d.DeadlineMS, d.Key)
	if string(next) <= string(t.key) {
		return fmt.Errorf("record of the expiry index for key %q is out of order", d.Key)
	}
	return t.set(next, []byte{expiryFormat})
}
