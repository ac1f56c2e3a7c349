package rebalance

import (
	"fmt"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/confchange"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
	"pxkv/node/kv"
)

// draw makes a group in any configuration that Raft can be in, joint ones and ones that
// no plan of ours leads to included. Several replicas may be on one node.
func draw(t *rapid.T) (*raftGroup, *wish) {
	m := &raftGroup{
		t: t, conf: tracker.MakeProgressTracker(1, 0), last: 1000,
		node: map[kv.ReplicaID]kv.NodeID{}, removed: map[kv.ReplicaID]bool{},
		p: map[kv.ReplicaID]Progress{}, wiped: map[kv.ReplicaID]bool{},
	}
	joint := rapid.Bool().Draw(t, "joint")
	cs := &pb.ConfState{}
	n := rapid.IntRange(1, 7).Draw(t, "replicas")
	for id := uint64(1); id <= uint64(n); id++ {
		m.node[kv.ReplicaID(id)] = kv.NodeID(rapid.IntRange(1, 7).Draw(t, "node"))
		role := rapid.IntRange(0, 4).Draw(t, "role")
		if id == 1 {
			role = 0
		}
		switch {
		case role == 1:
			cs.Learners = append(cs.Learners, id)
		case role == 2 && joint:
			cs.VotersOutgoing = append(cs.VotersOutgoing, id)
		case role == 3 && joint:
			cs.VotersOutgoing, cs.LearnersNext = append(cs.VotersOutgoing, id), append(cs.LearnersNext, id)
		default:
			cs.Voters = append(cs.Voters, id)
			if joint && (id == 1 || role == 4) {
				cs.VotersOutgoing = append(cs.VotersOutgoing, id)
			}
		}
	}
	m.become(confchange.Restore(m.changer(), cs))
	m.self = kv.ReplicaID(rapid.SampledFrom(slices.Concat(cs.Voters, cs.VotersOutgoing)).Draw(t, "self"))
	return m, &wish{next: kv.ReplicaID(n + 1)}
}

// wish is what the meta group wants: it hands out replica ids as a placement does.
type wish struct {
	d    Desired
	next kv.ReplicaID
}

// change makes up the next placement: a node keeps the id of the present placement, or gets
// a new one; sometimes, as at the start of a history, one that is in the configuration.
func (w *wish) change(t *rapid.T, m *raftGroup) {
	nodes := rapid.SliceOfNDistinct(rapid.IntRange(1, 7), 1, 5, rapid.ID[int]).Draw(t, "wanted nodes")
	voters := rapid.IntRange(1, len(nodes)).Draw(t, "wanted voters")
	adopt := len(w.d.Voters) == 0
	g := m.group()
	var d Desired
	for i, n := range nodes {
		r := kv.Replica{Node: kv.NodeID(n)}
		if at := slices.IndexFunc(w.d.all(), func(o kv.Replica) bool { return o.Node == r.Node }); at >= 0 {
			r.ID = w.d.all()[at].ID
		} else if id, ok := g.onNode(r.Node); ok && adopt && rapid.Bool().Draw(t, "adopt") {
			r.ID = id
		} else {
			r.ID = w.next
			w.next++
		}
		if i < voters {
			d.Voters = append(d.Voters, r)
		} else {
			d.Learners = append(d.Learners, r)
		}
	}
	w.d = d
}

// disturb lets something happen to the replicas: progress, silence, snapshots, writes, an
// election.
func (m *raftGroup) disturb(t *rapid.T) {
	g := m.group()
	m.last += rapid.Uint64Range(0, 20).Draw(t, "writes")
	for _, r := range g.Replicas {
		p := m.p[r.ID]
		switch rapid.IntRange(0, 4).Draw(t, "event") {
		case 0:
			p.Active = false
		case 1:
			p.Active, p.Snapshot = true, true
		case 2, 3:
			p = Progress{Match: m.last, Active: true}
		}
		p.Late = rapid.Bool().Draw(t, "late")
		p.Silent = rapid.IntRange(0, 4).Draw(t, "silent") == 0
		p.Unsteady = rapid.IntRange(0, 4).Draw(t, "unsteady") == 0
		m.p[r.ID] = p
	}
	m.stalls = rapid.IntRange(0, 4).Draw(t, "stalls") == 0
	if rapid.IntRange(0, 4).Draw(t, "election") == 0 {
		m.self = rapid.SampledFrom(slices.Concat(g.Voters, g.Outgoing)).Draw(t, "elected")
	}
}

// heal makes everybody keep up but the wiped, and whoever is on a node that is lost.
func (m *raftGroup) heal() {
	m.stalls = false
	for id := range m.p {
		m.p[id] = Progress{Match: m.last, Active: true}
		if m.wiped[id] || m.lost[m.node[id]] {
			m.p[id] = Progress{Late: true}
		}
	}
}

// wipe kills for ever a replica that is not wanted under its id, if its group can live on
// without it.
func (m *raftGroup) wipe(t *rapid.T, d Desired) {
	g := m.group()
	id := rapid.SampledFrom(g.Replicas).Draw(t, "wiped").ID
	m.wiped[id] = true
	m.heal()
	g = m.group()
	if id == m.self || d.wants(id) || !g.majority(g.Voters) || (len(g.Outgoing) > 0 && !g.majority(g.Outgoing)) {
		delete(m.wiped, id)
		m.heal()
	}
}

