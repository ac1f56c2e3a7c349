package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/persist"
	"pxkv/persist/data"
)

// Memory fails a node: one bit of a value flips on its way into the state of one replica, leader or
// not. It is of a key that no client asks for, since what is told of a wrong state before anybody can
// know that it is wrong is no fault of the program.

// flip is one such bit.
type flip struct {
	p    kv.PartitionID
	id   kv.ReplicaID
	key  string
	done bool
}

const flipValue = "the same on every replica"

// flips are those of a run, and what follows from them.
type flips struct {
	all []*flip
	// wrong has the replicas whose state is not that of the others; true: they know it.
	wrong map[replicaKey]bool
	// spread has partitions of which somebody else was sent a wrong state, before anybody knew.
	spread map[kv.PartitionID]bool
	// givenUp are the replicas whose state an operator had replaced, though it was right.
	givenUp map[replicaKey]bool
}

// drawFlips comes last: where a member is lost or replaced meanwhile, there may be no majority that
// is right.
func (o *Options) drawFlips() {
	r := rand.New(rand.NewPCG(o.Seed, 10))
	if r.IntN(3) > 0 && o.Replicas > 2 && !o.Moves.Lose && o.Moves.Flap == 0 && o.Replace == 0 {
		o.FlipRate = 0.5 + 2*r.Float64()
	}
}

// flipSome lets a bit flip where all replicas of a partition are well, so that most are right.
func (w *World) flipSome() {
	p := kv.PartitionID(w.rng.IntN(w.o.Partitions))
	i := slices.IndexFunc(w.nodes, func(o *node) bool {
		if !o.up || o.paused > w.now {
			return false
		}
		v, _ := o.host.View(p)
		return v.Leads
	})
	if i < 0 {
		return
	}
	leader := w.nodes[i]
	v, _ := leader.host.View(p)
	if v.Pending || len(v.Conf.GetVotersOutgoing()) > 0 || len(v.Conf.GetVoters()) < 3 || w.flips.troubled(p) {
		return
	}
	progress, last := leader.host.Progress(p)
	for _, r := range v.Replicas {
		// One that lags may need a snapshot, and then cannot say who is right.
		if o, pr := w.node(r.Node), progress[r.ID]; !o.up || o.paused > w.now || o.host.Handle(p) == nil ||
			pr.Match+8 < last {
			return
		}
	}
	f := &flip{p: p, id: v.Replicas[w.rng.IntN(len(v.Replicas))].ID, key: w.keyIn(p)}
	w.flips.all = append(w.flips.all, f)
	leader.in.Orders = append(leader.in.Orders, func(h *replica.Host) {
		c := kv.Command{Op: kv.OpPut, Key: []byte(f.key), Value: kv.Value{Kind: kv.String, Data: []byte(flipValue)}}
		h.Propose(replica.Op{Partition: p, Command: c.AppendTo(nil), Reply: func(entry.Reply) {}})
	})
	leader.schedule()
}

// troubled reports whether a replica of a partition is wrong, or was and did not need to know it.
func (f *flips) troubled(p kv.PartitionID) bool {
	for k := range f.wrong {
		if k.p == p {
			return true
		}
	}
	return f.spread[p]
}

// keyIn returns a new key of a partition.
func (w *World) keyIn(p kv.PartitionID) string {
	for i := 0; ; i++ {
		if key := fmt.Sprintf("flip-%d-%d", len(w.flips.all), i); w.partition(key) == p {
			return key
		}
	}
}

// disturb is where the bit flips.
func (n *node) disturb(p kv.PartitionID, key []byte, rec *data.Record) {
	for _, f := range n.w.flips.all {
		if id := n.host.Inspect(p).ID; f.done || f.p != p || f.id != id || f.key != string(key) {
			continue
		}
		f.done = true
		if n.w.flips.troubled(p) {
			return
		}
		n.w.stats.Flips++
		n.w.note('f', uint64(n.id), uint64(p))
		n.w.flips.wrong[replicaKey{p, f.id}] = false
		rec.Value.Data = slices.Clone(rec.Value.Data)
		rec.Value.Data[n.w.rng.IntN(len(rec.Value.Data))] ^= 1 << n.w.rng.IntN(8)
	}
}

