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
	fresh      atomic.Int64 // boot time at which the state was last known to hold all commits, 0: never
	timeMS     atomic.Int64 // the group's time: Unix milliseconds of the newest write applied
	clock      atomic.Int64 // nanoseconds from this node's boot time to the leader's clock for the group
	used       atomic.Bool  // a read used or wanted the lease since the last renewal
	gone       atomic.Bool  // the replica is being deleted: what is read now may be nothing
}

// Leader returns the group's leader as this replica knows it.
func (h *Handle) Leader() Leadership { return *h.leader.Load() }

// Applied returns the index up to which entries can be read here.
func (h *Handle) Applied() uint64 { return h.applied.Load() }

// HasLease reports whether a read of the local state is linearizable. The caller reads its
// clock for it, then calls HasLease, then reads the state, then asks Gone: an answer that
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

// Gone reports whether the replica's data is being deleted, so that a read of it is void.
func (h *Handle) Gone() bool { return h.gone.Load() }

// Time returns the group's time here, Unix milliseconds: the latest of the entries applied. Who
// reads a key calls it before the read, so that it is never later than what was read.
func (h *Handle) Time() int64 { return h.timeMS.Load() }

// Life is what a deadline means for whoever reads its key.
type Life uint8

const (
	Alive   Life = iota
	Expired      // it is gone, and on every replica that has come as far
	// Due: the leader's clock has reached the deadline, and the group's time has not. Nobody may say
	// that the key is gone, for the next leader could find it alive; nor should the key be shown. A
	// barrier brings the time forward, by which it is then decided.
	Due
)

// Life judges the deadline of a key that was read after timeMS was taken with Time.
func (h *Handle) Life(deadlineMS, timeMS int64, now Now) Life {
	if planted.localExpiry {
		timeMS = now.WallMS
	}
	switch {
	case deadlineMS == 0:
		return Alive
	case kv.Expired(deadlineMS, timeMS):
		return Expired
	case h.leader.Load().Self && kv.Expired(deadlineMS, h.Clock(now.Boot)):
		return Due
	}
	return Alive
}

// Clock is the leader's clock for the group, Unix milliseconds, as far as this replica heard of it:
// at least the group's time.
func (h *Handle) Clock(boot time.Duration) int64 {
	return max(h.timeMS.Load(), (h.clock.Load()+int64(boot))/int64(time.Millisecond))
}

// Staleness is how old the local state may be: the time since it was known to hold all that
// the leader had committed, 0 on the leader itself. A replica that has not heard a leader since
// the process started can only tell how long ago the newest write that it has was made.
func (h *Handle) Staleness(now Now) time.Duration {
	switch fresh := h.fresh.Load(); {
	case h.leader.Load().Self:
		return 0
	case fresh != 0:
		return max(0, now.Boot-time.Duration(fresh))
	}
	return max(0, time.Duration(now.WallMS-h.timeMS.Load())*time.Millisecond)
}

// handles is an immutable table; a group that comes or goes makes a new one.
type handles struct {
	data []*Handle // by partition, nil where this node has no replica
	meta *Handle
}

func (t *handles) get(p kv.PartitionID) *Handle {
	if p == kv.Meta {
		return t.meta
	}
	if int(p) >= len(t.data) {
		return nil
	}
	return t.data[p]
}

func (t *handles) with(p kv.PartitionID, h *Handle) *handles {
	n := &handles{meta: t.meta, data: t.data}
	if p == kv.Meta {
		n.meta = h
		return n
	}
	n.data = make([]*Handle, max(len(t.data), int(p)+1))
	copy(n.data, t.data)
	n.data[p] = h
	return n
}
