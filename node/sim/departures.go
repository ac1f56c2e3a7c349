package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"pxkv/node/autopilot"
	"pxkv/node/entry"
	"pxkv/node/health"
	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// Departures is how members leave, are lost for ever, are removed and come back, while others join. The leader of the
// meta group looks after them as in package node, by what it is told in messages.
type Departures struct {
	// Of orders that an operator gives, of members that die for ever, and of nodes that join; per simulated second.
	OrderRate, DeathRate, JoinRate float64
	// Of orders that there be another number of replicas; per simulated second.
	ReplicasRate float64
	// ReplaceAfter is for how long nobody may have heard a member before it is given up. 0: nobody looks after members.
	ReplaceAfter time.Duration
	MostNodes    int // that were ever started
	Zones        int // in which the nodes are, by their places; 0: nobody says so
}

// steerStep is how often a node that leads the meta group looks after the members.
const steerStep = 250 * time.Millisecond

// Leaving makes options for a run about members that come and go.
func Leaving(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 31))
	o.Nodes, o.Partitions, o.Replicas = 3+r.IntN(4), 1+r.IntN(4), []int{1, 2, 3, 3, 3}[r.IntN(5)]
	o.Replace, o.CopyRate, o.FlipRate, o.GiveUps, o.PowerLoss, o.AmbushRate, o.PanicRate = 0, 0, 0, 0, 0, 0, 0
	o.Moves, o.Forming, o.DiskFaults = Moves{Limits: o.Moves.Limits}, Forming{}, DiskFaults{}
	for _, rate := range []*float64{&o.CrashRate, &o.CutRate, &o.PauseRate, &o.TransferRate} {
		*rate *= r.Float64()
	}
	o.Faults = time.Duration(8+r.IntN(12)) * time.Second
	o.Departures = Departures{
		OrderRate: 1.5 * r.Float64(), DeathRate: 0.2 * r.Float64(), JoinRate: 0.3 * r.Float64(),
		ReplaceAfter: silence + time.Duration(r.IntN(3000))*time.Millisecond, MostNodes: o.Nodes + 3,
		Zones: []int{0, 0, 2, 3}[r.IntN(4)],
	}
	o.drawReplicas()
	return o
}

// drawReplicas lets operators change their minds about the number of replicas in half of the runs. It is drawn by
// numbers of its own.
func (o *Options) drawReplicas() {
	if r := rand.New(rand.NewPCG(o.Seed, 47)); r.IntN(2) == 0 {
		o.ReplicasRate = 0.3 + 1.7*r.Float64()
	}
}

// strikeMembers draws what happens to members.
func (w *World) strikeMembers(happens func(float64) bool) {
	d := &w.o.Departures
	if d.ReplaceAfter == 0 {
		return
	}
	if happens(d.OrderRate) {
		w.orderSome()
	}
	if happens(d.DeathRate) && !w.losing {
		w.lose(1)
	}
	if happens(d.JoinRate) && len(w.nodes) < d.MostNodes {
		w.addNode().start(false)
	}
	if d.ReplicasRate > 0 && happens(d.ReplicasRate) {
		w.orderReplicas()
	}
}

// steer looks after the members again and again, while this node leads the meta group.
func (n *node) steer() {
	w := n.w
	after := w.o.Departures.ReplaceAfter
	if after == 0 {
		return
	}
	n.do(steerStep, n.steer)
	n.gather(func(f *autopilot.Facts) {
		id, _ := autopilot.Candidate(f.State, f.Silence, after)
		if id == 0 {
			n.decide(f)
			return
		}
		m, _ := f.State.Member(id)
		heard, ever := n.heard[id]
		ago := w.now - heard
		n.inquire(f.State, id, autopilot.Patience(&m, after), func(why string, _ bool) {
			if why == "" {
				f.Lost = id
				if ever && ago < after<<min(m.Returns, 4)*9/10 { // clocks differ by less than that
					w.fail("%s gives %s up, which it had heard %v ago when it began to ask", n.name, m.Name, ago)
				}
			}
			n.decide(f)
		})
	})
}

func (n *node) decide(f *autopilot.Facts) {
	left := autopilot.AllLeft(f)
	n.w.waits = map[kv.NodeID][]autopilot.Wait{}
	for id, is := range left {
		n.w.waits[id] = is.Waits
	}
	for _, step := range autopilot.Decide(f, left) {
		n.w.note('D', uint64(step.Node))
		n.propose(step.Command.Encode())
	}
}

// propose proposes a command of the meta group; what becomes of it, the next state tells.
func (n *node) propose(cmd []byte) {
	n.write(replica.Op{Raw: cmd, Partition: kv.Meta, Reply: func(entry.Reply) {}})
}

