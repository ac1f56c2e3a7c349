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

// Query says which items a scan is about.
type Query struct {
	From     []byte // keys at or above it
	To       []byte // and below it; empty is no bound
	Prefix   []byte // that begin with it
	KeysOnly bool   // without the values' data
	// Keep, when not nil, says which of them are wanted. The item's memory is not its own.
	Keep func(*kv.Item) bool
	// MaxItems and MaxBytes bound the answer, but it has at least one item if there is any. MaxLooked is how
	// many keys are looked at for it, each value counting as one more for each lookedBytes. 0 is no limit.
	MaxItems, MaxBytes, MaxLooked int
}

// Scan lists items of p in byte order of their keys. next is where to go on when a limit was reached, nil
// when there is nothing more.
func (s *Store) Scan(p kv.PartitionID, q Query) (items []kv.Item, next []byte, err error) {
	it, err := s.dataIter(p, q)
	if err != nil {
		return nil, nil, err
	}
	items, next, err = s.scan(it, p, q)
	if e := it.Close(); e != nil && err == nil {
		err = s.readError(e)
	}
	return items, next, err
}

func (s *Store) dataIter(p kv.PartitionID, q Query) (*pebble.Iterator, error) {
	if !s.disk.IsOpen() {
		return nil, disk.ErrClosed
	}
	start, end := scanBounds(p, q)
	return s.iter(p, start, end)
}

// scanBounds is the range of stored keys that a query is about.
func scanBounds(p kv.PartitionID, q Query) (start, end []byte) {
	start, end = dataRange(p, q.Prefix)
	if string(q.From) > string(q.Prefix) {
		start = appendDataKey(nil, p, q.From)
	}
	if len(q.To) > 0 {
		if to := appendDataKey(nil, p, q.To); string(to) < string(end) {
			end = to
		}
	}
	if string(start) > string(end) {
		start = end // From lies above all that begin with Prefix, or To below
	}
	return start, end
}

// scan reads from an iterator that is bounded to what is asked for.
func (s *Store) scan(it *pebble.Iterator, p kv.PartitionID, q Query) (items []kv.Item, next []byte, err error) {
	bytes, looked := 0, 0
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()[kindPrefixLen:]
		if q.MaxItems > 0 && len(items) >= q.MaxItems || q.MaxBytes > 0 && len(items) > 0 && bytes >= q.MaxBytes ||
			q.MaxLooked > 0 && looked >= q.MaxLooked {
			return items, append([]byte(nil), key...), nil
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, nil, s.readError(err)
		}
		looked += 1 + len(value)/lookedBytes
		rec, err := DecodeRecord(value)
		if err != nil {
			return nil, nil, s.readError(fmt.Errorf("partition %s, key %q: %w", p, key, err))
		}
		if q.Keep != nil && !rec.kept(key, q.Keep) {
			continue
		}
		item := rec.item(key, q.KeysOnly)
		bytes += len(item.Key) + len(item.Value.Data) + itemOverhead
		items = append(items, item)
	}
	if err := it.Error(); err != nil {
		return nil, nil, s.readError(err)
	}
	return items, nil, nil
}

// kept asks whether an item is wanted, without making a copy of it.
func (rec Record) kept(key []byte, keep func(*kv.Item) bool) bool {
	it := rec.Item()
	it.Key = key
	return keep(&it)
}

// lookedBytes is how long a value is to look at which costs as much as a key.
const lookedBytes = 4096

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
