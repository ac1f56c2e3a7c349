package sim

import (
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// flapping is a member that falls again and again, and what became of its leaderships.
type flapping struct {
	n     *node
	until time.Duration
	given map[kv.PartitionID]int // how often leadership was handed to it
	// passed are the terms in which a leader handed over, whoever it was.
	passed map[kv.PartitionID]map[uint64]bool
}

// flap picks the member that leads most, and lets it fall until the time is over.
func (w *World) flap() {
	most := -1
	for _, n := range w.nodes {
		if led := len(w.ledBy(n)); led > most {
			most, w.check.flapping.n = led, n
		}
	}
	w.check.flapping.until = w.now + w.o.Moves.Flap
	w.check.flapping.given = map[kv.PartitionID]int{}
	w.check.flapping.passed = map[kv.PartitionID]map[uint64]bool{}
	w.fallOnce()
}

func (w *World) fallOnce() {
	f, m := &w.check.flapping, &w.o.Moves
	if w.healed || w.now >= f.until {
		w.check.damped()
		return
	}
	w.stats.Falls++
	if m.Together {
		for _, n := range w.nodes {
			n.paused = max(n.paused, w.now+m.Down)
		}
	} else if m.Stopped {
		f.n.paused = max(f.n.paused, w.now+m.Down)
	} else if f.n.up {
		f.n.crash()
		f.n.restart(m.Down)
	}
	w.after(m.Down+m.Up, w.fallOnce)
}

// ledBy lists the partitions of users' keys that a node leads.
func (w *World) ledBy(n *node) (ps []kv.PartitionID) {
	if !n.up {
		return nil
	}
	for _, p := range n.host.Partitions() {
		if v, _ := n.host.View(p); v.Leads && p != kv.Meta {
			ps = append(ps, p)
		}
	}
	return ps
}

// says notes what a node tells another, where it counts.
func (c *checker) says(to kv.NodeID, m replica.Message) {
	f := &c.flapping
	if f.n == nil || c.w.now >= f.until || m.Kind != replica.RaftMessage || m.Raft.GetType() != pb.MsgTimeoutNow {
		return
	}
	if f.n.id == to {
		f.given[m.Partition]++
	}
	if f.passed[m.Partition] == nil {
		f.passed[m.Partition] = map[uint64]bool{}
	}
	f.passed[m.Partition][m.Raft.GetTerm()] = true
}

// damped checks what became of the leaderships of a member that fell again and again: it may
// have got one back as long as it ran for longer than each fall makes it wait, and no more often;
// and whoever stands still most of the time has lost all of them.
func (c *checker) damped() {
	f, m := &c.flapping, &c.w.o.Moves
	if m.Together {
		c.rested()
		return
	}
	if led := c.w.ledBy(f.n); m.Stopped && len(led) > 0 {
		c.w.fail("%s stood still %v of every %v for %v, and still leads %v", f.n.name, m.Down, m.Down+m.Up, m.Flap, led)
	}
	// A first fall of which a leader has heard nothing counts for nothing, and then for each:
	most := 1
	for wait := 28 * tick; wait <= m.Up; wait *= 2 {
		most++
	}
	for p := range kv.PartitionID(c.w.o.Partitions) {
		if f.given[p] > most {
			c.w.fail("%s fell every %v for %v, and was given partition %v %d times, %d at most are due", f.n.name,
				m.Down+m.Up, m.Flap, p, f.given[p], most)
		}
	}
}

// rested checks that members which all stood still together did not pass leaderships round and round:
// each gives one away at once, keeps it for longer each time that it comes back, and in between it
// drifts to the preferred leader after a tenure at the earliest.
func (c *checker) rested() {
	m, l := &c.w.o.Moves, &c.w.o.Moves.Limits
	most := int(m.Flap/(28*tick)) + 1
	for wait, sum := 28*tick, time.Duration(0); sum <= m.Flap; wait = min(2*wait,
		time.Duration(l.MostSteadyTicks)*tick) {
		most += len(c.w.nodes)
		sum += wait
	}
	for p, passed := range c.flapping.passed {
		if len(passed) > most {
			c.w.fail("all stood still for %v of every %v during %v, and passed partition %v on %d times, %d at "+
				"most are due", m.Down, m.Down+m.Up, m.Flap, p, len(passed), most)
		}
	}
}
