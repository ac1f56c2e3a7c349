package raftlog

import "go.etcd.io/raft/v3/raftpb"

// tail is the end of a log in memory: entries without a gap, the last of which is the log's
// last. Entries of batches that are not committed yet are in no other place, so they stay
// whatever their size; what bounds them is how much the caller lets be under way.
type tail struct {
	entries []tailEntry
	bytes   int64
	evicted uint64 // batches up to here were committed when it was last made smaller
}

type tailEntry struct {
	entry *raftpb.Entry
	bytes int
	batch uint64 // number of the Batch that writes it; 0: it was on disk at Open
}

// first is the index of the first entry kept; only for a tail that is not empty.
func (t *tail) first() uint64 { return t.entries[0].entry.GetIndex() }

func (t *tail) push(e *raftpb.Entry, bytes int, batch uint64) {
	t.entries = append(t.entries, tailEntry{e, bytes, batch})
	t.bytes += int64(bytes)
}

// cut drops the entries from index on and returns how many bytes those were that it had.
func (t *tail) cut(index uint64) (dropped int64) {
	keep := len(t.entries)
	for keep > 0 && t.entries[keep-1].entry.GetIndex() >= index {
		keep--
		dropped += int64(t.entries[keep].bytes)
	}
	clear(t.entries[keep:])
	t.entries = t.entries[:keep]
	t.bytes -= dropped
	return dropped
}

// truncate drops the entries up to and including index.
func (t *tail) truncate(index uint64) {
	n := 0
	for n < len(t.entries) && t.entries[n].entry.GetIndex() <= index {
		n++
	}
	t.drop(n)
}

// evict makes room: what is committed and applied goes above
// Limits.TailBytes; what is only committed goes above that and UnappliedBytes.
func (t *tail) evict(committed, applied uint64, l *Limits) {
	t.evicted = committed
	n, bytes := 0, t.bytes
	for n < len(t.entries) && bytes > l.TailBytes {
		e := &t.entries[n]
		if e.batch > committed || e.entry.GetIndex() > applied && bytes <= l.TailBytes+l.UnappliedBytes {
			break
		}
		bytes -= int64(e.bytes)
		n++
	}
	t.drop(n)
}

// drop forgets the first n entries. The slice moves forward in its array, which append
// replaces once it is used up.
func (t *tail) drop(n int) {
	for i := range n {
		t.bytes -= int64(t.entries[i].bytes)
	}
	clear(t.entries[:n])
	t.entries = t.entries[n:]
}
