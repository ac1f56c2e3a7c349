package replica

import "pxkv/node/kv"

// intake is what was taken in of entries, and what of that waits for a majority. A disk that stalls must not let the
// open job grow as fast as clients and leaders send: it is one record of the log in the end.
type intake struct {
	limits  *Limits
	bytes   int // of entries for the open job, since the last one left
	largest int // of what was taken in at once
	// uncommitted is how many bytes of proposals wait in all groups, applied or lost.
	uncommitted int
}

// grow counts entries that were taken in.
func (i *intake) grow(bytes int) {
	i.bytes += bytes
	i.largest = max(i.largest, bytes)
}

// left follows when a job leaves: what was taken in and is in no job was refused by the library.
func (i *intake) left() { i.bytes, i.largest = 0, 0 }

// crowded reports whether the open job must not grow any more.
func (i *intake) crowded() bool { return i.bytes >= i.limits.JobBytes && !jobUnbounded }

// noRoom says why no proposal can be taken now, nil when one can.
func (i *intake) noRoom() *kv.Error {
	switch {
	case i.crowded():
		return kv.Errorf(kv.Unavailable, "the disk does not keep up: %d bytes of the log wait for it", i.bytes)
	case i.uncommitted >= i.limits.NodeUncommittedBytes:
		return kv.Errorf(kv.Unavailable, "too much is under way: %d bytes of writes wait for a majority", i.uncommitted)
	}
	return nil
}

// Growth tells how many bytes of entries were taken in for the next job, and of those the most that
// came at once; for tests and diagnosis.
func (h *Host) Growth() (bytes, largest int) { return h.intake.bytes, h.intake.largest }
