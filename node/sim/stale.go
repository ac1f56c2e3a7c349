package sim

import (
	"sort"
	"time"

	"pxkv/node/kv"
	"pxkv/node/local"
	"pxkv/node/replica"
)

// ack is an acknowledged write: when, and the largest index acknowledged by then.
type ack struct {
	at    time.Duration
	index uint64
}

// readStale reads a key from any replica, as soon as that has what this client wrote or read last.
func (c *client) readStale(key string) {
	w := c.w
	p := w.partition(key)
	least, version := c.index[p], c.versions[key]
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	var try func()
	try = func() {
		h := n.host.Handle(p)
		switch {
		case h == nil || h.Applied() == 0:
		case h.Applied() < least:
			n.do(20*time.Millisecond, try)
		default:
			n.readAsIs(c, h, key, version)
		}
	}
	if n.up {
		w.net.once(0, n.id, func() { n.do(0, try) })
	}
}

// readAsIs reads what is here, says how old it may be and at which index it was read, and has all of it
// checked.
func (n *node) readAsIs(c *client, h *replica.Handle, key string, version uint64) {
	w := n.w
	v, claim, bounded, ok := local.AsIs(h, n.now())
	if !ok {
		return
	}
	k := &local.Key{View: v, Name: []byte(key)}
	err := n.io(func() error { return k.Load(n.db.Store) })
	switch {
	case n.reap() || err != nil && n.faults.raised.Load():
		return
	case err != nil:
		w.fail("%s: stale read: %v", n.name, err)
		return
	}
	res, _, ok := k.Result(nil, n.now, true)
	if !ok {
		return
	}
	w.stats.Stale++
	shown, it, found := res.Receipt.Index, res.Item, res.Found
	if found && it.Version < version {
		w.fail("%s: %s has version %d at index %d, and who reads it knows of %d", n.name, key, it.Version, shown,
			version)
	}
	if found && it.Version > version {
		c.index[h.Partition] = max(c.index[h.Partition], shown)
		c.versions[key] = max(c.versions[key], it.Version)
	}
	if at := w.check.written[place{h.Partition, it.Version}]; found && at > shown {
		w.fail("%s: %s was written at index %d, and is said to be read at %d", n.name, key, at, shown)
	}
	if bounded {
		w.stats.Claims++
		w.check.staleness(n, h, claim)
	}
	if found && it.Deadline != 0 {
		w.stats.StaleMortal++
		if bounded {
			w.check.inTime(n, h, it.Deadline, claim)
		}
	}
}

// tell is what the clock of a term's leader showed.
type tell struct {
	at time.Duration
	ms int64
}

// told notes the clock of a leader that has a lease.
func (c *checker) told(n *node, p kv.PartitionID, term uint64) {
	if h := n.host.Handle(p); h.LeaseUntil() > n.boot() {
		c.clocks[place{p, term}] = append(c.clocks[place{p, term}], tell{c.w.now, h.Clock(n.now())})
	}
}

// inTime checks that a key which a stale read shows has not outlived its deadline by its leader's
// clock. The replica heard of that as long ago as it claims at most, and goes by its own clock since. Leaders follow
// theirs an eighth faster or slower, and look at it every eighth tick. Another leader's clock may be another one, when
// all have been restarted.
func (c *checker) inTime(n *node, h *replica.Handle, deadlineMS int64, claim time.Duration) {
	w := c.w
	if w.stats.Pauses > 0 || w.stats.Falls > 0 {
		return
	}
	by := w.now - time.Duration(float64(claim)*1.25) - tick
	log := c.clocks[place{h.Partition, h.Leader().Term}]
	if i := sort.Search(len(log), func(i int) bool { return log[i].at > by }); i > 0 && log[i-1].ms >= deadlineMS {
		w.fail("%s: partition %v: a key is shown whose deadline %d the leader's clock had reached %v ago", n.name,
			h.Partition, deadlineMS, w.now-log[i-1].at)
	}
}

// staleness checks a claim: every write that was acknowledged before that time, by the clock of the
// node, is there. Only a machine that was frozen as a whole may not know of that time.
func (c *checker) staleness(n *node, h *replica.Handle, claim time.Duration) {
	w := c.w
	by := w.now - time.Duration(float64(claim)/n.rate) - n.stillFor(w.now) - time.Microsecond // roundings
	if must := c.ackedBy(h.Partition, by); h.Applied() < must {
		w.fail("%s: partition %v: index %d is said to be %v old at most, and %d was acknowledged before that", n.name,
			h.Partition, h.Applied(), claim, must)
	}
}

// ackedBy is the largest index of a partition that was acknowledged by a moment, 0 for none.
func (c *checker) ackedBy(p kv.PartitionID, by time.Duration) uint64 {
	acks := c.ackLog[p]
	if i := sort.Search(len(acks), func(i int) bool { return acks[i].at > by }); i > 0 {
		return acks[i-1].index
	}
	return 0
}
