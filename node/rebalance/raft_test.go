package rebalance

import (
	"maps"
	"slices"

	"go.etcd.io/raft/v3/confchange"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"pgregory.net/rapid"

	"pxkv/node/kv"
)

// raftGroup is one group whose configuration is kept by Raft's own code, with a progress that
// the test makes up. It carries out Actions and fails the test on any that it should never
// have been given.
type raftGroup struct {
	t       *rapid.T
	conf    tracker.ProgressTracker
	node    map[kv.ReplicaID]kv.NodeID // of every replica ever
	removed map[kv.ReplicaID]bool      // was in the configuration and is not any more
	p       map[kv.ReplicaID]Progress
	self    kv.ReplicaID
	last    uint64
	wiped   map[kv.ReplicaID]bool // never active again
	lost    map[kv.NodeID]bool    // the same of whole nodes
	stalls  bool                  // the leader's node is unsteady
}

const lag = 10 // entries between the end of the log and the goal in these tests

func single(typ pb.ConfChangeType, id kv.ReplicaID) *pb.ConfChangeSingle {
	return &pb.ConfChangeSingle{Type: typ.Enum(), NodeId: new(uint64(id))}
}

func changes(typ pb.ConfChangeType, list []kv.ReplicaID) (out []*pb.ConfChangeSingle) {
	for _, id := range list {
		out = append(out, single(typ, id))
	}
	return out
}

func (m *raftGroup) changer() confchange.Changer {
	return confchange.Changer{Tracker: m.conf, LastIndex: m.last}
}

// become takes the outcome of a change, and notes who is gone by it.
func (m *raftGroup) become(cfg tracker.Config, trk tracker.ProgressMap, err error) {
	if err != nil {
		m.t.Fatalf("raft refuses the change: %v", err)
	}
	for id := range m.conf.Progress {
		if trk[id] == nil {
			m.removed[kv.ReplicaID(id)] = true
		}
	}
	m.conf.Config, m.conf.Progress = cfg, trk
	for id := range trk {
		id := kv.ReplicaID(id)
		if m.removed[id] {
			m.t.Fatalf("replica %d was removed and is back", id)
		}
		if _, known := m.p[id]; !known {
			m.p[id] = Progress{}
		}
	}
}

func (m *raftGroup) group() Group {
	cs := m.conf.ConfState()
	g := Group{Self: m.self, Progress: maps.Clone(m.p), Goal: m.last - min(m.last, lag), Unsteady: m.stalls}
	to := func(list []uint64) (out []kv.ReplicaID) {
		for _, id := range list {
			out = append(out, kv.ReplicaID(id))
		}
		slices.Sort(out)
		return out
	}
	g.Voters, g.Learners = to(cs.GetVoters()), to(cs.GetLearners())
	g.Outgoing, g.LearnersNext = to(cs.GetVotersOutgoing()), to(cs.GetLearnersNext())
	for _, id := range slices.Sorted(maps.Keys(m.conf.Progress)) {
		r := kv.ReplicaID(id)
		g.Replicas = append(g.Replicas, kv.Replica{ID: r, Node: m.node[r]})
	}
	return g
}

// carryOut checks an action against what the package promises, and does it.
func (m *raftGroup) carryOut(d Desired, a Action) {
	g, t := m.group(), m.t
	joint := len(g.Outgoing) > 0
	if joint && a.Kind != LeaveJoint && a.Kind != Transfer && a.Kind != None {
		t.Fatalf("%v in a joint configuration", a.Kind)
	}
	switch a.Kind {
	case None:
	case AddLearner:
		if len(a.Add) != 1 {
			t.Fatalf("adds %v at once, which raft would do by a joint change", a.Add)
		}
		r := a.Add[0]
		if twin, ok := g.onNode(r.Node); ok {
			t.Fatalf("adds %v beside replica %d", r, twin)
		}
		m.node[r.ID] = r.Node
		m.become(m.changer().Simple(single(pb.ConfChangeAddLearnerNode, r.ID)))
	case RemoveLearner:
		if len(a.Remove) != 1 || !slices.Contains(g.Learners, a.Remove[0]) {
			t.Fatalf("removes %v, learners are %v", a.Remove, g.Learners)
		}
		m.become(m.changer().Simple(single(pb.ConfChangeRemoveNode, a.Remove[0])))
	case EnterJoint:
		ccs := slices.Concat(
			changes(pb.ConfChangeAddNode, a.Promote),
			changes(pb.ConfChangeAddLearnerNode, a.Demote),
			changes(pb.ConfChangeRemoveNode, a.Remove))
		m.become(m.changer().EnterJoint(false, ccs...))
		m.checkJoint(d, g, a)
	case LeaveJoint:
		if !slices.Contains(g.Voters, g.Self) {
			t.Fatal("leaves a joint configuration under a leader that goes with it")
		}
		m.become(m.changer().LeaveJoint())
	case Transfer:
		if !slices.Contains(g.Voters, a.To) || !g.reachable(a.To) || a.To == g.Self {
			t.Fatalf("hands over to %d, voters %v, progress %+v", a.To, g.Voters, g.Progress[a.To])
		}
		if !joint && !a.Drift && !a.Yield {
			t.Fatal("urgent transfer outside a joint configuration")
		}
		if (a.Drift || a.Yield) && g.Progress[a.To].Unsteady {
			t.Fatalf("hands over to %d, which is unsteady", a.To)
		}
		m.self = a.To
	default:
		t.Fatalf("unknown kind %v", a.Kind)
	}
}

// checkJoint holds a joint change that was just entered from before against the rules: both
// majorities keep up; and unless all that is wanted is there, as many voters live as before, and
// as many may fail, or as many as are wanted.
func (m *raftGroup) checkJoint(d Desired, before Group, a Action) {
	now := m.group()
	if !now.majority(now.Voters) || !now.majority(now.Outgoing) {
		m.t.Fatalf("entered a joint configuration that cannot be left: %+v", now)
	}
	for _, id := range a.Promote {
		if !before.keepsUp(id) {
			m.t.Fatalf("promoted %d, which does not keep up", id)
		}
	}
	complete := !slices.ContainsFunc(d.Voters, func(r kv.Replica) bool {
		return !slices.ContainsFunc(now.Voters, func(id kv.ReplicaID) bool { return m.node[id] == r.Node })
	})
	if complete {
		return
	}
	n := len(d.Voters)
	if was, is := before.count(before.Voters, before.active), now.count(now.Voters, now.active); is < min(was, n) {
		m.t.Fatalf("%d voters live, before it were %d, wanted are %d", is, was, n)
	}
	if was, is := before.spare(before.Voters, before.active), now.spare(now.Voters, now.active); is < min(was,
		(n-1)/2) {
		m.t.Fatalf("%d may fail, before it were %d of %v, wanted are %d", is, was, before.Voters, n)
	}
}