// gather asks all members what they are and how the groups are that they lead, and goes on with what has been said some
// time later, if this node leads the meta group.
func (n *node) gather(then func(*autopilot.Facts)) {
	w := n.w
	s := n.machine.State()
	if v, here := n.host.View(kv.Meta); s == nil || !here || !v.Leads || n.waiting {
		return
	}
	silent := map[kv.NodeID]time.Duration{}
	f := &autopilot.Facts{
		State: s, NowMS: n.now().WallMS, Lately: silence / 2, Selves: map[kv.NodeID]autopilot.Self{},
		Reports: map[kv.PartitionID]health.Report{},
		Silence: func(id kv.NodeID) time.Duration { return silent[id] },
	}
	for _, m := range s.Members {
		silent[m.ID] = n.host.Silence(m.ID)
		o := w.node(m.ID)
		w.net.send(n.id, o.id, func() {
			o.do(0, func() {
				self, reports := o.says()
				w.net.send(o.id, n.id, func() { n.do(0, func() { hear(f, o.id, self, reports) }) })
			})
		})
	}
	n.do(w.between(20*time.Millisecond, 200*time.Millisecond), func() { then(f) })
}

func hear(f *autopilot.Facts, from kv.NodeID, self autopilot.Self, reports []health.Report) {
	f.Selves[from] = self
	for _, r := range reports {
		if former, known := f.Reports[r.Partition]; !known || former.Term < r.Term {
			f.Reports[r.Partition] = r
		}
	}
}

// says is what a node says of itself, and of the groups that it leads.
func (n *node) says() (autopilot.Self, []health.Report) {
	self := autopilot.Self{Version: meta.NewestVersion, Starts: n.starts, Room: -1}
	if zones := n.w.o.Departures.Zones; zones > 0 {
		self.Zone = fmt.Sprintf("zone %d", n.home%zones)
	}
	reports := health.Look(n.host, nil, n.core.Planner.Waits)
	if s := n.machine.State(); s != nil {
		self.Epoch = s.Epoch
		for i := range reports {
			reports[i].Epoch = s.Epoch
		}
	}
	for _, p := range n.host.Partitions() {
		if p != kv.Meta {
			self.Hosts++
		}
	}
	return self, reports
}

// orderSome lets an operator wish something of a member.
func (w *World) orderSome() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	wish := autopilot.Wish{
		Kind: []autopilot.Kind{autopilot.Leave, autopilot.Leave, autopilot.Stay, autopilot.Remove}[w.rng.IntN(4)],
		Name: n.name,
	}
	if w.chance(0.2) {
		wish.Replicas = 1 + w.rng.IntN(w.o.Replicas)
	}
	for _, o := range w.nodes {
		if o.up && !o.waiting {
			o.order(wish)
		}
	}
}

// order carries a wish out, on the node that leads the meta group.
func (n *node) order(wish autopilot.Wish) {
	n.gather(func(f *autopilot.Facts) {
		m, err := wish.Find(f.State)
		if err != nil {
			return
		}
		try := func(why string, _ bool) {
			if len(wish.Refuse(f, m, why)) > 0 {
				return
			}
			if cmd := wish.Command(f.State, m, f.NowMS); cmd != nil {
				n.w.stats.Orders++
				n.propose(cmd.Encode())
			}
		}
		if wish.Kind == autopilot.Remove {
			n.inquire(f.State, m.ID, silence, try)
			return
		}
		try("", false)
	})
}

// orderReplicas lets an operator wish another number of replicas of each partition, perhaps more than there are
// members.
func (w *World) orderReplicas() {
	w.order(autopilot.Wish{Kind: autopilot.Replicas, Replicas: 1 + w.rng.IntN(min(len(w.nodes)+1, meta.MaxReplicas))})
}

// resize makes another number of replicas be wanted when all is as it should be, and waits until they are there.
func (w *World) resize() {
	s := w.living()[0].machine.State()
	lost := func(m meta.Member) bool { return w.node(m.ID).lost }
	if w.o.Departures.ReplicasRate == 0 || w.failure != nil || slices.ContainsFunc(s.Members, lost) {
		return // it is refused while a member is silent
	}
	to := 1 + w.rng.IntN(min(len(s.Members)+1, meta.MaxReplicas))
	for limit := w.now + w.o.Settle; w.living()[0].machine.State().Replicas != to; {
		w.order(autopilot.Wish{Kind: autopilot.Replicas, Replicas: to})
		if w.run(w.now + time.Second); w.now > limit {
			w.fail("after %v %d replicas are not wanted yet", w.o.Settle, to)
		}
		if w.failure != nil {
			return
		}
	}
	w.settle()
}

