package rebalance

import (
	"log/slog"
	"slices"
	"sync/atomic"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

// Executor carries out what Next says, for the groups that this node leads, and proposes
// placements while it leads the meta group. It decides from replicated state and from what
// leaders see of their followers, never from gossip.
type Executor struct {
	// State returns the newest meta state this node knows, nil before there is any.
	State func() *meta.State

	// Logger gets what an operator should know of nodes that fall or stall. nil: nobody does.
	Logger *slog.Logger
	// Limits are when it gives up and how long it waits; what is 0 takes its default.
	Limits Limits

	limits   Limits // the same with defaults
	watches  map[kv.PartitionID]*watch
	sights   sights
	yields   yields
	turns    turns
	members  []kv.NodeID // active, as last seen
	since    uint64      // tick at which they were first seen so
	placing  bool        // a placement was proposed and is not answered
	moves    atomic.Int64
	warnings atomic.Pointer[[]string]
	waits    map[kv.PartitionID]string // of groups led here that are not as they are wanted: see Waits

	still               stillness                 // as of the last look that found nothing to do
	ends                map[kv.PartitionID]uint64 // of the logs led here at the last report
	incomplete, fragile atomic.Int64
	counted             stillness // when that was counted last
}

// stillness is while what a look has found stays so: all groups but the meta group rest, none has woken, and the same
// is wanted.
type stillness struct {
	state *meta.State // nil: not all rest
	woken uint64      // how often a group had woken
}

func stillnessOf(h *replica.Host, s *meta.State) stillness {
	if rest, woken := h.AllRest(); rest {
		return stillness{s, woken}
	}
	return stillness{}
}

// since reports whether all has stayed so since an earlier look.
func (s stillness) since(earlier stillness) bool { return s.state != nil && s == earlier }

// Waits says what the next step of a group that is led here waits for, or what it is; empty: nothing is to be
// done. Of the goroutine that calls Tick.
func (e *Executor) Waits(p kv.PartitionID) string { return e.waits[p] }

// Moves returns how many groups led here do not have their replicas where the placement wants them:
// moves under way, and those that wait. It may be called from any goroutine.
func (e *Executor) Moves() int { return int(e.moves.Load()) }

// Incomplete returns how many groups led here lack something of being as they are wanted, and Fragile how many would
// not go on at once without any one of their replicas; both as of the last second. They may be called from any
// goroutine.
func (e *Executor) Incomplete() int { return int(e.incomplete.Load()) }

// Fragile is with Incomplete.
func (e *Executor) Fragile() int { return int(e.fragile.Load()) }

// Tick looks at all groups led here and takes their next steps. It is a replica.Config.OnTick.
func (e *Executor) Tick(h *replica.Host) {
	s := e.State()
	if s == nil || h.Ticks()%moveTicks != 0 {
		return
	}
	e.limits = e.Limits.withDefaults()
	if e.sights.log = e.Logger; e.Logger == nil {
		e.sights.log = slog.New(slog.DiscardHandler)
	}
	e.sights.look(h, s, &e.limits)
	if e.yields == nil || e.sights.self.falls < e.limits.Stalls {
		e.yields = yields{}
	}
	e.place(h, s)
	groups := e.look(h, s)
	late := map[kv.NodeID]int{}
	e.turns.begin(h, &e.limits)
	for _, o := range groups {
		e.countFilling(h, &o)
		for _, r := range o.group.Replicas {
			if o.group.Progress[r.ID].Late {
				late[r.Node]++
			}
		}
	}
	if h.Ticks()%reportTicks == 0 {
		e.report(h, s, late)
	}
	e.waits = map[kv.PartitionID]string{}
	for _, o := range groups {
		e.step(h, &o)
	}
}

// Changed takes the next steps of groups to which something has happened since, and of those whose turn it is now. It
// is a replica.Config.OnChange. What only time can tell is left to Tick.
func (e *Executor) Changed(h *replica.Host, ps []kv.PartitionID) {
	s := e.State()
	if s == nil || e.waits == nil {
		return // there was no tick yet
	}
	for _, p := range ps {
		e.turns.moved(h, p, &e.limits)
		e.again(h, s, p)
	}
	for _, p := range e.turns.next(&e.limits) {
		e.again(h, s, p)
	}
}

// again looks at one group between two ticks.
func (e *Executor) again(h *replica.Host, s *meta.State, p kv.PartitionID) {
	delete(e.waits, p)
	if v, ok := h.View(p); !ok || !e.concerns(h, s, desired(s, p), v) {
		e.turns.filled(p)
		return
	}
	w := e.watches[p]
	if w == nil {
		w = &watch{}
		e.watches[p] = w
	}
	if o, ok := e.examine(h, s, p, w, w.goalSoFar); ok {
		e.countFilling(h, &o)
		e.step(h, &o)
	}
}

// countFilling notes whether a learner of the group is being filled.
func (e *Executor) countFilling(h *replica.Host, o *outlook) {
	if o.filling() {
		e.turns.fills(h, o.p, &e.limits)
	} else {
		e.turns.filled(o.p)
	}
}

// step takes the next step of a group, if it is its turn.
func (e *Executor) step(h *replica.Host, o *outlook) {
	a := Next(o.desired, o.group)
	e.waits[o.p] = a.Why
	switch {
	// A node takes no replica before it knows the meta state, so that one never has to wait for
	// its turn behind others that cannot be filled without it.
	case a.Kind == AddLearner && o.p != kv.Meta && !e.sights.silent(a.Add[0].Node, &e.limits):
		if !e.turns.fill(h, o.p, &e.limits) {
			e.waits[o.p] = "other partitions that this leader's node leads are being filled first"
			return
		}
	case a.Drift:
		if v, _ := h.View(o.p); v.Tenure >= e.limits.TenureTicks {
			e.turns.drift(h, o.p, a.To)
		}
		return
	}
	e.execute(h, o.p, a)
	if a.Kind == None && o.filling() {
		h.Await(o.p)
	}
}

// outlook is a group led here that may have something to do.
type outlook struct {
	p       kv.PartitionID
	desired Desired
	group   Group
}

// look gathers the groups led here that are not as the placement wants them, or whose leader
// had better hand over.
func (e *Executor) look(h *replica.Host, s *meta.State) (out []outlook) {
	watches, moves := map[kv.PartitionID]*watch{}, 0
	now := stillnessOf(h, s)
	still := now.since(e.still) && !e.selfUnsteady() && !leaving(h, s)
	e.still = now
	for _, p := range h.Partitions() {
		if still && p != kv.Meta {
			continue
		}
		v, _ := h.View(p)
		d := desired(s, p)
		if !e.concerns(h, s, d, v) {
			continue
		}
		if p != kv.Meta {
			e.still = stillness{}
			if moving(d, v) {
				moves++
			}
		}
		w := e.watches[p]
		if w == nil {
			w = &watch{}
		}
		watches[p] = w
		if o, ok := e.examine(h, s, p, w, w.goal); ok {
			out = append(out, o)
		}
	}
	e.moves.Store(int64(moves))
	e.watches = watches // of the others nothing is remembered
	return out
}

// concerns reports whether a group is led here and there may be something to do for it.
func (e *Executor) concerns(h *replica.Host, s *meta.State, d Desired, v replica.View) bool {
	return v.Leads && (!settled(d, v) || e.selfUnsteady() || leaving(h, s))
}

// leaving reports whether this node is on its way out of the cluster: it leads nothing that another one can.
func leaving(h *replica.Host, s *meta.State) bool {
	self, _ := s.Member(h.Node())
	return self.State == kv.Leaving
}

func (e *Executor) selfUnsteady() bool { return e.sights.selfUnsteady(&e.limits) && !slowKeepsLeading }

// examine describes a group that concerns this node; false: it can take no step now.
func (e *Executor) examine(
	h *replica.Host, s *meta.State, p kv.PartitionID, w *watch, goal func(uint64, *Limits) uint64,
) (outlook, bool) {
	v, _ := h.View(p)
	progress, last := h.Progress(p)
	g := asGroup(v, progress)
	g.Goal = goal(last, &e.limits)
	g.Unsteady = e.selfUnsteady() && e.yields.due(p, h.Ticks(), v.Tenure, &e.limits)
	g.Leaving = leaving(h, s)
	g.Names = func(id kv.NodeID) string {
		m, _ := s.Member(id)
		return m.Name
	}
	e.judge(w, &g, h.Ticks(), s)
	return outlook{p, desired(s, p), g}, !v.Pending && covers(s, v.Conf)
}

// judge says of each replica what only time can tell.
func (e *Executor) judge(w *watch, g *Group, now uint64, s *meta.State) {
	for _, r := range g.Replicas {
		if r.ID == g.Self {
			continue
		}
		pr := g.Progress[r.ID]
		if slices.Contains(g.Voters, r.ID) && pr.Active && pr.Match < g.Goal && w.whole(&e.limits) {
			e.sights.lag(r.Node, &e.limits)
		}
		m, _ := s.Member(r.Node)
		pr.Unsteady = e.sights.unsteady(r.Node, &e.limits) || m.Departure != nil
		if slices.Contains(g.Learners, r.ID) {
			silent := e.sights.silent(r.Node, &e.limits)
			// A node that has no room for a snapshot is late at once, one that is silent soon.
			pr.Late = w.late(r.ID, g.keepsUp(r.ID), now, &e.limits) || silent || pr.Late
		}
		g.Progress[r.ID] = pr
	}
	w.forget(g)
}

// filling reports whether a learner of the group is being filled: each may be receiving a
// snapshot. One that is late is not waited for, and takes nobody's turn.
func (o *outlook) filling() bool {
	return o.p != kv.Meta && slices.ContainsFunc(o.group.Learners, func(id kv.ReplicaID) bool {
		return !o.group.keepsUp(id) && (!o.group.Progress[id].Late || fillingCountsDead)
	})
}

// covers reports whether the state knows all replicas of a group. One whose id it has not
// handed out yet belongs to a newer placement, which this node will learn in a moment: it must
// not be undone meanwhile.
func covers(s *meta.State, conf *pb.ConfState) bool {
	for _, ids := range [][]uint64{
		conf.GetVoters(), conf.GetLearners(), conf.GetVotersOutgoing(), conf.GetLearnersNext(),
	} {
		for _, id := range ids {
			if !s.Issued(kv.ReplicaID(id)) {
				return false
			}
		}
	}
	return true
}

// place proposes a new placement when the active members have changed and have stayed so.
func (e *Executor) place(h *replica.Host, s *meta.State) {
	active := s.ActiveIDs()
	if !slices.Equal(active, e.members) {
		e.members, e.since = active, h.Ticks()
	}
	v, ok := h.View(kv.Meta)
	if !ok || !v.Leads || e.placing || !s.PlacementOutdated() || h.Ticks()-e.since < e.limits.SettleTicks {
		return
	}
	cmd := s.NewPlace(Plan(s.Placement, Members(s, active), s.Partitions, s.Replicas))
	e.placing = true
	h.Propose(replica.Op{Partition: kv.Meta, Raw: cmd.Encode(), Reply: func(entry.Reply) {
		// Whatever the answer is, the next state shows what is still to be done.
		e.placing = false
	}})
}

func (e *Executor) execute(h *replica.Host, p kv.PartitionID, a Action) {
	cc := &pb.ConfChangeV2{}
	change := func(t pb.ConfChangeType, ids ...kv.ReplicaID) {
		for _, id := range ids {
			cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: t.Enum(), NodeId: new(uint64(id))})
		}
	}
	switch a.Kind {
	case None:
		return
	case Transfer:
		if a.Yield {
			v, _ := h.View(p)
			e.yields.note(p, h.Ticks(), v.Tenure)
			e.sights.log.Warn("this node stalls again and again, and hands a leadership over", "partition", p.String(),
				"to", uint64(a.To))
		}
		_ = h.Transfer(p, a.To)
		return
	case AddLearner:
		change(pb.ConfChangeAddLearnerNode, a.Add[0].ID)
	case RemoveLearner:
		change(pb.ConfChangeRemoveNode, a.Remove...)
	case EnterJoint:
		e.sights.log.Debug("voters change", "partition", p.String(), "promote", a.Promote, "demote", a.Demote, "remove",
			a.Remove, "why", a.Why)
		cc.Transition = pb.ConfChangeTransitionJointExplicit.Enum()
		change(pb.ConfChangeAddNode, a.Promote...)
		change(pb.ConfChangeAddLearnerNode, a.Demote...)
		change(pb.ConfChangeRemoveNode, a.Remove...)
	case LeaveJoint:
	}
	// An error means that leadership went or that the library takes no proposal right now: the
	// next look decides anew.
	_ = h.ProposeConf(p, cc, a.Add)
}

