package replica

import (
	"sync/atomic"
	"time"

	"pxkv/node/kv"
)

// Leadership is what a replica knows of its group's leader.
type Leadership struct {
	Term    uint64
	Replica kv.ReplicaID // 0: unknown
	Node    kv.NodeID    // 0: unknown
	Self    bool
}

// Handle is what other goroutines may know of a replica while the turn goes on changing it.
type Handle struct {
	Partition kv.PartitionID
	ID        kv.ReplicaID

	leader atomic.Pointer[Leadership]
	// leaseUntil is the boot time, in nanoseconds, up to which no other leader can exist. It
	// is 0 unless this replica leads and has applied an entry of its own term.
	leaseUntil atomic.Int64
	applied    atomic.Uint64
	shown      atomic.Uint64 // no read before now can have seen an entry above it
	fresh      atomic.Int64  // boot time by which all that was acknowledged is in the state, 0: nothing is known
	timeMS     atomic.Int64  // the group's time: Unix milliseconds of the newest write applied
	// nanoseconds from this node's boot time to the leader's clock for the group, 0: not heard yet
	clock atomic.Int64
	// begun and ended count changes of the readable state: while they differ one is going on.
	begun, ended atomic.Uint64
	used         atomic.Bool  // a read used or wanted the lease since the last renewal
	asked        atomic.Bool  // somebody wanted to know how old the state is, and it was not told so lately
	old          *atomic.Bool // asked is true of some replica of this node
	gone         atomic.Bool  // the replica is being deleted: what is read now may be nothing
	doubt        atomic.Bool  // it differs from another replica, and does not know which of them is right
	// void counts how often the state was found to be wrong, and was replaced: it is wrong while that is odd.
	void atomic.Uint64
}

// Leader returns the group's leader as this replica knows it.
func (h *Handle) Leader() Leadership { return *h.leader.Load() }

// Applied returns the index up to which entries can be read here.
func (h *Handle) Applied() uint64 { return h.applied.Load() }

// Shown returns an index at or above all that a read of the local state before the call can have seen.
// What is being applied may be readable a moment before Applied says so.
func (h *Handle) Shown() uint64 { return h.shown.Load() }

// shows is called before entries up to an index become readable.
func (h *Handle) shows(index uint64) {
	if index > h.shown.Load() {
		h.shown.Store(index)
	}
}

// HasLease reports whether a read of the local state is linearizable. The caller reads its
// clock for it, then calls HasLease, takes the Moment, reads the state, and asks Counts: an answer that
// was right at the check stays right however long the caller sleeps afterwards.
func (h *Handle) HasLease(boot time.Duration) bool {
	if !h.used.Load() {
		h.used.Store(true)
	}
	return int64(boot) < h.leaseUntil.Load()
}

// LeaseUntil is the boot time at which the lease ends, 0 when there is none. Unlike HasLease
// it does not count as use.
func (h *Handle) LeaseUntil() time.Duration { return time.Duration(h.leaseUntil.Load()) }

// Gone reports whether the replica's data is being deleted, or is known to be wrong and waits to be
// replaced, so that a read of it is void.
func (h *Handle) Gone() bool { return h.gone.Load() || h.void.Load()%2 == 1 }

// Time returns the group's time here, Unix milliseconds: the latest of the entries applied. Who
// reads a key calls it before the read, so that it is never later than what was read.
func (h *Handle) Time() int64 { return h.timeMS.Load() }

// Moment is a state of a replica.
type Moment struct {
	Index  uint64 // applied
	TimeMS int64  // the group's time
	ended  uint64
	void   uint64
}

// Moment returns the state that can be read now. Who reads several keys of it asks Holds afterwards.
func (h *Handle) Moment() Moment {
	m := Moment{ended: h.ended.Load(), void: h.void.Load()}
	m.Index, m.TimeMS = h.applied.Load(), h.timeMS.Load()
	return m
}

// Counts reports whether what was read since m was taken is the replica's: it was not being deleted, and at no
// moment since was the state known to be wrong.
func (h *Handle) Counts(m Moment) bool { return !h.Gone() && h.void.Load() == m.void }

// Holds reports whether all that was read since m was taken is of that state: every change that has
// begun had ended before.
func (h *Handle) Holds(m Moment) bool { return h.begun.Load() == m.ended || tornMget }

// Life is what a deadline means for whoever reads its key.
type Life uint8

const (
	Alive   Life = iota
	Expired      // it is gone, and on every replica that has come as far
	// Due: the leader's clock has reached the deadline, and the group's time has not. The key is not
	// to be shown any more. Nor may a linearizable read say that it is gone, for the next leader could
	// find it alive: a barrier brings the time forward, by which it is then decided. A stale read
	// promises nothing about those that follow, and shows what is due to nobody.
	Due
)

// Life judges the deadline of a key that was read after timeMS was taken with Time. Whatever shows or
// counts keys asks it.
func (h *Handle) Life(deadlineMS, timeMS int64, now Now) Life {
	if localExpiry {
		timeMS = now.WallMS
	}
	switch {
	case deadlineMS == 0:
		return Alive
	case kv.Expired(deadlineMS, timeMS):
		return Expired
	case kv.Expired(deadlineMS, h.Clock(now)) && (h.leader.Load().Self || !followersHaveNoClock):
		return Due
	}
	return Alive
}

// Clock is the leader's clock for the group, Unix milliseconds, as far as this replica heard of it:
// at least the group's time. A replica that has heard no leader since the process started believes
// its wall clock, as it would if it came to lead.
func (h *Handle) Clock(now Now) int64 {
	ms := now.WallMS
	if ahead := h.clock.Load(); ahead != 0 {
		ms = (ahead + int64(now.Boot)) / int64(time.Millisecond)
	}
	return max(h.timeMS.Load(), ms)
}
