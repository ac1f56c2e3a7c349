package rebalance

import (
	"fmt"
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

	limits    Limits // the same with defaults
	watches   map[kv.PartitionID]*watch
	sights    sights
	yields    yields
	members   []kv.NodeID // active, as last seen
	since     uint64      // tick at which they were first seen so
	placing   bool        // a placement was proposed and is not answered
	lastDrift uint64
	moves     atomic.Int64
	warnings  atomic.Pointer[[]string]
	waits     map[kv.PartitionID]string // of groups led here that are not as they are wanted: see Waits

	ends                map[kv.PartitionID]uint64 // of the logs led here at the last report
	incomplete, fragile atomic.Int64
}

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

// Tick takes the next steps. It is a replica.Config.OnTick.
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
	filling, late := 0, map[kv.NodeID]int{}
	for _, o := range groups {
		if o.filling() {
			filling++
		}
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
		a := Next(o.desired, o.group)
		e.waits[o.p] = a.Why
		// A node takes no replica before it knows the meta state, so that one never has to wait for
		// its turn behind others that cannot be filled without it.
		if a.Kind == AddLearner && o.p != kv.Meta && !e.sights.silent(a.Add[0].Node, &e.limits) {
			if filling >= e.limits.Filling {
				e.waits[o.p] = fmt.Sprintf("%d other partitions led by this node are being filled first", filling)
				continue
			}
			filling++
		}
		e.execute(h, o.p, a)
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
	unsteady := e.sights.selfUnsteady(&e.limits) && !slowKeepsLeading
	watches := map[kv.PartitionID]*watch{}
	moves := 0
	defer func() { e.moves.Store(int64(moves)) }()
	for _, p := range h.Partitions() {
		v, _ := h.View(p)
		d := desired(s, p)
		if !v.Leads || settled(d, v) && !unsteady {
			continue
		}
		if p != kv.Meta && moving(d, v) {
			moves++
		}
		w := e.watches[p]
		if w == nil {
			w = &watch{}
		}
		watches[p] = w
		progress, last := h.Progress(p)
		g := asGroup(v, progress)
		g.Goal = w.goal(last, &e.limits)
		g.Unsteady = unsteady && e.yields.due(p, h.Ticks(), v.Tenure, &e.limits)
		e.judge(w, &g, h.Ticks())
		if !v.Pending && covers(s, v.Conf) {
			out = append(out, outlook{p, d, g})
		}
	}
	e.watches = watches // of the others nothing is remembered
	return out
}

// judge says of each replica what only time can tell.
func (e *Executor) judge(w *watch, g *Group, now uint64) {
	for _, r := range g.Replicas {
		if r.ID == g.Self {
			continue
		}
		pr := g.Progress[r.ID]
		if slices.Contains(g.Voters, r.ID) && pr.Active && pr.Match < g.Goal && w.whole(&e.limits) {
			e.sights.lag(r.Node, &e.limits)
		}
		pr.Unsteady = e.sights.unsteady(r.Node, &e.limits)
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
	cmd := meta.Place{Expect: s.Epoch, Rows: Plan(active, s.Partitions, s.Replicas), For: active}
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
		v, _ := h.View(p)
		if a.Yield {
			e.yields.note(p, h.Ticks(), v.Tenure)
			e.sights.log.Warn("this node stalls again and again, and hands a leadership over", "partition", p.String(),
				"to", uint64(a.To))
		}
		if a.Drift {
			if v.Tenure < e.limits.TenureTicks || h.Ticks()-e.lastDrift < driftTicks {
				return
			}
			e.lastDrift = h.Ticks()
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
			Late: pr.Refusal == kv.NoRoom}
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
