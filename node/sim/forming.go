package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/replica"
	"pxkv/persist"
)

// Forming is how fresh nodes come to form the cluster, in place of one that has it from the beginning.
type Forming struct {
	Expect int // so many form it together, while faults strike; 0: the first node does alone
	Join   int // so many places are at --join, which is the same for all
	Beside int // fresh nodes with the same command line that come later
	// Still is how often all others stand still when those come, or one in the place of a lost one.
	Still float64
}

// drawForming lets some runs begin with nothing but fresh nodes.
func (o *Options) drawForming(r *rand.Rand) {
	if r.IntN(4) != 0 || o.Moves.Flap > 0 {
		return
	}
	first := o.Nodes
	if o.LateJoin {
		first--
	}
	o.Expect, o.Beside, o.Still = 1+r.IntN(first), r.IntN(3), r.Float64()
	switch r.IntN(4) {
	case 0:
		o.Forming.Join = o.Nodes + o.Beside
	case 1:
		o.Forming.Join = 2 + r.IntN(o.Nodes-1)
	default:
		o.Forming.Join = o.Nodes
	}
	if o.Replace > 0 { // a cluster all of whose members at --join were wiped cannot be seen
		o.Forming.Join = max(o.Forming.Join, o.Nodes)
	}
	o.PauseRate += r.Float64()
	o.CrashRate += r.Float64()
}

// Fresh makes options for a run about nothing but fresh nodes: how they form a cluster while processes
// stand still, fall and are cut off, and come later, also in the place of one whose disk is lost.
func Fresh(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 9))
	o.Nodes, o.Partitions, o.Replicas, o.Clients, o.LateJoin = 3, 1, 3, 1, false
	o.SlowDisk, o.PowerLoss, o.TransferRate, o.AmbushRate, o.PanicRate, o.JumpRate, o.CopyRate = 0, 0, 0, 0, 0, 0, 0
	o.Burst, o.Large, o.Stale = 0, 0, 0
	o.Disks.DiskFaults, o.Shutdown, o.Snapshots = DiskFaults{}, Shutdown{}, Snapshots{}
	o.Limits, o.Store = replica.Limits{}, persist.Limits{}
	o.Moves = Moves{Limits: o.Moves.Limits}
	some := func(limit float64) float64 { return limit * r.Float64() * float64(r.IntN(2)) }
	o.CrashRate, o.CutRate, o.PauseRate = some(1), some(1), some(2)
	o.Drop, o.Slow = some(0.1), some(0.1)
	o.Replace = []int{0, replaceWiped}[r.IntN(2)]
	o.Forming = Forming{Expect: 1 + r.IntN(3), Still: 0.8}
	if r.IntN(4) > 0 {
		o.Beside = o.Expect + r.IntN(2) // enough to form another one
	}
	if o.Forming.Join = o.Nodes; r.IntN(4) == 0 {
		o.Forming.Join += o.Beside
	}
	return o
}

// How fresh nodes speak and look, as in node/forming.go.
const (
	speakEvery = 200 * time.Millisecond
	lookPause  = 250 * time.Millisecond
	// hostUp is how long after a process its host still says that nobody listens there. After that it
	// says nothing: a cluster that is down as a whole cannot be seen.
	hostUp = member.DefaultSure / 2
)

// begin starts the nodes of a run.
func (w *World) begin() {
	if w.o.Expect == 0 {
		w.cluster = 0xc1
		w.addNode().start(true)
	}
	for len(w.nodes) < w.o.Nodes {
		if w.o.LateJoin && len(w.nodes) == w.o.Nodes-1 {
			break
		}
		n := w.addNode()
		w.after(w.between(0, 1500*time.Millisecond), func() { n.start(false) })
	}
}

// laterOnes starts fresh nodes while faults strike: one by one, or all while nobody else answers.
func (w *World) laterOnes() {
	later := w.o.Beside
	if w.o.LateJoin {
		later++
	}
	still := w.o.Still > 0 && w.chance(w.o.Still)
	at := w.between(0, w.o.Faults)
	if still {
		at = w.between(w.o.Faults/4, w.o.Faults) // there is a cluster by then, or nearly
		w.after(at, w.standStill)
	}
	for range later {
		if !still {
			at = w.between(0, w.o.Faults)
		}
		w.after(at, func() { w.addNode().start(false) })
	}
}

// standStill suspends all nodes that run, for some seconds.
func (w *World) standStill() {
	for _, n := range w.nodes {
		if n.up && !w.healed {
			w.suspend(n)
			n.paused = max(n.paused, w.now+w.between(2*time.Second, 5*time.Second))
		}
	}
}

// is notes that a cluster exists: there is never another one.
func (w *World) is(c kv.ClusterID) {
	if w.cluster == 0 {
		w.stats.Formed++
		w.cluster = c
	}
	if w.cluster != c {
		w.fail("a second cluster: %s beside %s", c, w.cluster)
	}
}

// form begins what a fresh node does until it knows which cluster it will be in.
func (n *node) form(promise persist.Promise) {
	n.waiting = true
	n.formation = member.NewFormation(member.FormationOptions{
		Self: n.id, Name: n.name, Expect: n.w.o.Expect, Starts: n.starts, Promise: promise,
	})
	n.do(n.w.between(0, lookPause), n.look)
	n.do(n.w.between(0, speakEvery), n.speak)
}

