package sim

import (
	"math/rand/v2"
	"time"

	"pxkv/node/replica"
)

// Links between nodes are connections, and who loses one is told: at once when a process ends, and
// when it likes where the network is cut. Some break though both ends live and hear each other.

// Links are the options about that. They are drawn by numbers of their own.
type Links struct {
	BreakRate float64 // per second, over the whole cluster: all links of a node break, or one
	Reset     float64 // probability that the other end is told when a process ends, or a link is cut
}

// drawLinks makes most ends known at once, as the kernel of a killed process does; where the power goes, nobody
// tells. With 0 everything is learned by silence.
func (o *Options) drawLinks() {
	r := rand.New(rand.NewPCG(o.Seed, 31))
	o.Reset = []float64{0, 0.5, 1, 1}[r.IntN(4)]
	if r.IntN(2) == 0 {
		o.BreakRate = r.Float64()
	}
	if r.IntN(3) == 0 {
		o.Limits.Campaigns = 1 + r.IntN(3)
	}
}

// disconnect tells a node, in this life of it, how its link with another one broke.
func (n *node) disconnect(how replica.Disconnection, d time.Duration) {
	n.do(d, func() {
		if !n.waiting {
			n.w.stats.Disconnects++
			n.in.Disconnected = append(n.in.Disconnected, how)
			n.schedule()
		}
	})
}

// broken tells one end of a link that it broke, mostly at once, or nobody does.
func (w *World) broken(end *node, how replica.Disconnection) {
	if !w.chance(w.o.Reset) {
		return
	}
	d := w.between(50*time.Microsecond, 2*time.Millisecond)
	if w.faulty() && w.chance(0.1) {
		d = w.between(0, time.Second)
	}
	end.disconnect(how, d)
}

// reset tells the others that a node's process has ended.
func (w *World) reset(ended *node) {
	for _, n := range w.nodes {
		if n != ended {
			w.broken(n, replica.Disconnection{Node: ended.id})
		}
	}
}

// breakLinks breaks one link of a node, or all of them at once; both live and connect again.
func (w *World) breakLinks() {
	i := w.rng.IntN(len(w.nodes))
	a, whole := w.nodes[i], w.chance(0.5)
	other := w.nodes[(i+1+w.rng.IntN(len(w.nodes)-1))%len(w.nodes)]
	for _, b := range w.nodes {
		if b != a && (whole || b == other) {
			a.disconnect(replica.Disconnection{Node: b.id}, w.between(0, 2*time.Millisecond))
			b.disconnect(replica.Disconnection{Node: a.id}, w.between(0, 2*time.Millisecond))
		}
	}
}
