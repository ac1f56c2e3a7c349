package sim

import (
	"fmt"
	"time"
)

// Report is the outcome of a run.
type Report struct {
	Err   error  // the first violation
	Trace uint64 // hash of all that happened
	Time  time.Duration
	Stats Stats
}

// settleLimit is how long a healed cluster may take to become as its placement wants it.
const settleLimit = 40 * time.Second

// Run plays one schedule.
func Run(o Options) Report {
	w := newWorld(o)
	w.cluster = 0xc1
	w.addNode().start(true)
	for range o.Nodes - 1 {
		n := w.addNode()
		w.after(w.between(0, 1500*time.Millisecond), func() { n.start(false) })
	}
	for range o.Clients {
		w.addClient()
	}
	// Let most runs form their cluster in peace: faults on a lone voter show little.
	peace := time.Duration(0)
	if w.chance(0.7) {
		peace = 5 * time.Second
	}
	w.healed = true
	w.run(peace)
	w.healed = false
	w.strike()
	if w.chance(o.PowerLoss) {
		w.after(w.between(0, o.Faults), w.powerLoss)
	}
	w.run(w.now + o.Faults)
	w.heal()
	w.settle()
	w.finalReads()
	for _, n := range w.nodes {
		if n.up {
			closeCrashed(n.db)
		}
	}
	if w.failure == nil {
		w.check.linearizable()
	}
	return Report{Err: w.failure, Trace: w.trace.Sum64(), Time: w.now, Stats: w.stats}
}

// settle waits until everything is as it should be.
func (w *World) settle() {
	deadline := w.now + settleLimit
	for w.failure == nil {
		w.run(w.now + 200*time.Millisecond)
		if w.failure != nil {
			return
		}
		what := w.check.settled()
		if what == "" {
			return
		}
		if w.now > deadline {
			w.fail("not settled %v after the faults: %s%s", settleLimit, what, w.describe())
		}
	}
}

// finalReads reads every key once more: an acknowledged write that is missing shows here.
func (w *World) finalReads() {
	w.check.closing = true
	w.run(w.now + 2*clientPatience)
	keys := map[string]bool{}
	var order []string
	for _, op := range w.check.history {
		if !keys[op.key] {
			keys[op.key] = true
			order = append(order, op.key)
		}
	}
	for i, k := range order {
		if w.failure != nil {
			return
		}
		op := &operation{kind: opGet, key: k}
		w.clients[i%len(w.clients)].begin(op)
		for range 40 {
			if op.done {
				break
			}
			w.run(w.now + 50*time.Millisecond)
		}
		if op.out.unknown || !op.done {
			w.fail("final read of %s got no answer", k)
		}
	}
}

// String tells a run in a line.
func (r Report) String() string {
	return fmt.Sprintf("%v simulated, %+v, trace %016x", r.Time.Round(time.Millisecond), r.Stats, r.Trace)
}

// describe shows every replica of every node, for the failure's message.
func (w *World) describe() string {
	out := ""
	for _, n := range w.nodes {
		if !n.up {
			out += fmt.Sprintf("\n%s is down", n.name)
			continue
		}
		s := n.machine.State()
		if s == nil {
			out += fmt.Sprintf("\n%s: no state, joined %v", n.name, n.joined)
		} else {
			out += fmt.Sprintf("\n%s: epoch %d, %d members, placement %v", n.name, s.Epoch, len(s.Members), s.Placement)
		}
		for _, p := range n.host.Partitions() {
			v, _ := n.host.View(p)
			i := n.host.Inspect(p)
			progress, last := n.host.Progress(p)
			out += fmt.Sprintf("\n  %v: replica %d term %d leads %v commit %d applied %d/%d last %d pending %v conf %v progress %v", p, i.ID, i.Term, i.Leads, i.Commit, i.Applied.Index, i.Applied.Term, last, v.Pending, i.Applied.Conf, progress)
		}
	}
	return out
}
