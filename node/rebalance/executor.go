package rebalance

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
)

const (
	// caughtUp is how many entries a replica may be behind and still be promoted or led to.
	caughtUp = 64
	// moveTicks and driftTicks are between two looks at the moves, and between two transfers of
	// leadership that only bring it to the preferred leader.
	moveTicks  = 2
	driftTicks = 2
	// tenureTicks is how long a replica leads at least before leadership drifts away from it
	// (2 s at the default tick). Whoever came to lead because the preferred leader is just being
	// stopped must not hand it back: that one may be gone before it takes over.
	tenureTicks = 28
	// maxFilling is how many groups led here may have a learner that is still catching up.
	maxFilling = 4
	// settleTicks is how long the members must have stayed the same before a placement is
	// computed for them (2 s at the default tick): nodes that arrive together share an epoch.
	settleTicks = 28
)

// Executor carries out what Next says, for the groups that this node leads, and proposes
// placements while it leads the meta group. It decides from replicated state and from what
// leaders see of their followers, never from gossip.
type Executor struct {
	// State returns the newest meta state this node knows, nil before there is any.
	State func() *meta.State

	members   []kv.NodeID // active, as last seen
	since     uint64      // tick at which they were first seen so
	placing   bool        // a placement was proposed and is not answered
	lastDrift uint64
}

// Tick takes the next steps. It is a replica.Config.OnTick.
func (e *Executor) Tick(h *replica.Host) {
	s := e.State()
	if s == nil || h.Ticks()%moveTicks != 0 {
		return
	}
	e.place(h, s)
	filling := e.filling(h)
	for _, p := range h.Partitions() {
		v, _ := h.View(p)
		if !v.Leads || v.Pending || !covers(s, v.Conf) {
			continue
		}
		d := desired(s, p)
		if settled(d, v) {
			continue
		}
		progress, last := h.Progress(p)
		a := Next(d, asGroup(v, progress, last), caughtUp)
		// A node takes no replica before it knows the meta state, so that one never has to wait for
		// its turn behind others that cannot be filled without it.
		if a.Kind == AddLearner && p != kv.Meta {
			if filling >= maxFilling {
				continue
			}
			filling++
		}
		e.execute(h, p, a)
	}
}

// covers reports whether the state knows all replicas of a group. One whose id it has not
// handed out yet belongs to a newer placement, which this node will learn in a moment: it must
// not be undone meanwhile.
func covers(s *meta.State, conf *pb.ConfState) bool {
	for _, ids := range [][]uint64{conf.GetVoters(), conf.GetLearners(), conf.GetVotersOutgoing(), conf.GetLearnersNext()} {
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
	if !ok || !v.Leads || e.placing || !s.PlacementOutdated() || h.Ticks()-e.since < settleTicks {
		return
	}
	cmd := meta.Place{Expect: s.Epoch, Rows: Plan(active, s.Partitions, s.Replicas), For: active}
	e.placing = true
	h.Propose(replica.Op{Partition: kv.Meta, Raw: cmd.Encode(), Reply: func(replica.Reply) {
		// Whatever the answer is, the next state shows what is still to be done.
		e.placing = false
	}})
}

// filling counts the groups led here that have a learner which is not yet wanted as a voter
// by its progress: each may be receiving a snapshot.
func (e *Executor) filling(h *replica.Host) int {
	n := 0
	for _, p := range h.Partitions() {
		v, _ := h.View(p)
		if !v.Leads || p == kv.Meta || len(v.Conf.GetLearners()) == 0 {
			continue
		}
		progress, last := h.Progress(p)
		if slices.ContainsFunc(v.Conf.GetLearners(), func(id uint64) bool {
			pr := progress[kv.ReplicaID(id)]
			return pr.Snapshot > 0 || pr.Match+caughtUp < last
		}) {
			n++
		}
	}
	return n
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
		if a.Drift {
			if v, _ := h.View(p); v.Tenure < tenureTicks || h.Ticks()-e.lastDrift < driftTicks {
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

func asGroup(v replica.View, progress map[kv.ReplicaID]replica.Progress, last uint64) Group {
	g := Group{
		Self: v.Self, Replicas: v.Replicas, Last: last, Pending: v.Pending, Progress: map[kv.ReplicaID]Progress{},
		Voters: replicaIDs(v.Conf.GetVoters()), Learners: replicaIDs(v.Conf.GetLearners()),
		Outgoing: replicaIDs(v.Conf.GetVotersOutgoing()), LearnersNext: replicaIDs(v.Conf.GetLearnersNext()),
	}
	for id, pr := range progress {
		g.Progress[id] = Progress{Match: pr.Match, Snapshot: pr.Snapshot > 0, Active: pr.Active}
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
