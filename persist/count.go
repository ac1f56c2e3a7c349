package persist

import (
	"errors"
	"fmt"

	"pxkv/node/kv"
)

// countStep is after how many keys Count asks whether it should go on.
const countStep = 4096

// Count counts the keys of p that match and have not expired at timeMS. Every now and then it
// asks whether to go on, and returns ErrStopped if not.
func (db *DB) Count(p kv.PartitionID, timeMS int64, match func(key []byte) bool, goOn func() bool) (n int64, err error) {
	it, err := db.dataIter(p, nil, nil)
	if err != nil {
		return 0, err
	}
	seen := 0
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		if seen++; seen%countStep == 0 && !goOn() {
			return 0, errors.Join(ErrStopped, it.Close())
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
			n++
		}
	}
	if err = errors.Join(err, it.Error(), it.Close()); err != nil {
		return 0, db.readError(err)
	}
	return n, nil
}
