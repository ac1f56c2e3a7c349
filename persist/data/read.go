package data

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
	"pxkv/persist/disk"
)

// keyBuffers spares reads the allocation of their Pebble key.
var keyBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, kindPrefixLen+128)
	return &b
}}

// Get reads one key. The record's data must not be changed, and stays as it is. Deadlines are not
// looked at: whether a key has expired is the state machine's to say.
func (s *Store) Get(p kv.PartitionID, key []byte) (Record, bool, error) {
	rec, _, found, err := s.GetPart(p, key, kv.Part{})
	return rec, found, err
}

// GetPart is like Get, and returns a part of the record's data and the length of all of it. It copies
// no more than the part.
func (s *Store) GetPart(p kv.PartitionID, key []byte, part kv.Part) (rec Record, length int64, found bool, err error) {
	if !s.disk.IsOpen() {
		return Record{}, 0, false, disk.ErrClosed
	}
	if b := s.bufferOf(p); b != nil {
		if e, ok := b.get(key); ok {
			length = e.record.cut(part, false)
			return e.record, length, !e.deleted, nil
		}
	}
	buf := keyBuffers.Get().(*[]byte)
	*buf = appendDataKey((*buf)[:0], p, key)
	v, closer, err := s.pebble.Get(*buf)
	keyBuffers.Put(buf)
	if errors.Is(err, pebble.ErrNotFound) {
		return Record{}, 0, false, nil
	}
	if err != nil {
		return Record{}, 0, false, s.readError(err)
	}
	if rec, err = DecodeRecord(v); err == nil {
		length = rec.cut(part, true)
	}
	if err := errors.Join(err, closer.Close()); err != nil {
		return Record{}, 0, false, s.readError(fmt.Errorf("partition %s, key %q: %w", p, key, err))
	}
	return rec, length, true, nil
}

// cut leaves a part of the data, or a copy of it, and returns how long all of it was.
func (rec *Record) cut(part kv.Part, copied bool) int64 {
	length := int64(len(rec.Value.Data))
	if rec.Value.Data = part.Of(rec.Value.Data); copied {
		rec.Value.Data = append(make([]byte, 0, len(rec.Value.Data)), rec.Value.Data...)
	}
	return length
}

// Scan lists the keys of p that begin with prefix and are at or above from, in byte order:
// at most maxItems of them and about maxBytes (0: no limit), but at least one if there is
// any. more tells that there are further ones. With keysOnly the values' data is left out.
func (s *Store) Scan(
	p kv.PartitionID, from, prefix []byte, keysOnly bool, maxItems, maxBytes int,
) (items []kv.Item, more bool, err error) {
	it, err := s.dataIter(p, from, prefix)
	if err != nil {
		return nil, false, err
	}
	items, more, err = s.scan(it, p, keysOnly, maxItems, maxBytes)
	if e := it.Close(); e != nil && err == nil {
		err = s.readError(e)
	}
	return items, more, err
}

func (s *Store) dataIter(p kv.PartitionID, from, prefix []byte) (*pebble.Iterator, error) {
	if !s.disk.IsOpen() {
		return nil, disk.ErrClosed
	}
	start, end := scanBounds(p, from, prefix)
	return s.iter(p, start, end)
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
func (s *Store) scan(
	it *pebble.Iterator, p kv.PartitionID, keysOnly bool, maxItems, maxBytes int,
) (items []kv.Item, more bool, err error) {
	bytes := 0
	for ok := it.First(); ok; ok = it.Next() {
		if maxItems > 0 && len(items) >= maxItems || maxBytes > 0 && len(items) > 0 && bytes >= maxBytes {
			return items, true, nil
		}
		key := it.Key()[kindPrefixLen:]
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, false, s.readError(err)
		}
		rec, err := DecodeRecord(value)
		if err != nil {
			return nil, false, s.readError(fmt.Errorf("partition %s, key %q: %w", p, key, err))
		}
		item := rec.item(key, keysOnly)
		bytes += len(item.Key) + len(item.Value.Data) + itemOverhead
		items = append(items, item)
	}
	if err := it.Error(); err != nil {
		return nil, false, s.readError(err)
	}
	return items, false, nil
}

// itemOverhead is about what an item takes besides its key and data.
const itemOverhead = 32

// iter makes an iterator over some of p as it is at one moment, with all that was applied before.
func (s *Store) iter(p kv.PartitionID, start, end []byte) (*pebble.Iterator, error) {
	s.drainPartition(p)
	return s.pebbleIter(start, end)
}

func (s *Store) pebbleIter(start, end []byte) (*pebble.Iterator, error) {
	it, err := s.pebble.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return nil, s.readError(err)
	}
	return it, nil
}
