package sim

import (
	"math/rand/v2"
	"time"

	"pxkv/node/replica"
	"pxkv/persist"
)

// Shutdown is how often nodes are asked to stop.
type Shutdown struct {
	StopRate float64 // per simulated second, over the whole cluster
	// Rolling restarts one node after the other while nothing is wrong: no request may then end
	// unknown.
	Rolling bool
}

func drawShutdown(r *rand.Rand) Shutdown {
	if r.IntN(3) > 0 {
		return Shutdown{}
	}
	return Shutdown{StopRate: r.Float64()}
}

// Restarts makes options for a run in which nothing happens but that every node is restarted,
// as an operator does it, under load.
func Restarts(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 4))
	o.Nodes, o.Replicas = 3+r.IntN(2), 3
	o.Drop, o.Duplicate, o.Slow, o.SlowDisk, o.PowerLoss = 0, 0, 0, 0, 0
	o.CrashRate, o.CutRate, o.PauseRate, o.TransferRate, o.AmbushRate = 0, 0, 0, 0, 0
	o.PanicRate, o.FlipRate, o.Moves, o.Forming = 0, 0, Moves{Limits: o.Moves.Limits}, Forming{}
	o.KillAtStart, o.DiskFaults, o.GiveUps = 0, DiskFaults{}, 0
	o.Snapshots, o.LateJoin, o.Limits, o.Store = Snapshots{}, false, replica.Limits{}, persist.Limits{}
	o.Writes = []float64{0.55, 0.9}[r.IntN(2)]
	o.Shutdown = Shutdown{Rolling: true}
	return o
}

// As in node/run.go.
const (
	handOverLimit = 5 * time.Second
	handOverStep  = 20 * time.Millisecond
)

// stop is what SIGTERM does: the node hands its leaderships over, waits for the writes that were
// proposed here, and ends in good order. stopped is called when it has.
func (n *node) stop(stopped func()) {
	w := n.w
	if !n.up || n.stopping || n.waiting {
		return
	}
	w.stats.Stops++
	n.stopping = true
	deadline := w.now + handOverLimit
	var again func()
	again = func() {
		n.in.Orders = append(n.in.Orders, func(h *replica.Host) {
			over := h.HandOver()
			late := w.now >= deadline
			if late && w.o.Rolling {
				w.fail("%s: %d groups were not handed over in %v", n.name, h.Leading()+h.Awaited(), handOverLimit)
			}
			if over || late {
				n.do(0, func() { n.exit(stopped) })
				return
			}
			n.do(handOverStep, again)
		})
		n.schedule()
	}
	n.do(0, again)
}

// exit ends the process in good order, and closes its store. Requests that it has taken get their
// answers first: the doors wait for them.
func (n *node) exit(stopped func()) {
	w := n.w
	if n.inMemory && !w.canForget(n) {
		n.do(handOverStep, func() { n.exit(stopped) })
		return
	}
	if n.taken > 0 && n.answerBy == 0 {
		n.answerBy = w.now + handOverLimit
	}
	if n.taken > 0 && w.now < n.answerBy {
		n.do(handOverStep, func() { n.exit(stopped) })
		return
	}
	if w.o.Rolling {
		w.check.ledElsewhere(n)
	}
	w.note('x', uint64(n.id))
	err := n.io(n.db.Close)
	if n.reap() {
		return
	}
	if err != nil && !n.faults.raised.Load() {
		w.fail("%s: close: %v", n.name, err)
		return
	}
	n.up, n.fell = false, w.now
	for _, c := range w.clients {
		c.nodeStopped(n)
	}
	if n.inMemory {
		n.farewell()
	}
	w.check.forgets(n)
	db := n.db
	n.db, n.host = nil, nil
	if err != nil {
		n.ended(db)
	} else if w.chance(0.3) { // and then the power goes: Close has made all of it durable
		n.ended(nil)
	} else {
		n.disk.kill()
	}
	stopped()
}

// strikeStops asks some node to stop, and starts it again.
func (w *World) strikeStops(happens func(rate float64) bool, pick func() *node) {
	if happens(w.o.StopRate) {
		n := pick()
		if n.inMemory {
			n.leave(w.between(time.Millisecond, time.Second))
		}
		if n.killable() {
			n.stop(func() { n.restart(w.between(time.Millisecond, time.Second)) })
		}
	}
}

// roll restarts one node after the other, each when all is well again.
func (w *World) roll(i, count int) {
	if i == count || w.failure != nil {
		w.rolled = true
		return
	}
	if w.check.settled() != "" {
		w.after(100*time.Millisecond, func() { w.roll(i, count) })
		return
	}
	n := w.nodes[i]
	n.stop(func() {
		if back := w.between(time.Millisecond, time.Second); n.inMemory {
			n.succeed(back)
		} else {
			n.restart(back)
		}
		w.after(1500*time.Millisecond, func() { w.roll(i+1, count) })
	})
}

// rollLimit is how long a rolling restart may take.
const rollLimit = 60 * time.Second

// rolling plays a rolling restart, during which every request is answered. It begins when the cluster
// is complete, and whoever asked before has an answer or gave up: nodes that know of no group yet may have
// sent them on until then.
func (w *World) rolling() {
	w.settle()
	w.run(w.now + clientPatience)
	unknown := w.stats.Unknown
	w.roll(0, len(w.nodes))
	for until := w.now + rollLimit; !w.rolled && w.failure == nil; {
		w.run(w.now + 100*time.Millisecond)
		if w.now > until {
			w.fail("a rolling restart takes more than %v: %s%s", rollLimit, w.check.settled(), w.describe())
		}
	}
	w.run(w.now + clientPatience)
	if w.failure == nil && w.stats.Unknown > unknown {
		w.fail("%d requests ended unknown in a rolling restart", w.stats.Unknown-unknown)
	}
}

// ledElsewhere checks that a node which is about to go leads nothing that others could lead.
func (c *checker) ledElsewhere(n *node) {
	for _, p := range n.host.Partitions() {
		if v, _ := n.host.View(p); v.Leads && len(v.Conf.GetVoters()) > 1 {
			c.w.fail("%s goes and still leads partition %v", n.name, p)
		}
	}
}
