package replica

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/cryptotest"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// TestLeasePromise plays LEASE_COUNT schedules from seed LEASE_SEED on. In each of them leaders are read from alone
// while all that may go wrong does, but for clocks that differ by more than leases allow for. While a lease lasts, by
// the clock of who has it, nobody else leads in a newer term, and all that was acknowledged is in its state.
func TestLeasePromise(t *testing.T) {
	number := func(name string, def uint64) uint64 {
		if v, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
			return v
		}
		return def
	}
	first, count := number("LEASE_SEED", 1), number("LEASE_COUNT", 60)
	var sum promiseStats
	for seed := first; seed < first+count; seed++ {
		w := playPromises(t, seed)
		if w.broken != nil {
			t.Fatalf("seed %d: %v\n%+v\nthis one again: LEASE_SEED=%d LEASE_COUNT=1", seed, w.broken, w.promiseFaults,
				seed)
		}
		sum.add(&w.stats)
	}
	t.Logf("%d schedules: %+v", count, sum)
	if least := int(count); sum.Leases < 10*least || sum.Leaders < least || sum.Acked < 10*least || sum.Alone == 0 {
		t.Errorf("that is too little to have tried anything")
	}
}

func playPromises(t *testing.T, seed uint64) *promises {
	cryptotest.SetGlobalRandom(t, seed)
	w := newPromises(t, seed)
	defer w.close()
	w.strike()
	w.run(6 * time.Second)
	return w
}

func (s *promiseStats) add(o *promiseStats) {
	s.Leases += o.Leases
	s.Leaders += o.Leaders
	s.Acked += o.Acked
	s.Reads += o.Reads
	s.Restarts += o.Restarts
	s.Transfers += o.Transfers
	s.Confs += o.Confs
	s.Alone += o.Alone
}

// promiseGroup is a group, and what is known of it.
type promiseGroup struct {
	p        kv.PartitionID
	conf     *pb.ConfState // at first
	replicas []kv.Replica
	ack      uint64               // largest index acknowledged
	lease    time.Duration        // end of the last one
	leaders  map[uint64]kv.NodeID // by term
	hashes   map[uint64]uint64    // of the state, by index
}

func (g *promiseGroup) acked(w *promises, index uint64) {
	w.stats.Acked++
	g.ack = max(g.ack, index)
}

// check looks at all replicas of a group.
func (g *promiseGroup) check(w *promises) {
	for _, n := range w.nodes {
		x := n.replica(g.p)
		if x == nil {
			continue
		}
		if at, hash := x.applied.Index, x.applied.Hash; g.hashes[at] == 0 {
			g.hashes[at] = hash
		} else if g.hashes[at] != hash {
			w.fail("group %v: the state of node %d at index %d is another one than elsewhere", g.p, n.id, at)
		}
		if awake := slices.Index(x.h.groups.awake, x) >= 0; awake == x.rest.on || x.h.awakeTwice() {
			w.fail("group %v: on node %d it rests: %v, and is among the %d of %d that are awake: %v", g.p, n.id,
				x.rest.on, len(x.h.groups.awake), len(x.h.groups.ordered), awake)
		}
		if x.leads() {
			switch leader := g.leaders[x.raft.term]; {
			case leader == 0:
				w.stats.Leaders++
				if x.alone() {
					w.stats.Alone++
				}
				g.leaders[x.raft.term] = n.id
			case leader != n.id:
				w.fail("group %v: nodes %d and %d lead in term %d", g.p, leader, n.id, x.raft.term)
			}
		}
		until := x.handle.LeaseUntil()
		if until <= n.boot() {
			continue
		}
		if until != g.lease {
			g.lease = until
			w.stats.Leases++
		}
		if x.handle.Applied() < g.ack {
			w.fail("group %v: node %d has a lease and has applied %d, and %d is acknowledged", g.p, n.id,
				x.handle.Applied(), g.ack)
		}
		for _, o := range w.nodes {
			if y := o.replica(g.p); y != nil && y.leads() && y.raft.term > x.raft.term {
				w.fail("group %v: node %d leads in term %d, and node %d has a lease of term %d for another %v", g.p,
					o.id, y.raft.term, n.id, x.raft.term, until-n.boot())
			}
		}
	}
}

// awakeTwice reports whether some group has more than one tick with each of the host's, or one that is gone has any.
func (h *Host) awakeTwice() bool {
	resting := 0
	for _, g := range h.groups.ordered {
		if g.rest.on {
			resting++
		}
	}
	return len(h.groups.awake)+resting != len(h.groups.ordered)
}

func (n *promiseNode) replica(p kv.PartitionID) *group {
	if !n.up {
		return nil
	}
	return n.h.groups.of[p]
}

// leader returns a node that believes to lead a group.
func (g *promiseGroup) leader(w *promises) *promiseNode {
	for _, i := range w.rng.Perm(len(w.nodes)) {
		if x := w.nodes[i].replica(g.p); x != nil && x.leads() {
			return w.nodes[i]
		}
	}
	return nil
}

var errNoSnapshots = errors.New("there are none here")

