package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/persist/data"
)

// checker holds what must be true in every run.
type checker struct {
	w       *World
	hashes  map[place]uint64       // running hash of effects after each applied index
	leaders map[place]kv.ReplicaID // by term
	acks    map[kv.PartitionID]uint64
	ackLog  map[kv.PartitionID][]ack
	clocks  map[place][]tell      // of leaders
	written map[place]uint64      // index at which a version was written, of acknowledged writes
	terms   map[replicaKey]uint64 // promised by what left the node
	history []*operation
	// attempts of leaders to send snapshots.
	attempts  map[attemptKey]*attempts
	crowded   map[crowd]time.Duration // until when, by the sender's clock
	values    uint64
	closing   bool
	flapping  flapping
	gone      map[kv.NodeID]bool  // members that were removed
	forgotten map[replicaKey]bool // replicas of nodes in memory that have ended
}

type place struct {
	p kv.PartitionID
	n uint64 // index or term
}

type replicaKey struct {
	p  kv.PartitionID
	id kv.ReplicaID
}

func (c *checker) init(w *World) {
	*c = checker{w: w, hashes: map[place]uint64{}, leaders: map[place]kv.ReplicaID{}, acks: map[kv.PartitionID]uint64{},
		ackLog: map[kv.PartitionID][]ack{}, written: map[place]uint64{}, clocks: map[place][]tell{},
		terms: map[replicaKey]uint64{}, attempts: map[attemptKey]*attempts{}, crowded: map[crowd]time.Duration{},
		forgotten: map[replicaKey]bool{}, gone: map[kv.NodeID]bool{}}
}

// turn checks a node after its turn.
func (c *checker) turn(n *node) {
	for _, p := range n.host.Partitions() {
		s := n.host.Inspect(p)
		c.remembered(n, p, s.ID)
		// While a snapshot is installed the library campaigns for nothing.
		if s.First > s.Told+1 && !n.host.Holdings(p).Staged {
			c.w.fail("%s: partition %v: the log begins at %d, and the library takes what follows %d for unapplied",
				n.name, p, s.First, s.Told)
		}
		if c.judged(n, p, &s) && s.Applied.Index > 0 {
			at := place{p, s.Applied.Index}
			if h, ok := c.hashes[at]; !ok {
				c.hashes[at] = s.Applied.Hash
			} else if h != s.Applied.Hash {
				c.w.fail("%s: partition %v: state at index %d differs from another replica's", n.name, p, at.n)
			}
		}
		if s.Leads {
			c.told(n, p, s.Term)
			if known := c.terms[replicaKey{p, s.ID}]; known < s.Term {
				c.w.fail("%s: partition %v: leads in term %d, and its disk knows %d", n.name, p, s.Term, known)
			}
			at := place{p, s.Term}
			if id, ok := c.leaders[at]; !ok {
				c.leaders[at] = s.ID
			} else if id != s.ID {
				c.w.fail("%s: partition %v: replicas %d and %d both lead in term %d", n.name, p, id, s.ID, at.n)
			}
		}
		c.leases(p)
	}
}

// started checks that a restarted node remembers what it promised.
func (c *checker) started(n *node) {
	if n.old != nil {
		return // the node itself, or the others, must see it
	}
	for _, p := range n.host.Partitions() {
		s := n.host.Inspect(p)
		if knew := c.w.flips.wrong[replicaKey{p, s.ID}]; knew && !s.Void {
			c.w.flips.wrong[replicaKey{p, s.ID}] = false // the mark was not on disk yet; it will be found once more
		}
		if t := c.terms[replicaKey{p, s.ID}]; s.Term < t {
			c.w.fail("%s: partition %v: replica %d restarted in term %d and had promised term %d", n.name, p, s.ID,
				s.Term, t)
		}
	}
}

// forgot notes what a node has forgotten of which nothing ever left it: its vote for itself.
func (c *checker) forgot(n *node) {
	for _, p := range n.host.Partitions() {
		s := n.host.Inspect(p)
		c.terms[replicaKey{p, s.ID}] = s.DurableTerm
	}
}

// durable lists the terms that will be on disk with the job that was just taken.
func (c *checker) durable(n *node) map[replicaKey]uint64 {
	terms := map[replicaKey]uint64{}
	for _, p := range n.host.Partitions() {
		s := n.host.Inspect(p)
		terms[replicaKey{p, s.ID}] = s.DurableTerm
	}
	return terms
}

// promised notes the terms that were on disk when promises left a node.
func (c *checker) promised(terms map[replicaKey]uint64) {
	for k, t := range terms {
		c.terms[k] = max(c.terms[k], t)
	}
}

// acked notes an acknowledged write and checks the leases against it at once.
func (c *checker) acked(p kv.PartitionID, index uint64) {
	c.acks[p] = max(c.acks[p], index)
	c.ackLog[p] = append(c.ackLog[p], ack{c.w.now, c.acks[p]})
	c.leases(p)
}

// leases checks that at most one replica may read alone, and that it has applied every
// acknowledged write.
func (c *checker) leases(p kv.PartitionID) {
	var holder *node
	for _, n := range c.w.nodes {
		if !n.up || n.host == nil {
			continue
		}
		h := n.host.Handle(p)
		if h == nil || h.LeaseUntil() <= n.boot() {
			continue
		}
		if holder != nil {
			c.w.fail("partition %v: %s and %s both have a lease", p, holder.name, n.name)
		}
		holder = n
		if h.Applied() < c.acks[p] {
			c.w.fail("partition %v: %s has a lease and has applied %d, but %d is acknowledged", p, n.name, h.Applied(),
				c.acks[p])
		}
	}
}

