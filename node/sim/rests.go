package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// Rests are the times in which nobody wants anything, so that groups rest, and are woken by what happens then.
type Rests struct {
	RestAfter int     // ticks in which nothing must happen until a group rests; 0: as many as in a real cluster
	NapRate   float64 // per second: clients do nothing for a while
}

// drawRests lets groups rest soon in half of the runs. They are drawn by numbers of their own.
func (o *Options) drawRests() {
	if r := rand.New(rand.NewPCG(o.Seed, 41)); r.IntN(2) == 0 {
		o.RestAfter = 1 + r.IntN(8)
	}
}

// Resting makes options for a run in which clients do nothing for seconds again and again, while faults strike.
func Resting(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 43))
	o.RestAfter, o.NapRate = 1+r.IntN(10), 0.2+0.5*r.Float64()
	o.Partitions, o.QuorumReads = 1+r.IntN(4), false
	for _, rate := range []*float64{&o.CrashRate, &o.CutRate, &o.PauseRate, &o.TransferRate, &o.Drop, &o.Slow} {
		*rate *= r.Float64()
	}
	o.Faults = time.Duration(8+r.IntN(8)) * time.Second
	return o
}

// napSome lets all clients do nothing, once what they have begun has ended.
func (w *World) napSome() {
	d := w.between(500*time.Millisecond, 6*time.Second)
	w.nap = max(w.nap, w.now+d)
	for at := silenceIsMissed / 2; at < d; at += silenceIsMissed / 2 {
		w.after(at, func() {
			for _, n := range w.nodes {
				if n.up && !n.waiting {
					n.checkRest()
				}
			}
		})
	}
}

// silenceIsMissed is by when a node must have noticed that another one has fallen silent.
const silenceIsMissed = time.Second

// checkRest requires that nobody rests who has not heard of one that he needs for long.
func (n *node) checkRest() {
	w := n.w
	if n.paused > w.now-silenceIsMissed {
		return // it has not had the time
	}
	for _, p := range n.host.Partitions() {
		r := n.host.Inspect(p)
		if !r.AtRest {
			continue
		}
		w.stats.Rests++
		for _, other := range r.Needs {
			if ago := w.now - n.heard[other]; ago > silenceIsMissed {
				w.fail("%s: partition %v rests, and node %s, which it needs, was heard %v ago", n.name, p,
					w.node(other).name, ago)
			}
		}
	}
}

const (
	// quietFor is for how long all must rest that may: longer than a follower rests that is not asked again.
	quietFor = 20 * time.Second
	// quietWithin is by when they must have rested for so long, when nobody wants anything and all nodes are there.
	quietWithin = 60 * time.Second
	// aloneAwake is for how long a follower may be awake beside a leader at rest: it hears no heartbeats then, and asks
	// for votes by the end of the longest election timeout, which wakes the leader.
	aloneAwake = (2*replica.ElectionTicks + 10) * tick
)

// quiet lets nobody want anything, and requires that all groups come to rest and stay there.
func (w *World) quiet() {
	living := w.living()
	lost := func(m meta.Member) bool { return w.node(m.ID).lost }
	if w.o.NapRate == 0 || w.failure != nil || slices.ContainsFunc(living[0].machine.State().Members, lost) {
		return // a group that lacks a replica is awake
	}
	began, since := w.now, w.now
	alone := map[*node]map[kv.PartitionID]time.Duration{}
	for w.failure == nil && w.now-since < quietFor {
		w.run(w.now + tick)
		for _, n := range living {
			alone[n] = n.awakeAlone(alone[n])
			if rest, _ := n.host.AllRest(); rest {
				continue
			}
			since = w.now
			if ago := w.now - began; ago > quietWithin {
				w.fail("%s: not all groups rest, or stay at rest, %v after anybody wanted anything", n.name, ago)
			}
		}
	}
	w.stats.Quiet++
}

// awakeAlone lists the groups that are awake here, while their leader rests, and since when; none may be so for long.
func (n *node) awakeAlone(before map[kv.PartitionID]time.Duration) map[kv.PartitionID]time.Duration {
	w := n.w
	now := map[kv.PartitionID]time.Duration{}
	for _, p := range n.host.Partitions() {
		v, _ := n.host.View(p)
		leader := w.node(n.host.Handle(p).Leader().Node)
		if v.Leads || leader == nil || n.host.Inspect(p).AtRest || !leader.rests(p) {
			continue
		}
		now[p] = w.now
		if at, was := before[p]; was {
			now[p] = at
		}
		if ago := w.now - now[p]; ago > aloneAwake {
			w.fail("%s: partition %v is awake for %v, while its leader %s rests", n.name, p, ago, leader.name)
		}
	}
	return now
}

// rests reports whether the node leads a partition that rests.
func (n *node) rests(p kv.PartitionID) bool {
	v, here := n.host.View(p)
	return here && v.Leads && n.host.Inspect(p).AtRest
}