// promiseFaults are drawn for each schedule. Most are often absent, so that some schedules are about one thing.
type promiseFaults struct {
	drift                 float64 // of a clock's rate from 1, at most: two differ by what leases allow for
	drop, duplicate, late float64 // of a message
	lateBy                time.Duration
	reading, writing      float64 // for each group and tick
	applyBytes            int     // 0: the default
	readyRounds           int
	entryBytes            int
	every                 time.Duration // about how far apart the faults are
	weights               []float64     // of each fault
}

func (w *promises) drawPromiseFaults() {
	some := func(limit float64) float64 {
		if w.rng.IntN(3) == 0 {
			return 0
		}
		return limit * w.rng.Float64()
	}
	w.promiseFaults = promiseFaults{
		drift: leaseDrift / 2 * []float64{0, 1, 1}[w.rng.IntN(3)],
		drop:  some(0.05), duplicate: some(0.1), late: some(0.2), lateBy: w.between(5*time.Millisecond, time.Second),
		reading: []float64{0.3, 1}[w.rng.IntN(2)], writing: []float64{0.02, 0.3}[w.rng.IntN(2)],
		applyBytes:  []int{0, 0, 1, 200}[w.rng.IntN(4)],
		readyRounds: []int{0, 0, 1}[w.rng.IntN(3)],
		entryBytes:  []int{0, 1}[w.rng.IntN(2)],
		every:       w.between(40*time.Millisecond, 400*time.Millisecond),
	}
	for range w.faults() {
		w.weights = append(w.weights, some(1))
	}
}

func (w *promises) pick() *promiseNode { return w.nodes[w.rng.IntN(len(w.nodes))] }

func (w *promises) pickGroup() *promiseGroup { return w.groups[w.rng.IntN(len(w.groups))] }

func (w *promises) faults() []func() {
	return []func(){
		w.cutSome, w.isolate, w.crashSome, w.pauseSome, w.transferSome, w.transferSome, w.changeSome, w.changeSome,
		w.misinform, w.slowDown, w.ambush, w.ambush, w.leaveAlone,
	}
}

// strike lets something happen, and comes back.
func (w *promises) strike() {
	w.after(w.between(0, 2*w.every), func() {
		w.strike()
		if w.now < 400*time.Millisecond {
			return
		}
		sum := 0.0
		for _, x := range w.weights {
			sum += x
		}
		at := sum * w.rng.Float64()
		for i, f := range w.faults() {
			if at -= w.weights[i]; at < 0 {
				f()
				return
			}
		}
	})
}

// lose tells a node that its connection with another one broke.
func (n *promiseNode) lose(o *promiseNode) {
	n.do(n.w.between(0, 50*time.Millisecond), func() {
		n.in.Disconnected = append(n.in.Disconnected, Disconnection{Node: o.id, Silent: n.w.rng.IntN(2) == 0})
		n.schedule()
	})
}

// apart cuts two nodes off from each other. They may be told.
func (w *promises) apart(a, b *promiseNode, d time.Duration, told float64) {
	w.cut(a.id, b.id, d)
	w.cut(b.id, a.id, d)
	for _, x := range [][2]*promiseNode{{a, b}, {b, a}} {
		if w.chance(told) {
			x[0].lose(x[1])
		}
	}
}

func (w *promises) someTime() time.Duration {
	return w.between(10*time.Millisecond, []time.Duration{300, 1500, 3000}[w.rng.IntN(3)]*time.Millisecond)
}

func (w *promises) cutSome() {
	a, b := w.pick(), w.pick()
	if w.rng.IntN(2) == 0 {
		w.cut(a.id, b.id, w.someTime())
		return
	}
	w.apart(a, b, w.someTime(), 0.5)
}

func (w *promises) isolate() {
	n, d := w.pick(), w.someTime()
	for _, o := range w.nodes {
		if o != n {
			w.apart(n, o, d, 0.5)
		}
	}
}

func (w *promises) crashSome() {
	n := w.pick()
	n.crash(w.between(time.Millisecond, []time.Duration{20, 1500}[w.rng.IntN(2)]*time.Millisecond))
	for _, o := range w.nodes {
		if o != n && w.rng.IntN(2) == 0 {
			o.lose(n)
		}
	}
}

func (w *promises) pauseSome() { w.pick().pause(w.someTime()) }

func (n *promiseNode) pause(d time.Duration) { n.paused = max(n.paused, n.w.now+d) }

// misinform breaks a connection and no more, or says of a node that it is silent.
func (w *promises) misinform() {
	n := w.pick()
	for _, o := range w.nodes {
		if o != n && w.rng.IntN(2) == 0 {
			o.lose(n)
		}
	}
}

func (w *promises) slowDown() { w.pick().slow = w.someTime() }