// settled says what is still to be done after the faults, "" when nothing is.
func (c *checker) settled() string {
	w := c.w
	if w.losing {
		return "a node is down, and it is not decided yet whether for good"
	}
	living := w.living()
	for _, n := range living {
		if n.stopping {
			return n.name + " is about to stop"
		}
		if !n.up || !n.joined || n.machine.State() == nil {
			return n.name + " has not joined"
		}
		s := n.machine.State()
		if !members(s, living) || len(s.Members) > len(w.nodes) || s.PlacementOutdated() ||
			s.Epoch != living[0].machine.State().Epoch {
			return fmt.Sprintf("%s has epoch %d, %d members, outdated %v", n.name, s.Epoch, len(s.Members),
				s.PlacementOutdated())
		}
	}
	s := living[0].machine.State()
	for _, unsettled := range []func(*meta.State) string{c.departing, c.zoned, c.numbered} {
		if what := unsettled(s); what != "" {
			return what
		}
	}
	voters, learners := s.MetaReplicas()
	if what := c.groupSettled(kv.Meta, voters, learners); what != "" {
		return what
	}
	for p, row := range s.Placement {
		if what := c.groupSettled(kv.PartitionID(p), row, nil); what != "" {
			return what
		}
	}
	return c.shipmentsOver()
}

// purgePatience is how long after its deadline a key may still take room.
const purgePatience = 1500 * time.Millisecond

func (c *checker) groupSettled(p kv.PartitionID, voters, learners []kv.Replica) string {
	var leader *node
	missing := c.w.missing(voters)
	for _, n := range c.w.living() {
		v, here := n.host.View(p)
		wanted := slices.ContainsFunc(slices.Concat(voters, learners), func(r kv.Replica) bool {
			return r.Node == n.id
		})
		if here != wanted && !(here && missing > 0) {
			return fmt.Sprintf("partition %v: %s has a replica: %v, wanted: %v", p, n.name, here, wanted)
		}
		if here && v.Leads {
			leader = n
		}
	}
	if leader == nil {
		return fmt.Sprintf("partition %v has no leader", p)
	}
	conf := leader.host.Inspect(p).Applied.Conf
	if missing > 0 {
		if what := c.asPossible(p, leader, voters, missing); what != "" {
			return what
		}
	} else if len(conf.GetVotersOutgoing()) > 0 || len(conf.GetVoters()) != len(voters) ||
		len(conf.GetLearners()) != len(learners) {
		return fmt.Sprintf("partition %v: configuration %v, wanted %v and learners %v", p, conf, voters, learners)
	}
	if first := c.w.node(voters[0].Node); leader != first && !first.lost {
		return fmt.Sprintf("partition %v: led by %s, preferred is node %v", p, leader.name, voters[0].Node)
	}
	applied := leader.host.Inspect(p).Applied
	for _, n := range c.w.living() {
		h := n.host.Handle(p)
		if h == nil {
			continue
		}
		if h.Applied() < applied.Index {
			return fmt.Sprintf("partition %v: %s has applied %d of %d", p, n.name, h.Applied(), applied.Index)
		}
		if what := c.alike(p, n, leader); what != "" {
			return what
		}
		index, _, err := n.db.Due(p, data.Due{}, math.MaxInt64, 1<<20)
		if stale := slices.ContainsFunc(index, func(d data.Due) bool { return !d.Current }); err != nil || stale {
			return fmt.Sprintf("partition %v: the expiry index of %s has items of former deadlines: %v, %v", p,
				n.name, index, err)
		}
		until := applied.TimeMS - purgePatience.Milliseconds()
		if due, _, err := n.db.Due(p, data.Due{}, until, 1); err != nil || len(due) > 0 {
			return fmt.Sprintf("partition %v: %s still has %v at %d: %v", p, n.name, due, applied.TimeMS, err)
		}
	}
	return ""
}

// linearizable asks porcupine for an order of each key's operations.
func (c *checker) linearizable() {
	var ops []porcupine.Operation
	for _, op := range c.history {
		if op.out.unknown && op.kind == opGet {
			continue
		}
		ops = append(ops, porcupine.Operation{Input: *op, Output: op.out, Call: op.call, Return: op.ret})
	}
	switch porcupine.CheckOperationsTimeout(key, ops, 5*time.Minute) {
	case porcupine.Illegal:
		c.w.fail("the history is not linearizable: %s", c.culprit(ops))
	case porcupine.Unknown:
		c.w.fail("porcupine found no answer in time for %d operations", len(ops))
	}
}

// culprit names the keys whose operations have no order.
func (c *checker) culprit(ops []porcupine.Operation) string {
	out := ""
	for _, part := range partition(ops) {
		if porcupine.CheckOperationsTimeout(key, part, 20*time.Second) == porcupine.Ok {
			continue
		}
		for _, op := range part {
			in := op.Input.(operation)
			out += fmt.Sprintf("\n  %v-%v %s kind %d value %d ttl %d expect %d: %+v", time.Duration(op.Call),
				time.Duration(op.Return), in.key, in.kind, in.value, in.ttl, in.expect.value, in.out)
		}
	}
	return out
}
