package persist

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
)

// keyspaceFormat is the version of the keyspace in Pebble.
const keyspaceFormat = 1

// checkFormat labels a new database, and refuses one of another version.
func (db *DB) checkFormat() error {
	value, ok, err := db.getCopy(formatKey)
	if err != nil {
		return err
	}
	if ok {
		c := cursor{rest: value}
		c.version(keyspaceFormat, "database")
		return c.end("format record")
	}
	it, err := db.pebble.NewIter(nil)
	if err != nil {
		return err
	}
	found := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return err
	}
	if found {
		return fmt.Errorf("%w: the database has content but no format record", ErrCorrupt)
	}
	return db.pebble.Set(formatKey, []byte{keyspaceFormat}, pebble.Sync)
}

func (db *DB) getCopy(key []byte) (value []byte, ok bool, err error) {
	v, closer, err := db.pebble.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value = append([]byte(nil), v...)
	return value, true, closer.Close()
}

// load reads all replicas and tombstones, and checks that they fit together.
func (db *DB) load() (err error) {
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: tombstoneStart, UpperBound: []byte{spaceEnd}})
	if err != nil {
		return err
	}
	defer func() {
		// An iterator that failed looks like one at its end: ask before trusting what was read.
		if e := errors.Join(it.Error(), it.Close()); e != nil {
			err = e
		}
		if err != nil && isCorruption(err) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrCorrupt) {
			err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}()
	ok := it.First()
	for ; ok && it.Key()[0] == spaceLocal; ok = it.Next() {
		if err := db.loadTombstone(it.Key(), it.Value()); err != nil {
			return err
		}
	}
	for ok {
		p, _, _, err := splitReplicaKey(it.Key())
		if err != nil {
			return err
		}
		r, err := db.loadReplica(it, p)
		if err != nil {
			return fmt.Errorf("partition %s: %w", p, err)
		}
		db.replicas[p] = r
		_, end := partitionRange(p)
		ok = it.SeekGE(end)
	}
	return nil
}

func (db *DB) loadTombstone(key, value []byte) error {
	if len(key) != len(tombstoneStart)+4 || key[1] != localTombstone {
		return fmt.Errorf("%w of key %x", ErrFormat, key)
	}
	id, err := decodeTombstone(value)
	if err != nil {
		return err
	}
	db.tombstones[kv.PartitionID(binary.BigEndian.Uint32(key[len(tombstoneStart):]))] = id
	return nil
}

// loadReplica reads the replica of p; it stands at p's first key.
func (db *DB) loadReplica(it *pebble.Iterator, p kv.PartitionID) (*Replica, error) {
	values := map[byte][]byte{}
	for _, kind := range []byte{kindReplica, kindHardState, kindTruncated, kindApplied} {
		_, got, rest, err := splitReplicaKey(it.Key())
		if err != nil {
			return nil, err
		}
		if got != kind || len(rest) != 0 {
			return nil, fmt.Errorf("%w: record %d of the replica is missing, found %x", ErrCorrupt, kind, it.Key())
		}
		values[kind] = append([]byte(nil), it.Value()...)
		if !it.Next() && kind != kindApplied {
			return nil, fmt.Errorf("%w: record %d of the replica is missing", ErrCorrupt, kind+1)
		}
	}
	id, err1 := decodeReplica(values[kindReplica])
	hard, err2 := decodeHardState(values[kindHardState])
	base, err3 := decodeTruncated(values[kindTruncated])
	applied, err4 := decodeApplied(values[kindApplied])
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	r := newReplica(db, p, id, base, &applied)
	r.hard = hard
	if err := r.loadLog(it); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	// The commit index is stored without an fsync, and the applied index without one of its
	// own: either may be the newer. raft refuses to start with applied above commit.
	r.hard.commit = max(r.hard.commit, applied.Index)
	return r, nil
}

// loadLog reads the outline of the log, checking each entry on the way, and then its tail.
func (r *Replica) loadLog(it *pebble.Iterator) error {
	end := kindKey(r.partition, kindLog+1)
	for ok := it.SeekGE(kindKey(r.partition, kindLog)); ok && string(it.Key()) < string(end); ok = it.Next() {
		index, h, err := readLogEntry(it)
		if err != nil {
			return err
		}
		if index != r.log.last+1 {
			return fmt.Errorf("%w: log entry %d follows entry %d (truncated up to %d)", ErrCorrupt, index, r.log.last, r.log.base.index)
		}
		if h.term < r.log.lastTerm() {
			return fmt.Errorf("%w: log entry %d has term %d, less than the %d before it", ErrCorrupt, index, h.term, r.log.lastTerm())
		}
		r.log.push(h.term, len(it.Value()))
	}
	return r.loadTail(it)
}

// loadTail reads the end of the log backwards until the tail is full.
func (r *Replica) loadTail(it *pebble.Iterator) error {
	var backwards []tailEntry
	bytes, limit := 0, tailBytes
	applied := r.Applied().Index
	for ok := it.SeekLT(kindKey(r.partition, kindLog+1)); ok && uint64(len(backwards)) < r.log.last-r.log.base.index; ok = it.Prev() {
		index, h, err := readLogEntry(it)
		if err != nil {
			return err
		}
		if index > applied {
			limit = tailBytes + unappliedBytes
		} else {
			limit = tailBytes
		}
		if bytes += len(it.Value()); bytes > limit && len(backwards) > 0 {
			break
		}
		backwards = append(backwards, tailEntry{h.entry(index), len(it.Value()), 0})
	}
	for i := len(backwards) - 1; i >= 0; i-- {
		r.tail.push(backwards[i].entry, backwards[i].bytes, 0)
	}
	return nil
}

// readLogEntry reads the entry at which the iterator stands.
func readLogEntry(it *pebble.Iterator) (index uint64, h entryHeader, err error) {
	key := it.Key()
	if len(key) != logKeyLen {
		return 0, h, fmt.Errorf("%w: key %x is no key of a log entry", ErrCorrupt, key)
	}
	index = binary.BigEndian.Uint64(key[kindPrefixLen:])
	value, err := it.ValueAndErr()
	if err != nil {
		return index, h, err
	}
	if h, err = decodeEntryHeader(key, value); err != nil {
		return index, h, fmt.Errorf("log entry %d: %w", index, err)
	}
	return index, h, nil
}

// check refuses a replica whose parts do not fit together. raft would panic on some of
// these, and silently forget acknowledged entries on others.
func (r *Replica) check() error {
	ap, first, last := r.Applied(), r.log.first(), r.log.last
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: replica %d: %s", ErrCorrupt, r.id, fmt.Sprintf(format, args...))
	}
	switch {
	case r.id <= r.db.tombstones[r.partition]:
		return bad("is destroyed: tombstone %d", r.db.tombstones[r.partition])
	case first > ap.Index+1:
		return bad("log begins at %d, applied is only %d", first, ap.Index)
	case ap.Index > last:
		return bad("applied is %d, log ends at %d", ap.Index, last)
	case r.hard.commit > last:
		return bad("commit is %d, log ends at %d", r.hard.commit, last)
	case r.hard.term < r.log.lastTerm():
		return bad("hard state has term %d, log ends with term %d", r.hard.term, r.log.lastTerm())
	case ap.Term != r.log.term(ap.Index):
		return bad("applied entry %d has term %d, in the log it has %d", ap.Index, ap.Term, r.log.term(ap.Index))
	}
	return nil
}
