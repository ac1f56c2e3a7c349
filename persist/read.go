package persist

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
)

// keyBuffers spares reads the allocation of their Pebble key.
var keyBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, kindPrefixLen+128)
	return &b
}}

// Get reads one key. The record's data must not be changed, and stays as it is. Deadlines are not
// looked at: whether a key has expired is the state machine's to say.
func (db *DB) Get(p kv.PartitionID, key []byte) (Record, bool, error) {
	if !db.open.Load() {
		return Record{}, false, ErrClosed
	}
	if b := db.behindOf(p); b != nil {
		if l, ok := b.get(key); ok {
			return l.record, !l.deleted, nil
		}
	}
	buf := keyBuffers.Get().(*[]byte)
	*buf = appendDataKey((*buf)[:0], p, key)
	v, closer, err := db.pebble.Get(*buf)
	keyBuffers.Put(buf)
	if errors.Is(err, pebble.ErrNotFound) {
		return Record{}, false, nil
	}
	if err != nil {
		return Record{}, false, db.readError(err)
	}
	rec, err := DecodeRecord(v)
	if err == nil {
		rec.Value.Data = append(make([]byte, 0, len(rec.Value.Data)), rec.Value.Data...)
	}
	if err := errors.Join(err, closer.Close()); err != nil {
		return Record{}, false, db.readError(fmt.Errorf("partition %s, key %q: %w", p, key, err))
	}
	return rec, true, nil
}

// Scan lists the keys of p that begin with prefix and are at or above from, in byte order:
// at most maxItems of them and about maxBytes (0: no limit), but at least one if there is
// any. more tells that there are further ones. With keysOnly the values' data is left out.
func (db *DB) Scan(p kv.PartitionID, from, prefix []byte, keysOnly bool, maxItems, maxBytes int) (items []kv.Item, more bool, err error) {
	it, err := db.dataIter(p, from, prefix)
	if err != nil {
		return nil, false, err
	}
	items, more, err = db.scan(it, p, keysOnly, maxItems, maxBytes)
	if e := it.Close(); e != nil && err == nil {
		err = db.readError(e)
	}
	return items, more, err
}

func (db *DB) dataIter(p kv.PartitionID, from, prefix []byte) (*pebble.Iterator, error) {
	if !db.open.Load() {
		return nil, ErrClosed
	}
	start, end := scanBounds(p, from, prefix)
	return db.iter(p, start, end)
}

// scanBounds is the range of keys that begin with prefix and are at or above from.
func scanBounds(p kv.PartitionID, from, prefix []byte) (start, end []byte) {
	start, end = dataRange(p, prefix)
	if string(from) > string(prefix) {
		start = appendDataKey(nil, p, from)
	}
	if string(start) > string(end) {
		start = end // from lies above all that begin with prefix
	}
	return start, end
}

// scan reads from an iterator that is bounded to what is asked for.
func (db *DB) scan(it *pebble.Iterator, p kv.PartitionID, keysOnly bool, maxItems, maxBytes int) (items []kv.Item, more bool, err error) {
	bytes := 0
	for ok := it.First(); ok; ok = it.Next() {
		if maxItems > 0 && len(items) >= maxItems || maxBytes > 0 && len(items) > 0 && bytes >= maxBytes {
			return items, true, nil
		}
		key := it.Key()[kindPrefixLen:]
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, false, db.readError(err)
		}
		rec, err := DecodeRecord(value)
		if err != nil {
			return nil, false, db.readError(fmt.Errorf("partition %s, key %q: %w", p, key, err))
		}
		item := rec.item(key, keysOnly)
		bytes += len(item.Key) + len(item.Value.Data) + itemOverhead
		items = append(items, item)
	}
	if err := it.Error(); err != nil {
		return nil, false, db.readError(err)
	}
	return items, false, nil
}

// itemOverhead is about what an item takes besides its key and data.
const itemOverhead = 32

// View reads one partition as it is at one moment, and tells which. It belongs to one
// goroutine, and must be closed soon: it holds on to memory and files.
//
// It is one Pebble iterator and not a Pebble snapshot, since snapshots are changed by a later
// install of the partition, and iterators are not.
type View struct {
	db        *DB
	partition kv.PartitionID
	it        *pebble.Iterator
	applied   Applied
}

// NewView opens a view. It returns ErrNoReplica when p has none here.
func (db *DB) NewView(p kv.PartitionID) (*View, error) {
	if !db.open.Load() {
		return nil, ErrClosed
	}
	start, end := partitionRange(p)
	it, err := db.iter(p, start, end)
	if err != nil {
		return nil, err
	}
	v := &View{db: db, partition: p, it: it}
	if err := v.readApplied(); err != nil {
		return nil, errors.Join(err, it.Close())
	}
	return v, nil
}

func (v *View) readApplied() error {
	key := kindKey(v.partition, kindApplied)
	if !v.it.SeekGE(key) || string(v.it.Key()) != string(key) {
		if err := v.it.Error(); err != nil {
			return v.db.readError(err)
		}
		return fmt.Errorf("partition %s: %w", v.partition, ErrNoReplica)
	}
	value, err := v.it.ValueAndErr()
	if err == nil {
		_, v.applied, err = decodeAppliedRecord(value)
	}
	if err != nil {
		return v.db.readError(fmt.Errorf("partition %s: %w", v.partition, err))
	}
	return nil
}

// Applied says which state the view shows.
func (v *View) Applied() Applied { return v.applied }

// Get is like DB.Get.
func (v *View) Get(key []byte) (Record, bool, error) {
	stored := appendDataKey(nil, v.partition, key)
	v.it.SetBounds(stored, append(stored[:len(stored):len(stored)], 0))
	if !v.it.First() {
		if err := v.it.Error(); err != nil {
			return Record{}, false, v.db.readError(err)
		}
		return Record{}, false, nil
	}
	value, err := v.it.ValueAndErr()
	if err != nil {
		return Record{}, false, v.db.readError(err)
	}
	rec, err := DecodeRecord(value)
	if err != nil {
		return Record{}, false, v.db.readError(fmt.Errorf("partition %s, key %q: %w", v.partition, key, err))
	}
	rec.Value.Data = append(make([]byte, 0, len(rec.Value.Data)), rec.Value.Data...)
	return rec, true, nil
}

// Scan is like DB.Scan.
func (v *View) Scan(from, prefix []byte, keysOnly bool, maxItems, maxBytes int) (items []kv.Item, more bool, err error) {
	v.it.SetBounds(scanBounds(v.partition, from, prefix))
	return v.db.scan(v.it, v.partition, keysOnly, maxItems, maxBytes)
}

// Close ends the view.
func (v *View) Close() error {
	if err := v.it.Close(); err != nil {
		return v.db.readError(err)
	}
	return nil
}
