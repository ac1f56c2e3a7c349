package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/persist"
)

// An operator has a copy replaced while its node is down (pxkv rebuild), or whoever starts the node does
// that each time: the copy is right, and only nobody believes it. What such a replica owes to its group it
// still does, also when another member is lost before it is rebuilt.

// drawGivenUp comes last.
func (o *Options) drawGivenUp() {
	r := rand.New(rand.NewPCG(o.Seed, 13))
	if o.FlipRate == 0 && o.Replicas > 2 && o.Replace == 0 && r.IntN(2) == 0 {
		o.GiveUps = []float64{0.1, 0.5}[r.IntN(2)]
	}
}

// wound prepares the loss of a member at a bad moment: of two others one has copies that were given up
// and are not rebuilt yet, and the third has missed what the first two acknowledged meanwhile.
func (w *World) wound(lost *node) {
	var others []*node
	for _, o := range w.living() {
		if o != lost {
			others = append(others, o)
		}
	}
	w.rng.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	given := others[0]
	given.crash()
	for p := range kv.PartitionID(w.o.Partitions) {
		w.giveUp(given, p)
	}
	given.restart(w.between(0, time.Second)) // perhaps only when the other one is lost
	w.run(w.now + w.between(0, 1500*time.Millisecond))
	apart := w.between(50*time.Millisecond, time.Second)
	for _, o := range others[1:] {
		for _, far := range w.nodes {
			w.net.cut(o.id, far.id, apart)
			w.net.cut(far.id, o.id, apart)
		}
	}
	w.run(w.now + apart)
}

// Wounds makes options for a run in which nothing happens but that members are lost, for a while, at the
// moment that wound prepares.
func Wounds(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 14))
	o.Nodes, o.Replicas, o.Partitions = 3+r.IntN(2), 3, 1+r.IntN(4)
	o.Drop, o.Duplicate, o.Slow, o.SlowDisk, o.PowerLoss = 0, 0, 0, 0, 0
	o.CrashRate, o.CutRate, o.PauseRate, o.TransferRate, o.AmbushRate, o.CopyRate = 0, 0, 0, 0, 0, 0
	o.PanicRate, o.FlipRate, o.Replace, o.Moves, o.Forming = 0, 0, 0, Moves{Limits: o.Moves.Limits}, Forming{}
	o.KillAtStart, o.DiskFaults, o.Disks, o.Shutdown = 0, DiskFaults{}, Disks{}, Shutdown{}
	o.Snapshots, o.LateJoin, o.Limits, o.Store = Snapshots{}, false, replica.Limits{}, persist.Limits{}
	o.Writes, o.GiveUps, o.Wounds = 0.5, 0.5, 2+r.IntN(3)
	return o
}

// wounds plays that. Who was lost comes back when the others have become what they can be without it.
func (w *World) wounds() {
	w.settle()
	for range w.o.Wounds {
		n := w.nodes[w.rng.IntN(len(w.nodes))]
		if w.failure != nil || !w.spared(n) {
			continue
		}
		w.wound(n)
		n.crash()
		n.lost = true
		w.settle()
		n.lost = false
		n.restart(0)
		w.settle()
	}
}

// giveUpSome gives copies up of a node that is down: of partitions whose other voters all live and have
// about the whole log, so that a copy is left that is right.
func (w *World) giveUpSome(n *node) {
	if w.o.GiveUps == 0 || n.old != nil {
		return
	}
	for p := range kv.PartitionID(w.o.Partitions) {
		if w.chance(w.o.GiveUps) {
			w.giveUp(n, p)
		}
	}
}

// giveUp gives up the copy of a partition on a node that is down, where the partition can do without.
func (w *World) giveUp(n *node, p kv.PartitionID) {
	id, ok := w.spares(n, p)
	if !ok {
		return
	}
	if err := persist.GiveUp(n.fs, "data", p); err != nil {
		w.fail("%s: partition %v: give up: %v", n.name, p, err)
		return
	}
	w.stats.GivenUp++
	w.note('g', uint64(n.id), uint64(p))
	w.flips.wrong[replicaKey{p, id}], w.flips.givenUp[replicaKey{p, id}] = true, true
}

// spares reports whether a partition can do without the copy of a node that is down, and its replica there.
func (w *World) spares(n *node, p kv.PartitionID) (id kv.ReplicaID, ok bool) {
	leader := slices.IndexFunc(w.nodes, func(o *node) bool {
		if !o.up || o.paused > w.now {
			return false
		}
		v, _ := o.host.View(p)
		return v.Leads
	})
	if leader < 0 || w.flips.troubled(p) {
		return 0, false
	}
	v, _ := w.nodes[leader].host.View(p)
	if v.Pending || len(v.Conf.GetVotersOutgoing()) > 0 || len(v.Conf.GetVoters()) < 3 {
		return 0, false
	}
	progress, last := w.nodes[leader].host.Progress(p)
	for _, r := range v.Replicas {
		switch o := w.node(r.Node); {
		case !slices.Contains(v.Conf.GetVoters(), uint64(r.ID)):
			return 0, false
		case o == n:
			id = r.ID
		case !o.up, o.paused > w.now, o.host.Handle(p) == nil, progress[r.ID].Match+8 < last:
			return 0, false
		}
	}
	return id, id != 0
}
