package data

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
	"pxkv/persist/disk"
	"pxkv/persist/state"
)

// View reads one partition as it is at one moment, and tells which. It belongs to one
// goroutine, and must be closed soon: it holds on to memory and files.
//
// It is one Pebble iterator and not a Pebble snapshot, since snapshots are changed by a later
// install of the partition, and iterators are not.
type View struct {
	store     *Store
	partition kv.PartitionID
	it        *pebble.Iterator
	applied   state.Applied
}

// NewView opens a view. It returns ErrNoReplica when p has none here.
func (s *Store) NewView(p kv.PartitionID) (*View, error) {
	if !s.disk.IsOpen() {
		return nil, disk.ErrClosed
	}
	start, end := partitionRange(p)
	it, err := s.iter(p, start, end)
	if err != nil {
		return nil, err
	}
	v := &View{store: s, partition: p, it: it}
	if err := v.readApplied(); err != nil {
		return nil, errors.Join(err, it.Close())
	}
	return v, nil
}

func (v *View) readApplied() error {
	key := kindKey(v.partition, kindApplied)
	if !v.it.SeekGE(key) || string(v.it.Key()) != string(key) {
		if err := v.it.Error(); err != nil {
			return v.store.readError(err)
		}
		return fmt.Errorf("partition %s: %w", v.partition, ErrNoReplica)
	}
	value, err := v.it.ValueAndErr()
	if err == nil {
		_, v.applied, err = decodeLabel(value)
	}
	if err != nil {
		return v.store.readError(fmt.Errorf("partition %s: %w", v.partition, err))
	}
	return nil
}

// Applied says which state the view shows.
func (v *View) Applied() state.Applied { return v.applied }

// GetPart is like Store.GetPart.
func (v *View) GetPart(key []byte, part kv.Part) (rec Record, length int64, found bool, err error) {
	stored := appendDataKey(nil, v.partition, key)
	v.it.SetBounds(stored, append(stored[:len(stored):len(stored)], 0))
	if !v.it.First() {
		if err := v.it.Error(); err != nil {
			return Record{}, 0, false, v.store.readError(err)
		}
		return Record{}, 0, false, nil
	}
	value, err := v.it.ValueAndErr()
	if err != nil {
		return Record{}, 0, false, v.store.readError(err)
	}
	if rec, err = DecodeRecord(value); err != nil {
		return Record{}, 0, false, v.store.readError(fmt.Errorf("partition %s, key %q: %w", v.partition, key, err))
	}
	if length, err = v.store.take(v.partition, key, &rec, part, true); err != nil {
		return Record{}, 0, false, err
	}
	return rec, length, true, nil
}

// Close ends the view.
func (v *View) Close() error {
	if err := v.it.Close(); err != nil {
		return v.store.readError(err)
	}
	return nil
}
