package raftlog

// Held is how much a replica holds, in bytes, for tests and diagnosis.
type Held struct {
	Log       int64 // entries of the log
	Oldest    int64 // of them the first
	Unapplied int64 // of them not applied yet
	Volatile  int64 // of them applied, with effects that are not known to be on disk
	Tail      int64 // of them in memory
	Unsynced  int64 // of those in memory that were not on disk when the last entry came or was applied
}

// Held tells it. It walks over the log, so it is not for every turn of a real node.
func (r *Replica) Held() Held {
	h := Held{Log: r.outline.bytes, Tail: r.tail.bytes}
	if len(r.outline.places) > 0 {
		h.Oldest = int64(r.outline.places[0].size)
	}
	applied := r.applied.Load().Index
	for i, at := range r.outline.places {
		switch index := r.outline.first() + uint64(i); {
		case index > applied:
			h.Unapplied += int64(at.size)
		case index > r.durability.index:
			h.Volatile += int64(at.size)
		}
	}
	for i := range r.tail.entries {
		if e := &r.tail.entries[i]; e.batch > r.tail.evicted {
			h.Unsynced += int64(e.bytes)
		}
	}
	return h
}