// look asks at every place of --join who is there. What comes too late is not known.
func (n *node) look() {
	w, began := n.w, n.boot()
	if !n.waiting {
		return
	}
	places := make([]member.Place, w.o.Forming.Join)
	for i := range places {
		p := &places[i]
		p.At = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 7946)
		p.Address, p.Fault = p.At.String(), "timeout"
		if i == n.home {
			p.Node = n.id
			continue
		}
		at := w.at(i)
		if at == nil {
			p.Refused = true
			continue
		}
		w.net.send(n.id, at.id, func() {
			answer := func() {
				w.net.send(at.id, n.id, func() { p.Node, p.Cluster, p.Expect = at.id, at.cluster(), w.o.Expect })
			}
			switch {
			case at.up:
				at.do(0, answer)
			case at.life == 0 || w.now-at.fell < hostUp:
				w.net.send(at.id, n.id, func() { p.Refused = true })
			}
		})
	}
	n.do(w.between(20*time.Millisecond, 400*time.Millisecond), func() {
		// What still comes belongs to nobody.
		n.formation.Looked(began, append([]member.Place(nil), places...))
		n.do(lookPause, n.look)
	})
}

// at is who lives at a place now, nil when nobody ever did.
func (w *World) at(place int) (last *node) {
	for _, n := range w.nodes {
		if n.home == place {
			last = n
		}
	}
	return last
}

// cluster is the one that the node is in.
func (n *node) cluster() kv.ClusterID {
	if n.joined {
		return n.w.cluster
	}
	return 0
}

// speak decides, and asks all others.
func (n *node) speak() {
	w := n.w
	if !n.waiting {
		return
	}
	switch d, _ := n.formation.Decide(n.boot()); {
	case !n.keepPromise():
		return
	case d == member.Join:
		n.enter()
		return
	case d == member.Form:
		if w.faulty() && w.chance(0.3) { // it stands still between the decision and the deed
			w.suspend(n)
		}
		n.do(0, n.makeCluster)
		return
	}
	n.do(w.between(speakEvery/2, speakEvery), n.speak)
	asked, question, f := n.boot(), n.formation.Words(n.boot()), n.formation
	for _, o := range w.nodes {
		if o == n {
			continue
		}
		w.net.send(n.id, o.id, func() {
			o.do(0, func() {
				answer, kept := o.spokenTo(n.id, question)
				if !kept {
					return
				}
				w.net.send(o.id, n.id, func() {
					n.do(0, func() {
						if n.formation == f && n.waiting {
							f.Answered(asked, o.id, answer)
							n.keepPromise()
						}
					})
				})
			})
		})
	}
}

// spokenTo answers a fresh node. It reports false when the process ended meanwhile.
func (n *node) spokenTo(from kv.NodeID, question member.Words) (member.Words, bool) {
	switch {
	case n.joined:
		return member.Words{Name: n.name, Cluster: n.cluster()}, true
	case n.formation == nil:
		return member.Words{Name: n.name}, true
	}
	answer := n.formation.Asked(n.boot(), from, question)
	return answer, n.keepPromise()
}

// keepPromise writes down what the node has promised. It reports false when the process ended meanwhile.
func (n *node) keepPromise() bool {
	p := n.formation.Promise()
	if p == n.kept {
		return true
	}
	n.kept = p
	return n.saved(func(ident *persist.Identity) { ident.Promise = p })
}

// saved changes who the node is, on disk.
func (n *node) saved(change func(*persist.Identity)) bool {
	err := n.io(func() error {
		ident, _, err := n.db.Identity()
		if err != nil {
			return err
		}
		change(&ident)
		return n.db.SaveIdentity(ident)
	})
	return n.wrote("save identity", err)
}

// wrote takes how a write ended that is none of a turn.
func (n *node) wrote(what string, err error) bool {
	if n.reap() {
		return false
	}
	if err != nil {
		n.brokeDown(fmt.Errorf("%s: %w", what, err))
	}
	return err == nil
}

// makeCluster makes the cluster that was decided on.
func (n *node) makeCluster() {
	w := n.w
	w.attempts++
	cluster, s := kv.ClusterID(0xc0+w.attempts), n.first(kv.ClusterID(0xc0+w.attempts))
	err := n.io(func() error { return n.core.Found(s) })
	if !n.wrote("new cluster", err) {
		return // it may be on disk: the next start looks
	}
	n.becomes(cluster, s.Members[0].MetaReplica)
}

// adopt completes what makeCluster was about when the process ended.
func (n *node) adopt() bool {
	s := n.machine.State()
	if s == nil || n.w.o.Expect == 0 {
		return true
	}
	self, ok := s.Member(n.id)
	if !ok {
		n.w.fail("%s: its disk holds cluster %s, of which it is no member", n.name, s.Cluster)
		return false
	}
	n.w.is(s.Cluster)
	n.joined = n.saved(func(ident *persist.Identity) { *ident = founder(*ident, s.Cluster, self.MetaReplica) })
	return n.joined
}

func founder(ident persist.Identity, c kv.ClusterID, own kv.ReplicaID) persist.Identity {
	ident.Cluster, ident.MetaReplica, ident.Promise = c, own, persist.Promise{}
	return ident
}

// becomes makes the node a member of the cluster that it made.
func (n *node) becomes(c kv.ClusterID, own kv.ReplicaID) {
	n.w.is(c)
	n.machine.SetOwn(own)
	n.joined = true
	if n.saved(func(ident *persist.Identity) { *ident = founder(*ident, c, own) }) {
		n.enter()
	}
}

// enter lets a node run that knows which cluster it will be in.
func (n *node) enter() {
	n.waiting = false
	n.tick()
	n.do(0, n.schedule)
	n.do(n.w.between(0, 300*time.Millisecond), n.introduce)
	n.steer()
}
