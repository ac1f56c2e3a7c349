package data

import (
	"errors"
	"fmt"

	"pxkv/node/kv"
)

// visitStep is after how many keys Visit asks whether it should go on.
const visitStep = 4096

// Visit calls visit with the keys of p that match, in their order, and their deadlines, which it does
// not look at; neither match nor visit may keep a key. Every now and then it asks whether to go on, and returns
// ErrStopped if not. It is much cheaper than Scan.
func (s *Store) Visit(
	p kv.PartitionID, match func(key []byte) bool, visit func(key []byte, deadlineMS int64), goOn func() bool,
) error {
	it, err := s.dataIter(p, Query{})
	if err != nil {
		return err
	}
	seen := 0
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		if seen++; seen%visitStep == 0 && !goOn() {
			return errors.Join(ErrStopped, it.Close())
		}
		key := it.Key()[kindPrefixLen:]
		if !match(key) {
			continue
		}
		var rec Record
		value, e := it.ValueAndErr()
		if e == nil {
			rec, e = DecodeRecord(value)
		}
		if e != nil {
			err = fmt.Errorf("partition %s, key %q: %w", p, key, e)
		} else {
			visit(key, rec.DeadlineMS)
		}
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return s.readError(err)
	}
	return nil
}
