package raftlog

import (
	"slices"
	"sync/atomic"

	"pxkv/persist/disk"
)

// durability is how far the effects of a replica are known to be on disk, so that a restart need not apply
// them again.
type durability struct {
	index   uint64 // the log never begins above it: base <= durable <= applied
	learned uint64 // Effects.Flushes after which it was asked for
	created bool   // in batch, and the replica's beginning is not known to be on disk
	batch   uint64 // that created it
}

// wantDurable brings up to date how far r is durable, and has more made so when that is worth it. What it
// starts is learned the next time, unless it is done at once.
func (l *Log) wantDurable(r *Replica) {
	l.learn(r)
	if r.durability.index >= r.applied.Load().Index {
		return
	}
	urgent := r.pinnedBytes() >= l.o.Limits.PinnedBytes/4 && !flushByEffectsOnly
	l.effects.WantDurable(r.partition, urgent)
	l.learn(r)
}

// pinnedBytes is how many bytes of r's log wait for a flush of their effects.
func (r *Replica) pinnedBytes() (bytes int64) {
	last := min(r.applied.Load().Index, r.outline.last)
	for index := max(r.durability.index+1, r.outline.first()); index <= last; index++ {
		bytes += int64(r.outline.place(index).size)
	}
	return bytes
}

// pinned is how much of the log waits for a flush of all effects.
type pinned struct {
	bytes   atomic.Int64 // since the last one
	askedAt atomic.Int64 // beyond Limits.PinnedBytes another one is asked for
	freeing disk.Task
}

// pin counts what was written to the log, and has all effects flushed when too much of it waits for
// that: few keys that are written over and over come to nothing in the write buffers, and still
// each write is in the log.
func (l *Log) pin(bytes int) {
	limit, p := l.o.Limits.PinnedBytes, &l.pinned
	n := p.bytes.Add(int64(bytes))
	if n < limit+p.askedAt.Load() || flushByEffectsOnly {
		return
	}
	p.askedAt.Store(n - limit + limit/4) // in case a flush is under way that began too early
	l.disk.InBackground(&p.freeing, func() {
		n := p.bytes.Load()
		if l.effects.FlushAll() {
			p.bytes.Add(-n)
			p.askedAt.Store(0)
		}
	})
}

// learn asks how much of a replica's effects is on disk, if something was flushed since it was last
// asked. It looks at this one only: to walk all of many thousands holds a turn up for long.
func (l *Log) learn(r *Replica) {
	flushes := l.effects.Flushes()
	if flushes == r.durability.learned {
		return
	}
	r.durability.learned = flushes
	if index, ok := l.effects.Durable(r.partition, r.id); ok {
		r.durability.index, r.durability.created = max(r.durability.index, index), false
	}
}

// learnAtOnce is how many replicas one look at the log asks about.
const learnAtOnce = 64

// learnCreated learns of replicas that were created in batches up to last whether their beginning is
// durable, of some at a time. It reports whether there are more.
func (l *Log) learnCreated(last uint64) (more bool) {
	flushes := l.effects.Flushes()
	var ask []*Replica
	l.roster.mu.RLock()
	for _, r := range l.roster.replicas {
		if d := &r.durability; d.created && d.batch <= last && d.learned != flushes {
			ask = append(ask, r)
		}
	}
	l.roster.mu.RUnlock()
	slices.SortFunc(ask, byPartition)
	for _, r := range ask[:min(len(ask), learnAtOnce)] {
		l.learn(r)
	}
	return len(ask) > learnAtOnce
}
