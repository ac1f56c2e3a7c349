package raftlog

import (
	"maps"
	"slices"
	"sync/atomic"

	"pxkv/persist/disk"
)

// The log is given back segment by segment, oldest first. Each segment begins with a
// checkpoint, so all that an old one still holds is entries that some replica has not
// truncated. A segment without any is removed; when the log has grown far beyond what lives in
// it, the entries that an old segment still holds are written once more and it is removed then.
// The idea is that of a log-structured file system (Rosenblum and Ousterhout, 1992).

// reclaiming is what the goroutine that fills the batches knows about it.
type reclaiming struct {
	seen  seen
	move  []move // in one batch
	batch uint64 // its number
	// doomed says that the oldest segment holds nothing any more, as the log is up to batch
	// until.
	doomed bool
	until  uint64
	// removal takes the oldest segment away; it waits for the disk.
	removal disk.Task
	asked   bool
	removed atomic.Uint64 // segments
	known   uint64        // of removed
}

// seen is what may have changed when there is something to do.
type seen struct {
	rolls, flushes uint64
	moved          uint64 // batch of the last move
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
	l := b.log
	l.roster.mu.RLock()
	defer l.roster.mu.RUnlock()
	b.op(opCheckpoint, 0, true)
	b.uvarints(uint64(len(l.roster.tombstones)), uint64(len(l.roster.replicas)))
	for _, p := range slices.Sorted(maps.Keys(l.roster.tombstones)) {
		b.op(opTombstone, p, true)
		b.uvarints(uint64(l.roster.tombstones[p]))
	}
	for _, p := range slices.Sorted(maps.Keys(l.roster.replicas)) {
		r := l.roster.replicas[p]
		b.op(opReplica, p, true)
		b.uvarints(uint64(r.id))
		b.hardState(r.hard)
		b.entryID(r.outline.base)
		b.uvarints(r.outline.last)
		if r.void {
			b.op(opVoid, p, true)
		}
	}
}

// reclaim does what can be done now for a smaller log; what it has to write goes into b.
func (l *Log) reclaim(b *Batch) {
	rc := &l.reclaiming
	l.finishMoves()
	if rc.doomed && !rc.asked && l.synced.Load() >= rc.until {
		rc.asked = true
		l.disk.InBackground(&rc.removal, l.removeOldest)
	}
	if n := rc.removed.Load(); n != rc.known {
		rc.known, rc.doomed, rc.asked, rc.seen = n, false, false, seen{}
	}
	now := seen{l.wal.Rolls(), l.effects.Flushes(), rc.batch}
	if rc.seen == now || rc.doomed || len(rc.move) > 0 {
		return
	}
	last, ok := l.wal.Oldest()
	if ok && l.learnCreated(last) {
		return // the next look goes on with it
	}
	rc.seen = now
	if ok {
		l.reclaimOldest(b, last)
	}
}

func (l *Log) removeOldest() {
	if err := l.wal.RemoveOldest(); err != nil {
		l.disk.Fail("remove of a log segment failed under %s: %v", l.disk.Dir, err)
	}
	l.reclaiming.removed.Add(1)
}

// reclaimOldest looks at the oldest segment, whose last batch is given.
func (l *Log) reclaimOldest(b *Batch, last uint64) {
	rc := &l.reclaiming
	lives, wait, held := l.heldBy(last)
	total, segments := l.wal.Bytes()
	full := total > 2*lives+int64(min(segments, 4))*l.o.Limits.SegmentBytes
	switch {
	case wait:
		if full {
			l.effects.WantFlush()
		}
	case len(held) == 0:
		// What made the last of it needless may not be durable yet.
		rc.doomed, rc.until = true, l.batches.Load()
	case full:
		l.moveInto(b, held)
	}
}

// heldBy finds what lives in the batches up to last, no more of it than one move takes, and how
// many bytes live in all of the log. wait tells that a replica was created in them whose beginning is not durable yet.
func (l *Log) heldBy(last uint64) (lives int64, wait bool, held []move) {
	l.roster.mu.RLock()
	defer l.roster.mu.RUnlock()
	bytes := int64(0)
	for _, p := range slices.Sorted(maps.Keys(l.roster.replicas)) {
		r := l.roster.replicas[p]
		lives += r.outline.bytes
		wait = wait || r.durability.created && r.durability.batch <= last
		for i, at := range r.outline.places {
			index := r.outline.first() + uint64(i)
			if bytes > l.o.Limits.MoveBytes {
				break
			}
			if at.batch <= last {
				bytes += int64(at.size)
				held = append(held, move{replica: r, index: index, from: at})
			} else if index > r.moved {
				break // from here on batches ascend with the index
			}
		}
	}
	return lives, wait, held
}

// moveInto writes entries once more.
func (l *Log) moveInto(b *Batch, held []move) {
	rc := &l.reclaiming
	bytes := 0
	for _, m := range held {
		b.op(opMove, m.replica.partition, true)
		room, to := b.room(m.index, int(m.from.size))
		if err := l.wal.Read(m.from.batch, m.from.offset, room); err != nil {
			l.disk.Fail("read of %s: %v", l.disk.Dir, err)
		}
		m.to = to
		rc.move = append(rc.move, m)
		bytes += len(room)
	}
	rc.batch = b.number
	l.o.Metrics.Moved(bytes)
}

// finishMoves points the replicas to the moved entries, once those can be read there. What was
// truncated or overwritten meanwhile is not looked at any more.
func (l *Log) finishMoves() {
	rc := &l.reclaiming
	if len(rc.move) == 0 || l.committed.Load() < rc.batch {
		return
	}
	for _, m := range rc.move {
		r := m.replica
		if r.destroyed || m.index < r.outline.first() || m.index > r.outline.last {
			continue
		}
		if at := r.outline.place(m.index); *at == m.from {
			*at = m.to
			r.moved = max(r.moved, m.index)
		}
	}
	rc.move = nil
}
