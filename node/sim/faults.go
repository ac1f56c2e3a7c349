package sim

import (
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// strike draws this moment's faults and comes back for the next.
func (w *World) strike() {
	const step = 20 * time.Millisecond
	if w.healed {
		return
	}
	w.after(step, w.strike)
	if w.calm > w.now {
		return
	}
	if w.o.Replace > 0 && !w.replacing {
		w.replacing = true
		w.after(w.between(0, w.o.Faults/3), w.replaceSome)
	}
	happens := func(rate float64) bool { return w.chance(rate * step.Seconds()) }
	pick := func() *node { return w.nodes[w.rng.IntN(len(w.nodes))] }
	if happens(w.o.CrashRate) {
		n := pick()
		if n.up {
			n.strikeDown(w.between(10*time.Millisecond,
				[]time.Duration{50 * time.Millisecond, 3 * time.Second}[w.rng.IntN(2)]))
		}
	}
	if happens(w.o.CutRate) {
		w.cutSome()
	}
	if w.o.BreakRate > 0 && happens(w.o.BreakRate) {
		w.breakLinks()
	}
	if happens(w.o.PauseRate) {
		w.suspend(pick())
	}
	if happens(w.o.TransferRate) {
		w.transferSome()
	}
	if happens(w.o.AmbushRate) {
		w.ambush()
	}
	if happens(w.o.PanicRate) {
		w.breakSome(pick())
	}
	if w.o.FlipRate > 0 && happens(w.o.FlipRate) {
		w.flipSome()
	}
	w.strikeDisks(happens, pick)
	w.strikeStops(happens, pick)
	if happens(w.o.JumpRate) {
		w.jump(pick())
	}
	if happens(w.o.Snapshots.NoRoom) {
		w.fillDisk(pick())
	}
	if w.o.RotateRate > 0 && happens(w.o.RotateRate) {
		w.rotateKeys(pick())
	}
	if happens(w.o.CopyRate) {
		w.copyDisk(pick())
	}
	w.strikeMembers(happens)
	if w.o.NapRate > 0 && happens(w.o.NapRate) {
		w.napSome()
	}
	if w.o.ForgetRate > 0 && happens(w.o.ForgetRate) {
		w.forgetSome()
	}
}

// jump sets a node's wall clock, mostly by about as much as keys live.
func (w *World) jump(n *node) {
	w.stats.Jumps++
	most := []time.Duration{time.Second, time.Second, 2 * time.Hour}[w.rng.IntN(3)]
	n.wall = w.between(-most, most)
}

// cutSome cuts one node off, or one link, in both directions or in one; half of the time for
// longer than an election takes.
func (w *World) cutSome() {
	w.stats.Cuts++
	d := w.between(20*time.Millisecond, 3*time.Second)
	if w.chance(0.5) {
		d = w.between(2*replica.ElectionTicks*tick, 5*time.Second)
	}
	i := w.rng.IntN(len(w.nodes))
	a := w.nodes[i]
	whole, oneWay := w.chance(0.5), w.chance(0.3)
	other := w.nodes[(i+1+w.rng.IntN(len(w.nodes)-1))%len(w.nodes)]
	if !whole {
		w.stats.LinkCuts++
	}
	for _, b := range w.nodes {
		if b == a || !whole && b != other {
			continue
		}
		w.net.cut(a.id, b.id, d)
		if !oneWay {
			w.net.cut(b.id, a.id, d)
		}
		w.broken(a, replica.Disconnection{Node: b.id, Silent: w.chance(0.5)})
		w.broken(b, replica.Disconnection{Node: a.id, Silent: w.chance(0.5)})
	}
}

// transferSome asks some leader to hand over to some voter, and sometimes cuts it off right
// then: the moment at which two nodes may believe that they lead.
func (w *World) transferSome() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	if !n.up || n.paused > w.now {
		return
	}
	ps := n.host.Partitions()
	if len(ps) == 0 {
		return
	}
	p := ps[w.rng.IntN(len(ps))]
	v, _ := n.host.View(p)
	if !v.Leads || len(v.Conf.GetVoters()) < 2 {
		return
	}
	to := kv.ReplicaID(v.Conf.GetVoters()[w.rng.IntN(len(v.Conf.GetVoters()))])
	w.stats.Transfers++
	n.in.Orders = append(n.in.Orders, func(h *replica.Host) { _ = h.Transfer(p, to) })
	n.schedule()
	if w.chance(0.5) {
		// MsgTimeoutNow is on its way when the link breaks.
		d := w.between(300*time.Millisecond, 2*time.Second)
		n.do(w.between(200*time.Microsecond, 3*time.Millisecond), func() {
			for _, b := range w.nodes {
				if b != n {
					w.net.cut(n.id, b.id, d)
					w.net.cut(b.id, n.id, d)
				}
			}
		})
	}
}

// ambush takes a leader's followers away one after the other, in a way that the second forgets
// by a quick restart that it has just followed: the first has waited long enough to be elected
// by anybody who lets it, while the leader still counts on both.
func (w *World) ambush() {
	leader := w.nodes[w.rng.IntN(len(w.nodes))]
	if !leader.up || leader.paused > w.now {
		return
	}
	ps := leader.host.Partitions()
	if len(ps) == 0 {
		return
	}
	p := ps[w.rng.IntN(len(ps))]
	if v, _ := leader.host.View(p); !v.Leads {
		return
	}
	var followers []*node
	for _, n := range w.nodes {
		if n != leader && n.up && n.host.Handle(p) != nil {
			followers = append(followers, n)
		}
	}
	if len(followers) < 2 {
		return
	}
	w.rng.Shuffle(len(followers), func(i, j int) { followers[i], followers[j] = followers[j], followers[i] })
	apart := func(n *node, d time.Duration) {
		w.net.cut(leader.id, n.id, d)
		w.net.cut(n.id, leader.id, d)
		w.broken(n, replica.Disconnection{Node: leader.id})
	}
	apart(followers[0], 4*time.Second)
	w.after(w.between(700*time.Millisecond, 1800*time.Millisecond), func() {
		if w.healed {
			return
		}
		vouched := w.chance(0.5)
		for _, n := range followers[1:] {
			if n.up {
				n.crash()
				n.restart(w.between(time.Millisecond, 20*time.Millisecond))
			}
			if vouched {
				w.whenVouched(n, 100, func() { apart(n, time.Second) })
			} else {
				apart(n, time.Second)
			}
		}
	})
}

// whenVouched calls f when the others have told a node that starts again what they remember of it, the
// leader too: from then on nothing but time keeps it from voting. It looks every millisecond, so many times.
func (w *World) whenVouched(n *node, looks int, f func()) {
	switch {
	case w.healed:
	case looks == 0 || n.up && n.host.Vouched():
		f()
	default:
		w.after(time.Millisecond, func() { w.whenVouched(n, looks-1, f) })
	}
}

// powerLoss crashes all nodes at one moment.
func (w *World) powerLoss() {
	for _, n := range w.nodes {
		if n.up {
			n.crash()
			n.restart(w.between(0, 500*time.Millisecond))
		}
	}
}

// heal ends all faults and lets every node run.
func (w *World) heal() {
	w.healed, w.over = true, true
	clear(w.net.cuts)
	w.healDisks()
	w.reclaim()
	for _, n := range w.nodes {
		n.paused, n.noRoom, n.breakAt = 0, 0, 0
		n.thaw(w.now)
		if n.up {
			n.disk.killAt(0)
		} else if !n.lost {
			n.restart(0)
		}
	}
}
