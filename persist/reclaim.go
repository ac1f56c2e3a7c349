package persist

import (
	"maps"
	"slices"
)

// The log is given back segment by segment, oldest first. Each segment begins with a
// checkpoint, so all that an old one still holds is entries that some replica has not
// truncated. A segment without any is removed; when the log has grown far beyond what lives in
// it, the entries that an old segment still holds are written once more and it is removed then.
// The idea is that of a log-structured file system (Rosenblum and Ousterhout, 1992).

// moveBytes bounds what one batch moves, and so how long its turn takes.
const moveBytes = 1 << 20

// reclaiming is what the goroutine that fills the batches knows about it.
type reclaiming struct {
	seen   seen
	move   []move // in one batch
	record uint64 // of that batch
	// doomed says that the oldest segment holds nothing any more, as the log is up to record
	// until.
	doomed bool
	until  uint64
}

// seen is what may have changed when there is something to do.
type seen struct {
	rolls, flushes uint64
	moved          uint64 // record of the last move
}

// move is an entry on its way to a newer segment.
type move struct {
	replica  *Replica
	index    uint64
	from, to place
}

// checkpoint puts all bookkeeping into b, so that older segments are needed for entries only.
// It must be durable before any of them is removed.
func (b *Batch) checkpoint() {
	db := b.db
	db.mu.RLock()
	defer db.mu.RUnlock()
	b.op(opCheckpoint, 0, true)
	b.uvarints(uint64(len(db.tombstones)), uint64(len(db.replicas)))
	for _, p := range slices.Sorted(maps.Keys(db.tombstones)) {
		b.op(opTombstone, p, true)
		b.uvarints(uint64(db.tombstones[p]))
	}
	for _, p := range slices.Sorted(maps.Keys(db.replicas)) {
		r := db.replicas[p]
		b.op(opReplica, p, true)
		b.uvarints(uint64(r.id))
		b.hardState(r.hard)
		b.entryID(r.log.base)
		b.uvarints(r.log.last)
	}
}

// reclaim does what can be done now for a smaller log; what it has to write goes into b.
func (db *DB) reclaim(b *Batch) {
	rc := &db.reclaiming
	db.finishMoves()
	if rc.doomed && db.synced.Load() >= rc.until {
		if err := db.log.RemoveOldest(); err != nil {
			db.fail("remove of a log segment failed under %s: %v", db.opts.Dir, err)
		}
		rc.doomed, rc.seen = false, seen{}
	}
	now := seen{db.log.Rolls(), db.flushes.Load(), rc.record}
	if rc.seen == now || rc.doomed || len(rc.move) > 0 {
		return
	}
	rc.seen = now
	if last, ok := db.log.Oldest(); ok {
		db.learnDurable()
		db.reclaimOldest(b, last)
	}
}

// reclaimOldest looks at the oldest segment, whose last record is given.
func (db *DB) reclaimOldest(b *Batch, last uint64) {
	rc := &db.reclaiming
	lives, wait, held := db.heldBy(last)
	total, segments := db.log.Bytes()
	full := total > 2*lives+int64(min(segments, 4))*db.opts.segmentBytes
	switch {
	case wait:
		if full {
			db.wantFlush(true)
		}
	case len(held) == 0:
		// What made the last of it needless may not be durable yet.
		rc.doomed, rc.until = true, db.batches.Load()
	case full:
		db.moveInto(b, held)
	}
}

// heldBy finds what lives in the records up to last, no more of it than one move takes, and how
// many bytes live in all of the log. wait tells that a replica was created in them whose beginning is not durable in Pebble yet.
func (db *DB) heldBy(last uint64) (lives int64, wait bool, held []move) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	bytes := 0
	for _, p := range slices.Sorted(maps.Keys(db.replicas)) {
		r := db.replicas[p]
		lives += r.log.bytes
		wait = wait || r.created && r.record <= last
		for i, at := range r.log.places {
			index := r.log.first() + uint64(i)
			if bytes > moveBytes {
				break
			}
			if at.record <= last {
				bytes += int(at.size)
				held = append(held, move{replica: r, index: index, from: at})
			} else if index > r.moved {
				break // from here on records ascend with the index
			}
		}
	}
	return lives, wait, held
}

// moveInto writes entries once more.
func (db *DB) moveInto(b *Batch, held []move) {
	rc := &db.reclaiming
	bytes := 0
	for _, m := range held {
		b.op(opMove, m.replica.partition, true)
		room, to := b.room(m.index, int(m.from.size))
		if err := db.log.Read(m.from.record, m.from.offset, room); err != nil {
			db.fail("read of %s: %v", db.opts.Dir, err)
		}
		m.to = to
		rc.move = append(rc.move, m)
		bytes += len(room)
	}
	rc.record = b.number
	db.metrics.moved(bytes)
}

// finishMoves points the replicas to the moved entries, once those can be read there. What was
// truncated or overwritten meanwhile is not looked at any more.
func (db *DB) finishMoves() {
	rc := &db.reclaiming
	if len(rc.move) == 0 || db.committed.Load() < rc.record {
		return
	}
	for _, m := range rc.move {
		r := m.replica
		if r.destroyed || m.index < r.log.first() || m.index > r.log.last {
			continue
		}
		if at := r.log.place(m.index); *at == m.from {
			*at = m.to
			r.moved = max(r.moved, m.index)
		}
	}
	rc.move = nil
}