// desired is what the placement says of a partition.
func desired(s *meta.State, p kv.PartitionID) Desired {
	if p == kv.Meta {
		voters, learners := s.MetaReplicas()
		return Desired{Voters: voters, Learners: learners}
	}
	if int(p) >= len(s.Placement) {
		return Desired{}
	}
	return Desired{Voters: s.Placement[p]}
}

// moving reports whether a group has its replicas on other nodes than the placement wants, or fewer or
// more. Under which ids they are there does not matter (see resolve).
func moving(d Desired, v replica.View) bool {
	c := v.Conf
	if len(d.Voters) == 0 {
		return false // nothing is wanted yet
	}
	return len(c.GetVoters()) != len(d.Voters) || len(c.GetVotersOutgoing())+len(c.GetLearners()) > 0 ||
		slices.ContainsFunc(d.Voters, func(wanted kv.Replica) bool {
			return !slices.ContainsFunc(v.Replicas, func(r kv.Replica) bool {
				return r.Node == wanted.Node && slices.Contains(c.GetVoters(), uint64(r.ID))
			})
		})
}

// settled is the cheap look that spares most groups the full one.
func settled(d Desired, v replica.View) bool {
	c := v.Conf
	if len(d.Voters) == 0 || d.Voters[0].ID != v.Self || len(c.GetVotersOutgoing()) > 0 ||
		len(c.GetVoters()) != len(d.Voters) || len(c.GetLearners()) != len(d.Learners) {
		return false
	}
	in := func(ids []uint64) func(kv.Replica) bool {
		return func(r kv.Replica) bool { return !slices.Contains(ids, uint64(r.ID)) }
	}
	return !slices.ContainsFunc(d.Voters, in(c.GetVoters())) && !slices.ContainsFunc(d.Learners, in(c.GetLearners()))
}

func asGroup(v replica.View, progress map[kv.ReplicaID]replica.Progress) Group {
	g := Group{
		Self: v.Self, Replicas: v.Replicas, Pending: v.Pending, Progress: map[kv.ReplicaID]Progress{},
		Voters: replicaIDs(v.Conf.GetVoters()), Learners: replicaIDs(v.Conf.GetLearners()),
		Outgoing: replicaIDs(v.Conf.GetVotersOutgoing()), LearnersNext: replicaIDs(v.Conf.GetLearnersNext()),
	}
	for id, pr := range progress {
		g.Progress[id] = Progress{Match: pr.Match, Snapshot: pr.Snapshot > 0, Active: pr.Active, Silent: !pr.Answers,
			Late: pr.Refusal == kv.NoRoom, Fed: pr.Fed}
	}
	return g
}

func replicaIDs(raw []uint64) []kv.ReplicaID {
	out := make([]kv.ReplicaID, len(raw))
	for i, id := range raw {
		out[i] = kv.ReplicaID(id)
	}
	return out
}
