package persist

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"pxkv/node/kv"
	"pxkv/persist/wal"
)

// keyspaceFormat is the version of the keyspace in Pebble. Version 1 had the log in it.
const keyspaceFormat = 2

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
	if err := db.pebble.Set(formatKey, []byte{keyspaceFormat}, pebble.NoSync); err != nil {
		return err
	}
	return db.pebble.Flush()
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

// load reads the log, brings Pebble up to what the log says, and checks that both fit together.
func (db *DB) load() error {
	dir := db.path(logDir)
	if err := makeDir(db.fs, dir); err != nil {
		return err
	}
	rp := newReplay()
	var err error
	db.log, err = wal.Open(wal.Options{FS: db.fs, Dir: dir, SegmentBytes: db.opts.segmentBytes, Reuse: db.opts.reuse}, rp.record)
	switch {
	case errors.Is(err, wal.ErrCorrupt):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case errors.Is(err, wal.ErrFormat):
		return fmt.Errorf("%w: %w", ErrFormat, err)
	case err != nil:
		return err
	}
	db.tombstones = rp.tombstones
	last := db.log.Last()
	db.batches.Store(last)
	db.committed.Store(last)
	db.synced.Store(last)
	states, err := db.states()
	if err == nil {
		err = db.catchUp(rp, states)
	}
	if err != nil {
		return corruption(err)
	}
	for _, p := range slices.Sorted(maps.Keys(rp.replicas)) {
		r, err := db.loadReplica(p, rp.replicas[p], states[p])
		if err != nil {
			return fmt.Errorf("partition %s: %w", p, corruption(err))
		}
		db.replicas[p] = r
	}
	return nil
}

// corruption labels what Pebble or the log call corrupt.
func corruption(err error) error {
	if isCorruption(err) && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// state is what Pebble has of a partition.
type state struct {
	id      kv.ReplicaID
	applied Applied
}

// states reads the applied states of all partitions that Pebble has something of.
func (db *DB) states() (_ map[kv.PartitionID]*state, err error) {
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceReplica}, UpperBound: []byte{spaceEnd}})
	if err != nil {
		return nil, err
	}
	// An iterator that failed looks like one at its end: ask before trusting what was read.
	defer func() { err = errors.Join(err, it.Error(), it.Close()) }()
	states := map[kv.PartitionID]*state{}
	for ok := it.First(); ok; {
		p, kind, rest, err := splitReplicaKey(it.Key())
		if err != nil {
			return nil, err
		}
		if kind != kindApplied || len(rest) != 0 {
			return nil, fmt.Errorf("partition %s: %w: the applied state is missing, found %x", p, ErrCorrupt, it.Key())
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		s := new(state)
		if s.id, s.applied, err = decodeAppliedRecord(value); err != nil {
			return nil, fmt.Errorf("partition %s: %w", p, err)
		}
		states[p] = s
		_, end := partitionRange(p)
		ok = it.SeekGE(end)
	}
	return states, nil
}

// catchUp does in Pebble what the log says was done and a crash took: deleting what was
// destroyed, making what was created, installing a snapshot. What it does is durable when it
// returns. states are then as they should be, but for what no log explains.
func (db *DB) catchUp(rp *replay, states map[kv.PartitionID]*state) error {
	changed := false
	for _, p := range slices.Sorted(maps.Keys(states)) {
		s, r := states[p], rp.replicas[p]
		if r != nil && s.id == r.id {
			continue
		}
		if s.id > db.tombstones[p] && (r == nil || s.id > r.id) {
			return fmt.Errorf("partition %s: %w: there is data of replica %d, which the log does not know", p, ErrCorrupt, s.id)
		}
		pb := db.pebble.NewBatch()
		deletePartition(pb, p)
		if err := pb.Commit(pebble.NoSync); err != nil {
			return err
		}
		delete(states, p)
		changed = true
	}
	for _, p := range slices.Sorted(maps.Keys(rp.replicas)) {
		r, s := rp.replicas[p], states[p]
		if s == nil && r.created != nil {
			s = &state{r.id, *r.created}
			if err := db.createAgain(p, r); err != nil {
				return err
			}
			changed = true
		}
		if s != nil && r.installed > 0 && s.applied.Index < r.base.index {
			if err := db.installAgain(p, r.installed, s); err != nil {
				return err
			}
		}
		if s == nil {
			return fmt.Errorf("partition %s: %w: the data of replica %d is gone", p, ErrCorrupt, r.id)
		}
		states[p] = s
	}
	if !changed {
		return nil
	}
	return db.pebble.Flush()
}

func (db *DB) createAgain(p kv.PartitionID, r *replayed) error {
	pb := db.pebble.NewBatch()
	set(pb, kindKey(p, kindApplied), appendAppliedRecord(nil, r.id, r.created))
	for _, rec := range r.data {
		set(pb, rec.key, rec.value)
	}
	return pb.Commit(pebble.NoSync)
}

// installAgain ingests the tables that were waiting, and reads from them what is there then.
func (db *DB) installAgain(p kv.PartitionID, number uint64, s *state) error {
	dir := db.stagedDir(number)
	names, err := db.fs.List(dir)
	if err != nil {
		return fmt.Errorf("partition %s: the snapshot to install: %w", p, err)
	}
	slices.Sort(names)
	tables := make([]string, 0, len(names))
	for _, name := range names {
		tables = append(tables, db.fs.PathJoin(dir, name))
	}
	if err := db.ingest(p, tables); err != nil {
		return installError(p, db.opts.Dir, err)
	}
	value, ok, err := db.getCopy(kindKey(p, kindApplied))
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("partition %s: %w: the snapshot to install has no applied state", p, ErrCorrupt)
	}
	s.id, s.applied, err = decodeAppliedRecord(value)
	return err
}

// loadReplica makes a replica of what the log and Pebble say about it.
func (db *DB) loadReplica(p kv.PartitionID, rp *replayed, s *state) (*Replica, error) {
	r := newReplica(db, p, rp.id, rp.base, &s.applied)
	r.hard, r.durable = rp.hard, s.applied.Index
	for i, e := range rp.entries {
		index := rp.base.index + 1 + uint64(i)
		if e.at.record == 0 {
			return nil, fmt.Errorf("%w: log entry %d is missing", ErrCorrupt, index)
		}
		if e.term < r.log.lastTerm() {
			return nil, fmt.Errorf("%w: log entry %d has term %d, less than the %d before it", ErrCorrupt, index, e.term, r.log.lastTerm())
		}
		r.log.push(e.term, e.at)
	}
	r.moved = r.log.last // moves are not told apart from appends here
	if err := r.loadTail(); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	// The commit index is stored without an fsync, and the applied index without one of its
	// own: either may be the newer. raft refuses to start with applied above commit.
	r.hard.commit = max(r.hard.commit, s.applied.Index)
	return r, nil
}

// loadTail reads the end of the log backwards until the tail is full.
func (r *Replica) loadTail() error {
	var backwards []tailEntry
	bytes, limit := 0, tailBytes
	applied := r.Applied().Index
	for index := r.log.last; index > r.log.base.index; index-- {
		size := int(r.log.place(index).size)
		if index > applied {
			limit = tailBytes + unappliedBytes
		} else {
			limit = tailBytes
		}
		if bytes += size; bytes > limit && len(backwards) > 0 {
			break
		}
		e, err := r.readEntry(index)
		if err != nil {
			return err
		}
		backwards = append(backwards, tailEntry{e, size, 0})
	}
	for _, e := range slices.Backward(backwards) {
		r.tail.push(e.entry, e.bytes, 0)
	}
	return nil
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
