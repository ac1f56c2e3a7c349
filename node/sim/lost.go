package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// lostAfter is how long a node is down before it is decided whether the others can do without it
// for good: nobody takes it for alive any more by then, and no change that it is part of begins.
const lostAfter = 5 * time.Second

// lose takes a member away for ever, where the others can go on without it. Else it only was
// down for a while, and another one is tried.
func (w *World) lose(tries int) {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	if !n.up {
		w.after(100*time.Millisecond, func() { w.lose(tries) })
		return
	}
	n.crash()
	n.lost, w.losing = true, true
	w.after(lostAfter, func() { w.decide(n, tries) })
}

func (w *World) decide(n *node, tries int) {
	for _, o := range w.living() {
		if !o.up || o.paused > w.now {
			w.after(100*time.Millisecond, func() { w.decide(n, tries) })
			return
		}
	}
	w.losing = false
	if w.canDoWithout() {
		w.stats.Lost++
		w.note('l', uint64(n.id))
		return
	}
	n.lost = false
	n.restart(0)
	if tries > 1 && !w.healed {
		w.lose(tries - 1)
	}
}

// comeBack lets who was lost return after all: then everything must become as it is wanted.
func (w *World) comeBack() {
	if !w.o.Moves.Return || w.failure != nil {
		return
	}
	for _, n := range w.nodes {
		if n.lost {
			n.lost = false
			n.restart(0)
		}
	}
	w.settle()
}

// living are the nodes that are not lost.
func (w *World) living() []*node {
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n.lost })
}

func members(s *meta.State, of []*node) bool {
	return !slices.ContainsFunc(of, func(n *node) bool {
		_, ok := s.Member(n.id)
		return !ok
	})
}

// missing counts the replicas that are on lost nodes.
func (w *World) missing(of []kv.Replica) int {
	n := 0
	for _, r := range of {
		if w.node(r.Node).lost {
			n++
		}
	}
	return n
}

// canDoWithout reports whether all groups have a majority on the nodes that are not lost, by each
// configuration that any of them knows or may yet come to know.
func (w *World) canDoWithout() bool {
	groups := map[kv.PartitionID]bool{}
	for _, n := range w.living() {
		for _, p := range n.host.Partitions() {
			v, _ := n.host.View(p)
			if len(v.Conf.GetVoters()) > 0 { // else it was born a moment ago, and knows nothing
				groups[p] = true
			}
			if v.Pending || !w.majority(v, v.Conf.GetVoters()) || !w.majority(v, v.Conf.GetVotersOutgoing()) {
				return false
			}
		}
		if n.changing() {
			return false
		}
	}
	return len(groups) == w.o.Partitions+1
}

// majority reports whether more than half of these replicas live; none need not.
func (w *World) majority(v replica.View, voters []uint64) bool {
	live := 0
	for _, id := range voters {
		at := slices.IndexFunc(v.Replicas, func(r kv.Replica) bool { return r.ID == kv.ReplicaID(id) })
		if at >= 0 && !w.node(v.Replicas[at].Node).lost {
			live++
		}
	}
	return len(voters) == 0 || live > len(voters)/2
}

// changing reports whether a log holds a configuration change that is not applied.
func (n *node) changing() bool {
	stored, err := n.db.Replicas()
	if err != nil {
		n.w.fail("%s: list replicas: %v", n.name, err)
		return false
	}
	for _, r := range stored {
		last, _ := r.LastIndex()
		first := n.host.Inspect(r.Partition()).Applied.Index + 1
		if first > last {
			continue
		}
		entries, err := r.Entries(first, last+1, math.MaxUint64)
		if err != nil {
			return true // cut meanwhile
		}
		if slices.ContainsFunc(entries, func(e *pb.Entry) bool { return e.GetType() == pb.EntryConfChangeV2 }) {
			return true
		}
	}
	return false
}

// asPossible says what is still to be done in a group of which some wanted replicas are on lost
// nodes: all wanted ones that live are voters, as many voters live as may be, in place of those
// that are missing stay old ones, and no living node learns for ever.
func (c *checker) asPossible(p kv.PartitionID, leader *node, voters []kv.Replica, missing int) string {
	v, _ := leader.host.View(p)
	if len(v.Conf.GetVotersOutgoing()) > 0 {
		return fmt.Sprintf("partition %v: joint configuration %v", p, v.Conf)
	}
	live, old := 0, 0
	for _, r := range v.Replicas {
		if c.w.node(r.Node).lost {
			continue
		}
		votes := slices.Contains(v.Conf.GetVoters(), uint64(r.ID))
		wanted := slices.ContainsFunc(voters, func(o kv.Replica) bool { return o.Node == r.Node })
		switch {
		case votes && !wanted:
			old++
		case !votes && wanted:
			return fmt.Sprintf("partition %v: replica %d of %v is no voter", p, r.ID, r.Node)
		}
		if votes {
			live++
		}
	}
	if least := len(voters) - missing; live < least {
		return fmt.Sprintf("partition %v: %d voters live, %d could", p, live, least)
	}
	if old > missing {
		return fmt.Sprintf("partition %v: %d replicas that nobody wants in place of %d: %v", p, old, missing, v.Conf)
	}
	return ""
}