func (w *promises) transferSome() {
	g := w.pickGroup()
	n, to := g.leader(w), g.replicas[w.rng.IntN(len(g.replicas))].ID
	if n == nil {
		return
	}
	w.stats.Transfers++
	n.order(func(h *Host) { _ = h.Transfer(g.p, to) })
	if how := w.rng.IntN(3); how > 0 { // it does not come about, or the former leader hears nothing of it
		w.after(w.between(0, 4*time.Millisecond), func() {
			d := w.someTime()
			for _, r := range g.replicas {
				if o := w.node(r.Node); o != n && (how == 1 || r.ID == to) {
					w.apart(n, o, d, 0.2)
				}
			}
		})
	}
}

func (n *promiseNode) order(f func(*Host)) {
	n.do(0, func() {
		n.in.Orders = append(n.in.Orders, f)
		n.schedule()
	})
}

// changeSome leaves a joint configuration, or makes other replicas the voters.
func (w *promises) changeSome() {
	g := w.pickGroup()
	n := g.leader(w)
	if n == nil {
		return
	}
	x := n.replica(g.p)
	cc := &pb.ConfChangeV2{}
	if conf := x.applied.Conf; len(conf.GetVotersOutgoing()) == 0 {
		most := 1 + w.rng.IntN(len(g.replicas))
		cc = g.change(conf, w.rng.Perm(len(g.replicas))[:most])
		if len(cc.Changes) > 1 || w.rng.IntN(2) == 0 {
			cc.Transition = pb.ConfChangeTransitionJointExplicit.Enum()
		}
		if len(cc.Changes) == 0 {
			return
		}
	}
	w.stats.Confs++
	n.order(func(h *Host) { _ = h.ProposeConf(g.p, cc, nil) })
	if w.rng.IntN(2) == 0 { // and soon the next step
		w.after(w.between(time.Millisecond, 30*time.Millisecond), func() {
			n.order(func(h *Host) { _ = h.ProposeConf(g.p, &pb.ConfChangeV2{}, nil) })
		})
	}
	switch w.rng.IntN(4) {
	case 0:
		w.after(w.between(time.Millisecond, 40*time.Millisecond), w.pick().crashSoon)
	case 1:
		w.after(w.between(time.Millisecond, 40*time.Millisecond), func() { n.pause(w.someTime()) })
	}
}

// leaveAlone makes one of the others the only voter, while the leader has much to apply, and starts that one again.
func (w *promises) leaveAlone() {
	g := w.pickGroup()
	n := g.leader(w)
	if n == nil || len(n.replica(g.p).applied.Conf.GetVotersOutgoing()) > 0 {
		return
	}
	i := w.rng.IntN(len(g.replicas))
	o := w.node(g.replicas[i].Node)
	cc := g.change(n.replica(g.p).applied.Conf, []int{i})
	cc.Transition = pb.ConfChangeTransitionJointExplicit.Enum()
	if o == n || len(cc.Changes) == 0 {
		return
	}
	w.stats.Confs++
	n.order(func(h *Host) { _ = h.ProposeConf(g.p, cc, nil) })
	w.after(w.between(10*time.Millisecond, 40*time.Millisecond), func() {
		if !n.up {
			return
		}
		for range 1 + w.rng.IntN(200) {
			n.write(g)
		}
		n.replica(g.p).handle.HasLease(n.boot())
		w.after(time.Millisecond, func() {
			n.order(func(h *Host) { _ = h.ProposeConf(g.p, &pb.ConfChangeV2{}, nil) })
		})
		w.after(w.between(time.Millisecond, 20*time.Millisecond), func() { o.crash(time.Millisecond) })
	})
}

func (n *promiseNode) crashSoon() { n.crash(n.w.between(time.Millisecond, 20*time.Millisecond)) }

// change makes these replicas the voters, and the others learners.
func (g *promiseGroup) change(conf *pb.ConfState, voters []int) *pb.ConfChangeV2 {
	cc := &pb.ConfChangeV2{}
	for i, r := range g.replicas {
		id := uint64(r.ID)
		kind := pb.ConfChangeAddLearnerNode
		if slices.Contains(voters, i) {
			kind = pb.ConfChangeAddNode
		}
		if slices.Contains(conf.GetVoters(), id) != (kind == pb.ConfChangeAddNode) {
			cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: kind.Enum(), NodeId: new(id)})
		}
	}
	return cc
}

// ambush takes a leader's followers from it one by one: the first stands for election all the time, the others are
// started again, or lose their connection with the leader, right after they have answered it.
func (w *promises) ambush() {
	g := w.pickGroup()
	n := g.leader(w)
	if n == nil {
		return
	}
	var others []*promiseNode
	for _, i := range w.rng.Perm(len(g.replicas)) {
		if o := w.node(g.replicas[i].Node); o != n {
			others = append(others, o)
		}
	}
	w.apart(n, others[0], 4*time.Second, 0.5)
	w.after(w.between(500*time.Millisecond, 1800*time.Millisecond), func() {
		how := w.rng.IntN(3)
		if others[0].up {
			others[0].lose(n)
		}
		for _, o := range others[1:] {
			if how == 0 {
				w.apart(n, o, time.Second, 1)
				continue
			}
			if o.up {
				o.crashSoon()
			}
			w.after(w.between(10*time.Millisecond, 40*time.Millisecond), func() { w.apart(n, o, time.Second, 0.5) })
		}
	})
}
