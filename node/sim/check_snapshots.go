package sim

import (
	"errors"
	"slices"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// attemptKey is a follower as one leadership sees it.
type attemptKey struct {
	node kv.NodeID
	life int
	p    kv.PartitionID
	to   kv.ReplicaID
	term uint64
}

// attempts are the snapshots that a leadership has sent to a follower.
type attempts struct {
	failures int           // in a row
	taken    bool          // the last one arrived
	ended    time.Duration // when, by the node's own clock
	match    uint64        // how far the follower was then
	refused  bool          // as not wanted
}

// crowd is a receiver that said it receives as many as it may, as one sender heard it.
type crowd struct {
	node kv.NodeID
	life int
	to   kv.NodeID
}

// nodeOf is the node of a replica.
func nodeOf(v *replica.View, id uint64) kv.NodeID {
	for _, r := range v.Replicas {
		if uint64(r.ID) == id {
			return r.Node
		}
	}
	return 0
}

func keyOf(n *node, s *replica.Shipment) attemptKey {
	return attemptKey{n.id, n.life, s.Request.Partition, s.Request.To, s.Request.Term}
}

// shipped checks what a node has just decided to send.
func (c *checker) shipped(n *node, s *replica.Shipment) {
	r := s.Request
	l := c.w.o.snapshotLimits()
	out, learners := 0, 0
	for _, t := range c.w.transfers {
		if t.from != n || t.fromLife != n.life {
			continue
		}
		if t.s.Request.Small == r.Small {
			out++
			if !t.s.Request.Urgent {
				learners++
			}
		}
		if t.s.Request.Partition == r.Partition && t.s.Request.To == r.To {
			c.w.fail("%s: partition %v: a second snapshot is sent to replica %d while one is under way", n.name,
				r.Partition, r.To)
		}
	}
	places := l.Out
	if r.Small {
		places = l.SmallOut
	}
	if out >= places || !r.Urgent && learners >= max(places-1, 1) {
		c.w.fail("%s: %d snapshots are under way, %d for learners, and one more is sent: the limit is %d", n.name, out,
			learners, places)
	}
	if small := c.w.o.small(r.Partition); small != r.Small {
		c.w.fail("%s: partition %v is said to be small: %v", n.name, r.Partition, r.Small)
	}
	c.pauses(n, s, l)
	if v, _ := n.host.View(r.Partition); r.Partition != kv.Meta && !slices.Contains(v.Conf.GetVoters(), uint64(r.To)) &&
		!slices.Contains(v.Conf.GetVotersOutgoing(), uint64(r.To)) {
		c.votersFirst(n, s)
	}
}

// pauses checks that what has failed is not sent again at once, and later with each failure.
func (c *checker) pauses(n *node, s *replica.Shipment, l replica.SnapshotLimits) {
	a := c.attempts[keyOf(n, s)]
	progress, _ := n.host.Progress(s.Request.Partition)
	if a == nil || a.failures == 0 || progress[s.Request.To].Match != a.match {
		return
	}
	pause, most := l.Pause, l.MostPause
	if a.refused {
		most = min(most, 8*l.Pause)
	}
	for i := 1; i < a.failures && pause < most; i++ {
		pause *= 2
	}
	// A tick may come a tenth early, and the first is under way already.
	if least := min(pause, most)*9/10 - tick; n.boot()-a.ended < least {
		c.w.fail("%s: partition %v: a snapshot for replica %d is sent %v after the last of %d failures, want %v",
			n.name, s.Request.Partition, s.Request.To, n.boot()-a.ended, a.failures, least)
	}
}

// votersFirst checks that no voter waits while a learner is sent a snapshot, nor anybody who must
// know the placement before all else.
func (c *checker) votersFirst(n *node, s *replica.Shipment) {
	for _, p := range n.host.Partitions() {
		v, _ := n.host.View(p)
		if !v.Leads || n.host.Inspect(p).InDoubt {
			continue // who is in doubt sends nothing
		}
		progress, _ := n.host.Progress(p)
		first := v.Conf.GetVoters()
		if p == kv.Meta {
			first = slices.Concat(first, v.Conf.GetLearners())
		}
		for _, id := range first {
			if progress[kv.ReplicaID(id)].Snapshot == 0 || c.w.o.small(p) != s.Request.Small ||
				c.crowded[crowd{n.id, n.life, nodeOf(&v, id)}] > n.boot() {
				continue
			}
			if slices.ContainsFunc(c.w.transfers, func(t *transfer) bool {
				return t.from == n && t.s.Request.Partition == p && t.s.Request.To == kv.ReplicaID(id)
			}) {
				continue
			}
			if a := c.attempts[attemptKey{n.id, n.life, p, kv.ReplicaID(id), n.host.Inspect(p).Term}]; a != nil {
				continue // it has its pause, or is about to tell that it has it
			}
			c.w.fail("%s: partition %v: learner %d is sent a snapshot while replica %d of partition %v waits for one",
				n.name, s.Request.Partition, s.Request.To, id, p)
		}
	}
}

func (c *checker) shipmentEnded(n *node, s *replica.Shipment, err error) {
	k := keyOf(n, s)
	a := c.attempts[k]
	if errors.Is(err, kv.Busy) {
		// Nobody on that node is sent one for a moment; nothing has failed.
		c.crowded[crowd{n.id, n.life, s.Request.ToNode}] = n.boot() + c.w.o.snapshotLimits().BusyPause + 2*tick
		return
	}
	if a == nil {
		a = new(attempts)
		c.attempts[k] = a
	}
	progress, _ := n.host.Progress(s.Request.Partition)
	if match := progress[s.Request.To].Match; match != a.match {
		a.failures, a.match = 0, match
	}
	a.ended, a.taken = n.boot(), err == nil
	a.refused = errors.Is(err, kv.NotWanted)
	if err == nil || progress[s.Request.To].Snapshot == 0 {
		// It arrived, or the library waits for none any more, whose next need is a new one. (Those to void
		// replicas, of which the library knows nothing, are not judged here.)
		a.failures = 0
	} else {
		a.failures++
	}
}

// admitted checks the places of the receiver.
func (c *checker) admitted(t *transfer) {
	in, l := 0, c.w.o.snapshotLimits()
	for _, o := range c.w.transfers {
		if o.to == t.to && o.toLife == t.to.life && o.s.Request.Small == t.s.Request.Small {
			in++
		}
	}
	places := l.In
	if t.s.Request.Small {
		places = l.SmallIn
	}
	if in > places {
		c.w.fail("%s: receives %d snapshots, the limit is %d", t.to.name, in, places)
	}
}

// givenUp checks that only what hardly moves is given up for that.
func (c *checker) givenUp(t *transfer) {
	if ago := c.w.now - t.moved; ago < c.w.o.snapshotLimits().Window/2 {
		c.w.fail("%s: partition %v: the snapshot for replica %d was given up as stalled, and moved %v ago", t.from.name,
			t.s.Request.Partition, t.s.Request.To, ago)
	}
}

// shipmentsOver says which snapshots are still on their way, or hold a place.
func (c *checker) shipmentsOver() string {
	if n := len(c.w.transfers); n > 0 {
		return "snapshots are on their way"
	}
	for _, n := range c.w.living() {
		s := n.host.Stats()
		if s.SnapshotsOut.Load()+s.SnapshotsWaiting.Load()+s.SnapshotsIn.Load() > 0 {
			return n.name + " has snapshots under way"
		}
	}
	return ""
}
