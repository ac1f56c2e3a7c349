package data

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/state"
)

// keyspaceFormat is the version of the keyspace in Pebble. Version 1 had the log in it.
const keyspaceFormat = 2

// Open opens Pebble, whose directory is there and locked, or makes a new one. codec.ErrFormat and
// codec.ErrCorrupt tell what is wrong with it.
func (s Opening) Open(lock *pebble.Lock) error {
	var err error
	if s.pebble, err = pebble.Open(s.disk.Path(Dir), s.pebbleOptions(lock)); err != nil {
		return Corruption(err)
	}
	return Corruption(s.checkFormat())
}

// checkFormat labels a new database, and refuses one of another version.
func (s *Store) checkFormat() error {
	value, ok, err := s.getCopy(formatKey)
	if err != nil {
		return err
	}
	if ok {
		c := codec.Cursor{Rest: value}
		c.Version(keyspaceFormat, "database")
		return c.End("format of the database")
	}
	it, err := s.pebble.NewIter(nil)
	if err != nil {
		return err
	}
	found := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return err
	}
	if found {
		return fmt.Errorf("%w: the database has content but no format", codec.ErrCorrupt)
	}
	if err := s.pebble.Set(formatKey, []byte{keyspaceFormat}, pebble.NoSync); err != nil {
		return err
	}
	return s.pebble.Flush()
}

func (s *Store) getCopy(key []byte) (value []byte, ok bool, err error) {
	v, closer, err := s.pebble.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value = append([]byte(nil), v...)
	return value, true, closer.Close()
}

// Stored is what is there of a partition: the data of that replica, in that state.
type Stored struct {
	ID      kv.ReplicaID
	Applied state.Applied
}

// Stored reads what is there of all partitions.
func (s Opening) Stored() (_ map[kv.PartitionID]*Stored, err error) {
	it, err := s.pebble.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceReplica}, UpperBound: []byte{spaceEnd}})
	if err != nil {
		return nil, err
	}
	// An iterator that failed looks like one at its end: ask before trusting what was read.
	defer func() { err = errors.Join(err, it.Error(), it.Close()) }()
	all := map[kv.PartitionID]*Stored{}
	for ok := it.First(); ok; {
		p, kind, rest, err := splitReplicaKey(it.Key())
		if err != nil {
			return nil, err
		}
		if kind != kindApplied || len(rest) != 0 {
			return nil, fmt.Errorf("partition %s: %w: the applied state is missing, found %x",
				p, codec.ErrCorrupt, it.Key())
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		found := new(Stored)
		if found.ID, found.Applied, err = decodeLabel(value); err != nil {
			return nil, fmt.Errorf("partition %s: %w", p, err)
		}
		all[p] = found
		_, end := partitionRange(p)
		ok = it.SeekGE(end)
	}
	return all, nil
}
