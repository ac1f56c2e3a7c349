package persist

import (
	"errors"
	"fmt"

	"pxkv/node/kv"
)

// visitStep is after how many keys Visit asks whether it should go on.
const visitStep = 4096

// Count counts the keys of p that match and have not expired at timeMS. Every now and then it
// asks whether to go on, and returns ErrStopped if not.
func (db *DB) Count(p kv.PartitionID, timeMS int64, match func(key []byte) bool, goOn func() bool) (n int64, err error) {
	err = db.Visit(p, timeMS, match, func([]byte) { n++ }, goOn)
	return n, err
}

// Visit calls visit with the keys of p, in their order, that match and have not expired at timeMS;
// neither match nor visit may keep a key. Every now and then it asks whether to go on, and returns
// ErrStopped if not. It is much cheaper than Scan.
func (db *DB) Visit(p kv.PartitionID, timeMS int64, match func(key []byte) bool, visit func(key []byte), goOn func() bool) error {
	it, err := db.dataIter(p, nil, nil)
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
		} else if !kv.Expired(rec.DeadlineMS, timeMS) {
			visit(key)
		}
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return db.readError(err)
	}
	return nil
}