func TestEveryConfigurationBecomesTheDesiredOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, w := draw(t)
		w.change(t, m)
		for range rapid.IntRange(0, 30).Draw(t, "troubled steps") {
			m.disturb(t)
			if rapid.IntRange(0, 5).Draw(t, "new placement") == 0 {
				w.change(t, m)
			}
			m.carryOut(w.d, Next(w.d, m.group()))
		}
		if rapid.Bool().Draw(t, "wipe") {
			m.wipe(t, w.d)
		}
		var trace []string
		for step := 0; ; step++ {
			m.heal()
			a := Next(w.d, m.group())
			trace = append(trace, fmt.Sprintf("%v: %+v", a.Kind, a))
			if a.Kind == None {
				if !a.Settled {
					t.Fatalf("stuck: %s\nwants %+v\nhas %+v", a.Why, w.d, m.group())
				}
				break
			}
			// Leave, each learner goes, each dead twin and each wanted replica once, two
			// joint changes of up to three steps, drift.
			if step > 30 {
				t.Fatalf("no end: %q", trace)
			}
			m.carryOut(w.d, a)
		}
		m.checkArrived(w.d)
	})
}

// What lives is never kept out by what is dead for good: whoever is wanted and lives becomes a
// voter, as many voters live at last as are wanted or were there, and everything becomes as wanted
// when the dead return after all.
func TestTheDeadKeepNobodyOut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, w := draw(t)
		m.lost = map[kv.NodeID]bool{}
		w.change(t, m)
		for range rapid.IntRange(0, 10).Draw(t, "troubled steps") {
			m.disturb(t)
			m.carryOut(w.d, Next(w.d, m.group()))
		}
		for n := range kv.NodeID(8) {
			m.lost[n] = n != m.node[m.self] && rapid.IntRange(0, 2).Draw(t, "lost") == 0
		}
		m.heal()
		g := m.group()
		if !g.majority(g.Voters) || len(g.Outgoing) > 0 && !g.majority(g.Outgoing) {
			return // nothing can be done without a majority
		}
		m.settle(w.d)
		g = m.group()
		for _, r := range w.d.Voters {
			if id, ok := g.onNode(r.Node); !m.lost[r.Node] && (!ok || !slices.Contains(g.Voters, id)) {
				t.Fatalf("node %v lives and is wanted, and is no voter: wants %+v\nhas %+v", r.Node, w.d, g)
			}
		}
		clear(m.lost)
		m.settle(w.d)
		m.checkArrived(w.d)
	})
}

// settle carries steps out until there are none.
func (m *raftGroup) settle(d Desired) {
	for step := 0; ; step++ {
		m.heal()
		a := Next(d, m.group())
		if a.Kind == None {
			return
		}
		if step > 30 {
			m.t.Fatalf("no end: %v %+v\nwants %+v\nhas %+v", a.Kind, a, d, m.group())
		}
		m.carryOut(d, a)
	}
}

// checkArrived requires that the configuration is the desired one, but for twins that live.
func (m *raftGroup) checkArrived(d Desired) {
	g := m.group()
	same := func(what string, wanted []kv.Replica, have []kv.ReplicaID) {
		if len(wanted) != len(have) {
			m.t.Fatalf("%s: got %v, want %v", what, have, wanted)
		}
		for _, r := range wanted {
			at := slices.IndexFunc(have, func(id kv.ReplicaID) bool { return m.node[id] == r.Node })
			if at < 0 || m.wiped[have[at]] {
				m.t.Fatalf("%s: got %v on %v, want %v", what, have, m.node, wanted)
			}
			if have[at] != r.ID && m.removed[r.ID] {
				m.t.Fatalf("%s: %d stands for %d, which had been there", what, have[at], r.ID)
			}
		}
	}
	same("voters", d.Voters, g.Voters)
	same("learners", d.Learners, g.Learners)
	if m.node[m.self] != d.Voters[0].Node || len(g.Outgoing) > 0 {
		m.t.Fatalf("led by %d on %s, want %v", m.self, m.node[m.self], d.Voters[0])
	}
}

// FuzzNext: whatever the group and the wish look like, there is an answer, and the same one twice.
func FuzzNext(f *testing.F) {
	f.Add([]byte{1, 1, 0, 2, 2, 0, 3, 3, 1}, uint64(10))
	f.Fuzz(func(t *testing.T, b []byte, goal uint64) {
		var g Group
		var d Desired
		g.Goal, g.Progress = goal, map[kv.ReplicaID]Progress{}
		for ; len(b) >= 3; b = b[3:] {
			r := kv.Replica{ID: kv.ReplicaID(b[0] % 9), Node: kv.NodeID(b[1] % 9)}
			g.Self = r.ID
			g.Progress[r.ID] = Progress{Match: uint64(b[1]), Active: b[1]%2 == 0, Snapshot: b[1]%3 == 0}
			for bit, list := range []*[]kv.ReplicaID{&g.Voters, &g.Learners, &g.Outgoing, &g.LearnersNext} {
				if b[2]>>bit&1 == 1 {
					*list = append(*list, r.ID)
				}
			}
			for bit, list := range []*[]kv.Replica{&g.Replicas, &d.Voters, &d.Learners} {
				if b[2]>>(bit+4)&1 == 1 {
					*list = append(*list, r)
				}
			}
		}
		a, again := Next(d, g), Next(d, g)
		if fmt.Sprint(a) != fmt.Sprint(again) {
			t.Fatalf("%+v and %+v", a, again)
		}
	})
}