// judged checks that nobody takes itself for wrong who is right, and reports whether the replica's state
// is to be compared with that of the others.
func (c *checker) judged(n *node, p kv.PartitionID, s *replica.Inspection) bool {
	flips := &c.w.flips
	knew, wrong := flips.wrong[replicaKey{p, s.ID}]
	switch {
	case flips.spread[p], n.old != nil: // an old disk may be from before the bit flipped, or the mark was written
		return false
	case s.Void && !wrong && !flips.givenUp[replicaKey{p, s.ID}]:
		c.w.fail("%s: partition %v: replica %d takes itself for the odd one out, and its state is right", n.name, p,
			s.ID)
	case s.Void:
		flips.wrong[replicaKey{p, s.ID}] = true
	case wrong && knew: // it was rebuilt
		delete(flips.wrong, replicaKey{p, s.ID})
		c.w.stats.Rebuilt++
		return true
	}
	return !wrong
}

// spreads notes that a state leaves a node which is wrong, and which it does not know yet.
func (w *World) spreads(n *node, p kv.PartitionID) {
	k := replicaKey{p, n.host.Inspect(p).ID}
	if _, wrong := w.flips.wrong[k]; wrong && !w.flips.givenUp[k] {
		w.flips.spread[p] = true
	}
}

// decideDoubts is the operator. Where a replica lags behind the log while two others differ, or a wrong
// state was sent on before anybody knew, no majority agrees, and nobody but a human can say which state
// to keep: here that of the leader, or what is known to be right.
func (w *World) decideDoubts() {
	if w.now < w.decided+10*time.Second {
		return
	}
	for p := range kv.PartitionID(w.o.Partitions) {
		var unsure []*node
		var keep uint64
		for _, n := range w.living() {
			if !n.up || !n.host.Inspect(p).Undecided {
				continue
			}
			if s := n.host.Inspect(p); s.Leads {
				keep = s.Applied.Hash
			}
			unsure = append(unsure, n)
		}
		for _, n := range unsure {
			s := n.host.Inspect(p)
			_, wrong := w.flips.wrong[replicaKey{p, s.ID}]
			if len(unsure) < 2 || !wrong && !(w.flips.spread[p] && s.Applied.Hash != keep) {
				continue
			}
			w.decided = w.now
			w.stats.Decided++
			n.crash()
			if err := persist.GiveUp(n.fs, "data", p); err != nil {
				w.fail("%s: partition %v: give up: %v", n.name, p, err)
			}
			n.restart(0)
			break
		}
	}
}

// alike says which replica of a partition is still in doubt, void, or wrong.
func (c *checker) alike(p kv.PartitionID, n, leader *node) string {
	s, l := n.host.Inspect(p), leader.host.Inspect(p)
	switch {
	case s.Void || s.InDoubt:
		return fmt.Sprintf("partition %v: %s: void %v, in doubt %v", p, n.name, s.Void, s.InDoubt)
	case s.Applied.Index == l.Applied.Index && s.Applied.Hash != l.Applied.Hash:
		return fmt.Sprintf("partition %v: the state of %s differs from that of %s", p, n.name, leader.name)
	}
	for _, f := range c.w.flips.all {
		if f.p != p || c.w.flips.spread[p] {
			continue
		}
		if rec, ok, err := n.db.Get(p, []byte(f.key)); err != nil || ok && string(rec.Value.Data) != flipValue {
			return fmt.Sprintf("partition %v: %s has %q of %s: %v", p, n.name, rec.Value.Data, f.key, err)
		}
	}
	return ""
}
