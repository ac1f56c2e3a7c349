package data

import (
	"errors"
	"fmt"
	"math"
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
// no more than the part, and unpacks a value only for a part of its data. The error of one that does not unpack is
// pack.ErrDamaged.
func (s *Store) GetPart(p kv.PartitionID, key []byte, part kv.Part) (Record, int64, bool, error) {
	return s.get(p, key, part, math.MaxInt64)
}

// GetUpTo is like Get, but the data of a value that is longer than most bytes is left out, and neither copied nor
// unpacked. It returns the length of all of it, too.
func (s *Store) GetUpTo(p kv.PartitionID, key []byte, most int64) (rec Record, length int64, found bool, err error) {
	return s.get(p, key, kv.Part{}, most)
}

func (s *Store) get(
	p kv.PartitionID, key []byte, part kv.Part, most int64,
) (rec Record, length int64, found bool, err error) {
	partOf := func(rec *Record) kv.Part {
		if int64(rec.Value.Length()) > most {
			return kv.Part{Kind: kv.NoValue}
		}
		return part
	}
	if e, ok, err := s.getPending(p, key); ok || err != nil {
		if !e.deleted && err == nil {
			length, err = s.take(p, key, &e.record, partOf(&e.record), false)
		}
		return e.record, length, !e.deleted && err == nil, err
	}
	found, err = s.getPebble(p, key, func(stored Record) error {
		rec = stored
		length, err = s.take(p, key, &rec, partOf(&rec), true)
		return err
	})
	return rec, length, found, err
}

// getStored is Get for a value as it is stored, packed or not.
func (s *Store) getStored(p kv.PartitionID, key []byte) (rec Record, found bool, err error) {
	if e, ok, err := s.getPending(p, key); ok || err != nil {
		return e.record, !e.deleted && err == nil, err
	}
	found, err = s.getPebble(p, key, func(stored Record) error {
		rec = stored
		rec.Value.Data = copyOf(stored.Value.Data)
		return nil
	})
	return rec, found, err
}

// getPending looks for a key in the write buffers; not ok: Pebble has to be asked.
func (s *Store) getPending(p kv.PartitionID, key []byte) (e pending, ok bool, err error) {
	if !s.disk.IsOpen() {
		return e, false, disk.ErrClosed
	}
	if b := s.bufferOf(p); b != nil {
		e, ok = b.get(key)
	}
	return e, ok, nil
}

// getPebble gives take the record of a key in Pebble, whose data is there during the call alone.
func (s *Store) getPebble(p kv.PartitionID, key []byte, take func(Record) error) (found bool, err error) {
	buf := keyBuffers.Get().(*[]byte)
	*buf = appendDataKey((*buf)[:0], p, key)
	v, closer, err := s.pebble.Get(*buf)
	keyBuffers.Put(buf)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, s.readError(err)
	}
	rec, err := DecodeRecord(v)
	if err != nil {
		err = fmt.Errorf("partition %s, key %q: %w", p, key, err)
	} else if damaged := take(rec); damaged != nil {
		return false, errors.Join(damaged, closer.Close())
	}
	if err := errors.Join(err, closer.Close()); err != nil {
		return false, s.readError(err)
	}
	return true, nil
}

// take leaves a part of the data, unpacked, and returns how long all of it is. copied: it is not to be in
// the memory in which it was.
func (s *Store) take(p kv.PartitionID, key []byte, rec *Record, part kv.Part, copied bool) (int64, error) {
	v := &rec.Value
	length := int64(v.Length())
	switch {
	case v.Packing == kv.NotPacked:
	case part.Kind == kv.NoValue:
		v.Data = nil
	default:
		data, err := s.unpack.Unpack(v)
		if err != nil {
			return 0, unpackError(p, key, err)
		}
		// A part must not keep all of it in memory.
		v.Data, copied = data, part.Kind != kv.WholeValue
	}
	v.Packing, v.Plain = kv.NotPacked, 0
	if v.Data = part.Of(v.Data); copied {
		v.Data = copyOf(v.Data)
	}
	return length, nil
}

func copyOf(data []byte) []byte { return append(make([]byte, 0, len(data)), data...) }

// unpackError is that of a value which does not unpack. It is no fault of the disk, whose checksums would tell: nothing
// but this value is lost.
func unpackError(p kv.PartitionID, key []byte, err error) error {
	return fmt.Errorf("partition %s, key %q: %w", p, key, err)
}

// Query says which items a scan is about.
type Query struct {
	From     []byte // keys at or above it
	To       []byte // and below it; empty is no bound
	Prefix   []byte // that begin with it
	KeysOnly bool   // without the values' data
	// Keep, when not nil, says which of them are wanted. The item's memory is not its own. It has its data only
	// when KeepsByValue says that Keep looks at it.
	Keep         func(*kv.Item) bool
	KeepsByValue bool
	// MaxItems and MaxBytes bound the answer, but it has at least one item if there is any. A value that is longer than
	// MaxBytes comes first or not at all, since there may be no room for it. MaxLooked is how many keys are looked at
	// for it, each value counting as one more for each lookedBytes. 0 is no limit.
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
		rec, err := DecodeRecord(value)
		if err != nil {
			return nil, nil, s.readError(fmt.Errorf("partition %s, key %q: %w", p, key, err))
		}
		if q.MaxBytes > 0 && len(items) > 0 && !q.KeysOnly && rec.Value.Length() > q.MaxBytes {
			return items, append([]byte(nil), key...), nil // it goes alone
		}
		looked += 1 + len(rec.Value.Data)/lookedBytes
		item, kept, unpacked, err := s.look(key, rec, &q)
		if looked += unpacked / lookedBytes; err != nil {
			return nil, nil, unpackError(p, key, err)
		}
		if !kept {
			continue
		}
		bytes += len(item.Key) + len(item.Value.Data) + itemOverhead
		items = append(items, item)
	}
	if err := it.Error(); err != nil {
		return nil, nil, s.readError(err)
	}
	return items, nil, nil
}

// look makes the item of a record if it is wanted. What was unpacked for that is counted in bytes. A value that nobody
// looks at stays packed, and an item without data has no length to show.
func (s *Store) look(key []byte, rec Record, q *Query) (item kv.Item, kept bool, unpacked int, err error) {
	it := rec.Item()
	it.Key = key
	unpack := func() error {
		v := &it.Value
		if v.Packing == kv.NotPacked {
			return nil
		}
		data, err := s.unpack.Unpack(v)
		unpacked = len(data)
		v.Data, v.Packing, v.Plain = data, kv.NotPacked, 0
		return err
	}
	if q.Keep != nil {
		if q.KeepsByValue {
			err = unpack()
		}
		if err != nil || !q.Keep(&it) {
			return kv.Item{}, false, unpacked, err
		}
	}
	it.Key = append([]byte(nil), key...)
	switch {
	case q.KeysOnly:
		it.Value.Data, it.Value.Packing, it.Value.Plain = nil, kv.NotPacked, 0
	case it.Value.Packing != kv.NotPacked:
		err = unpack()
	case unpacked == 0:
		it.Value.Data = copyOf(it.Value.Data)
	}
	return it, true, unpacked, err
}

// lookedBytes is how long a value is to look at which costs as much as a key.
const lookedBytes = 256

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
