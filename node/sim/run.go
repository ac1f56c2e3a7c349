package sim

import (
	"fmt"
	"slices"
	"time"
)

// Report is the outcome of a run.
type Report struct {
	Err   error  // the first violation
	Trace uint64 // hash of all that happened
	Time  time.Duration
	Stats Stats
}

// Run plays one schedule.
func Run(o Options) Report {
	w := newWorld(o)
	w.begin()
	for range o.Clients {
		w.addClient()
	}
	// Let most runs form their cluster in peace: faults on a lone voter show little.
	peace := time.Duration(0)
	if w.chance(0.7) || o.Moves.Flap > 0 {
		peace = 5 * time.Second
	}
	if o.Expect > 0 {
		peace = 0
	}
	w.healed = true
	w.play(peace)
	w.run(peace)
	switch {
	case o.Rolling:
		w.rolling()
	case o.Wounds > 0:
		w.wounds()
	default:
		w.faults()
	}
	w.heal()
	w.settle()
	w.resize()
	w.comeBack()
	w.bereave()
	w.finalReads()
	w.rest()
	for _, n := range w.nodes {
		if n.up {
			n.closeCrashed(n.db)
		}
	}
	if w.failure == nil {
		w.check.linearizable()
	}
	return Report{Err: w.failure, Trace: w.trace.Sum64(), Time: w.now, Stats: w.stats}
}

// faults strike for a while.
func (w *World) faults() {
	w.healed = false
	w.laterOnes()
	w.slowDisk()
	w.strike()
	if w.chance(w.o.PowerLoss) {
		w.after(w.between(0, w.o.Faults), w.powerLoss)
	}
	w.run(w.now + w.o.Faults)
}

// settle waits until everything is as it should be.
func (w *World) settle() {
	healed := w.now
	deadline := healed + w.o.Settle
	for w.failure == nil {
		w.run(w.now + 200*time.Millisecond)
		if w.failure != nil {
			return
		}
		w.decideDoubts()
		what := w.check.settled()
		if what == "" {
			w.stats.Settled = w.now - healed
			return
		}
		if w.now > deadline {
			w.fail("not settled %v after the faults: %s%s", w.o.Settle, what, w.describe())
		}
	}
}

// rest lets the cluster come to rest, and requires that nothing is held on behalf of anybody.
func (w *World) rest() {
	w.run(w.now + 2*time.Second)
	if w.failure == nil {
		if what := w.check.leftovers(); what != "" {
			w.fail("at rest: %s", what)
		}
	}
	w.quiet()
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
	for keys := range slices.Chunk(order, 64) {
		// With limits drawn tiny, a node takes one read at a time and refuses the others.
		for try := 0; len(keys) > 0 && w.failure == nil; try++ {
			if try == 5 {
				w.fail("final read of %s got no answer", keys[0])
			}
			keys = w.readAll(keys)
		}
	}
}

// readAll reads keys at once, and returns those that got no answer.
func (w *World) readAll(keys []string) (left []string) {
	var ops []*operation
	for i, k := range keys {
		ops = append(ops, &operation{kind: opGet, key: k})
		w.clients[i%len(w.clients)].begin(ops[i])
	}
	for range 100 {
		if w.failure != nil || !slices.ContainsFunc(ops, func(op *operation) bool { return !op.done }) {
			break
		}
		w.run(w.now + 20*time.Millisecond)
	}
	for _, op := range ops {
		if (op.out.unknown || !op.done) && !op.refused {
			left = append(left, op.key)
		}
	}
	return left
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
			out += fmt.Sprintf("\n  %v: replica %d term %d leads %v commit %d applied %d/%d last %d pending %v doubt "+
				"%v void %v conf %v progress %v", p, i.ID, i.Term, i.Leads, i.Commit, i.Applied.Index, i.Applied.Term,
				last, v.Pending, i.InDoubt, i.Void, i.Applied.Conf, progress)
		}
	}
	return out
}
