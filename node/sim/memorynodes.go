package sim

import (
	"math/rand/v2"
	"time"

	"pxkv/node/core"
	"pxkv/node/kv"
)

// MemoryNodes are nodes that keep everything in memory: whenever one of their processes ends, all that it had is gone,
// and a fresh node of the same name comes in its place, which must be filled by the others. No group may lose the
// memory of a majority at one time: such a loss is what nobody promises to survive.
type MemoryNodes struct {
	InMemory   uint64  // the bit of each place whose node is one; 0: none is
	ForgetRate float64 // per simulated second, over the whole cluster: one ends, in order or not
}

const allInMemory = 1<<64 - 1

// drawMemoryNodes makes some, or all, of the nodes ones in memory in a quarter of the schedules in which it can be told
// what is lost. It comes last, and has random numbers of its own.
func (o *Options) drawMemoryNodes() {
	r := rand.New(rand.NewPCG(o.Seed, 23))
	if o.Replicas < 3 || o.Moves.Flap > 0 || o.Moves.Lose || r.IntN(4) != 0 {
		return
	}
	o.inMemory(r)
}

// Forgetful makes options for a run with nodes in memory.
func Forgetful(seed uint64) Options {
	o := Draw(seed)
	o.Replicas, o.Moves = max(o.Replicas, 3), Moves{Limits: o.Moves.Limits}
	o.inMemory(rand.New(rand.NewPCG(seed, 24)))
	return o
}

func (o *Options) inMemory(r *rand.Rand) {
	o.InMemory = allInMemory
	if r.IntN(2) == 0 {
		o.InMemory = 1 + r.Uint64N(1<<o.Nodes-1)
	}
	o.PowerLoss, o.PanicRate, o.AmbushRate, o.FlipRate, o.CopyRate, o.GiveUps, o.Replace = 0, 0, 0, 0, 0, 0, 0
	o.DiskFaults, o.Forming = DiskFaults{}, Forming{}
	if !o.Rolling {
		o.ForgetRate = 1 + 3*r.Float64() // mostly none can be spared
	}
}

// remembers makes a node one in memory, if its place says so, with an id as such a one draws it.
func (n *node) remembers() {
	if n.inMemory = n.w.o.InMemory>>n.home&1 != 0; n.inMemory {
		id := uint64(n.id)
		n.id = core.NewID(n.name, true, func() uint64 { return id })
	}
}

// mayForget reports whether the memory of a node may go from now on: all groups are what they are to be, none is being
// changed, each has a majority without it, and no other node is about to forget.
func (w *World) mayForget(n *node) bool {
	for _, o := range w.living() {
		if !o.up || o.host == nil || o.waiting || o != n && o.inMemory && o.stopping {
			return false
		}
		for _, p := range o.host.Partitions() {
			v, _ := o.host.View(p)
			if len(v.Conf.GetVoters()) < 3 || len(v.Conf.GetVotersOutgoing()) > 0 {
				return false // a newcomer that is promoted in its last moment could be missed in it
			}
		}
	}
	return w.spared(n)
}

// canForget reports whether the others still can do without a node that was asked to stop when its memory might go.
func (w *World) canForget(n *node) bool {
	for _, o := range w.living() {
		if !o.up || o.host == nil || o.waiting {
			return false // it cannot be told: it is back soon
		}
	}
	return w.spared(n)
}

// forgetSome ends a node in memory, if one can be spared now.
func (w *World) forgetSome() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	back, inOrder := w.between(time.Millisecond, 2*time.Second), w.chance(0.5)
	switch {
	case !n.inMemory || !n.up || n.stopping || !n.joined:
	case inOrder:
		n.leave(back)
	default:
		n.forget(back)
	}
}

// leave stops a node in memory in order, if it can be spared.
func (n *node) leave(back time.Duration) {
	if n.up && n.w.mayForget(n) {
		n.stop(func() { n.succeed(back) })
	}
}

// forget ends the process of a node in memory at once, if it can be spared.
func (n *node) forget(back time.Duration) {
	if n.up && n.w.mayForget(n) {
		n.crash()
		n.succeed(back)
	}
}

// succeed starts a fresh node in the place of one that has lost its memory.
func (n *node) succeed(back time.Duration) {
	w := n.w
	w.stats.Forgot++
	w.note('m', uint64(n.id))
	n.lost = true
	heir := w.addNode()
	heir.name, heir.home = n.name, n.home
	heir.remembers()
	w.placed--
	heir.restart(back)
}

// farewell tells the others that a node in memory has ended in order.
func (n *node) farewell() {
	for _, o := range n.w.nodes {
		if o != n && o.up {
			n.w.net.send(n.id, o.id, func() { o.do(0, func() { o.departed[n.id] = true }) })
		}
	}
}

// forgets notes the replicas of a node in memory that ends: nobody may ever speak for them again.
func (c *checker) forgets(n *node) {
	if !n.inMemory {
		return
	}
	for _, p := range n.host.Partitions() {
		c.forgotten[replicaKey{p, n.host.Inspect(p).ID}] = true
	}
}

// remembered checks that a replica is none of those whose memory is gone.
func (c *checker) remembered(n *node, p kv.PartitionID, id kv.ReplicaID) {
	if c.forgotten[replicaKey{p, id}] {
		c.w.fail("%s: partition %v: speaks as replica %d, whose memory is gone", n.name, p, id)
	}
}