// order lets all nodes carry out a wish about the number of replicas: the one that leads the meta group does.
func (w *World) order(wish autopilot.Wish) {
	for _, o := range w.nodes {
		if !o.up || o.waiting {
			continue
		}
		o.gather(func(f *autopilot.Facts) {
			if len(wish.RefuseReplicas(f)) > 0 {
				return
			}
			if cmd := wish.SetReplicas(f.State); cmd != nil {
				w.stats.Resized++
				o.propose(cmd.Encode())
			}
		})
	}
}

// hasGone takes the end of a node that was told that it is no member any more. It reports whether it may have been.
func (n *node) hasGone(err error) bool {
	w := n.w
	ended := errors.Is(err, replica.ErrLeft) || errors.Is(err, replica.ErrReplaced) || errors.Is(err, member.ErrRefused)
	if w.o.Departures.ReplaceAfter == 0 || !ended || !w.removed(n) {
		return false
	}
	w.stats.Gone++
	w.note('g', uint64(n.id))
	n.crash()
	n.lost = true
	return true
}

// departures checks what the meta group has decided, when a node first knows of it.
func (c *checker) departures(n *node) {
	s := n.machine.State()
	if s == nil || c.w.o.Departures.ReplaceAfter == 0 {
		return
	}
	lost := 0
	for _, m := range s.Departing() {
		if m.Departure.Cause == kv.CauseLost {
			lost++
		}
	}
	if lost > 1 {
		c.w.fail("%s: %d members are given up at one time", n.name, lost)
	}
	for _, r := range s.Removed {
		if c.gone[r.ID] {
			continue
		}
		c.gone[r.ID] = true
		if r.Cause == kv.CauseReplaced {
			continue
		}
		c.w.stats.Removed++
		c.removal(c.w.node(r.ID), r)
	}
}

// heardByAll reports whether all others have heard a node lately: one of them that has not may take it for dead, and
// then it need not say what it has.
func (w *World) heardByAll(n *node) bool {
	for _, o := range w.nodes {
		heard, ever := o.heard[n.id]
		if o != n && o.up && !o.waiting && (!ever || w.now-heard > silence/2) {
			return false
		}
	}
	return true
}

// removal checks, when the first node knows that another one was removed, that nothing depends on that one: nobody
// who leads counts it, and if it has left, and was not taken for dead meanwhile, it has nothing.
func (c *checker) removal(gone *node, r meta.RemovedMember) {
	for _, o := range c.w.nodes {
		if !o.up || o.waiting {
			continue
		}
		for _, p := range o.host.Partitions() {
			v, _ := o.host.View(p)
			if o == gone && p != kv.Meta && r.Cause == kv.CauseLeft && c.w.heardByAll(gone) {
				c.w.fail("%s has left, and has a replica of partition %v", gone.name, p)
			}
			if !v.Leads {
				continue
			}
			for _, x := range v.Replicas {
				if x.Node == gone.id && slices.Contains(slices.Concat(v.Conf.GetVoters(), v.Conf.GetVotersOutgoing()),
					uint64(x.ID)) {
					c.w.fail("%s was removed, and %s counts on its replica %d of partition %v", gone.name, o.name,
						x.ID, p)
				}
			}
		}
	}
}

// zoned says which partition is in fewer zones than it could be, "" when none is.
func (c *checker) zoned(s *meta.State) string {
	zones := map[string]bool{}
	for _, m := range s.Members {
		if m.State == kv.Active {
			zones[m.Zone] = true
		}
	}
	for p, row := range s.Placement {
		in := map[string]bool{}
		for _, r := range row {
			m, _ := s.Member(r.Node)
			in[m.Zone] = true
		}
		if c.w.o.Departures.Zones > 0 && len(in) < min(len(row), len(zones)) {
			return fmt.Sprintf("partition %d is in %d zones of %d", p, len(in), len(zones))
		}
	}
	return ""
}

// numbered says which partition is not placed on as many members as are wanted, or on all of them; "" when none is.
func (c *checker) numbered(s *meta.State) string {
	want := min(s.Replicas, len(s.ActiveIDs()))
	for p, row := range s.Placement {
		if len(row) != want {
			return fmt.Sprintf("partition %d is placed on %d members, want %d", p, len(row), want)
		}
	}
	return ""
}

// departing says who is still on its way out, "" when nobody is. Where a member is down for good, and too few would be
// left without it, who leaves may have to wait.
func (c *checker) departing(s *meta.State) string {
	for _, m := range s.Departing() {
		lost := func(m meta.Member) bool { return m.State == kv.Active && c.w.node(m.ID).lost }
		if !slices.ContainsFunc(s.Members, lost) {
			return fmt.Sprintf("%s is %s: %+v", m.Name, m.State, c.w.waits[m.ID])
		}
	}
	return ""
}
