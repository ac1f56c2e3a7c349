package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"pxkv/node/health"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/ring"
)

// leaders is who leads the partitions at one moment, as far as this node knows and can ask. Whatever
// is said about leaders comes from here, so that no two answers contradict each other.
type leaders struct {
	of         []kv.NodeID      // by partition; 0: none that can be asked
	leaderless []kv.PartitionID // where it is 0
	silent     []string         // who is known to lead some of them, and cannot be asked
}

func (n *Node) leaders(s *meta.State) leaders {
	l := leaders{of: make([]kv.NodeID, s.Partitions)}
	for i := range l.of {
		p := kv.PartitionID(i)
		id, known := n.client.Leader(p)
		if l.of[i] = id; id != 0 {
			continue
		}
		l.leaderless = append(l.leaderless, p)
		if known != 0 {
			if name := nameOf(s, known); !slices.Contains(l.silent, name) {
				l.silent = append(l.silent, name)
			}
		}
	}
	slices.Sort(l.silent)
	return l
}

// warnings are what an operator should know of this node.
func (n *Node) warnings() []string {
	out := slices.Clip(n.o.Warnings())
	if text := n.space.full.Load(); text != nil {
		out = append(out, *text)
	}
	if m := n.membership.Load(); m != nil && n.o.Machine.State() != nil {
		if why := m.refusal.Load(); why != nil && *why != "" {
			out = append(out, fmt.Sprintf(
				"the cluster does not take node %s as it has started, and shows it as it was before: %s", n.o.Name,
				*why))
		}
	}
	return out
}

// Cluster shows the members, by name, as this node knows them, without asking anybody: not what they hold.
func (n *Node) Cluster() kv.ClusterView { return n.clusterOf(n.o.Machine.State()) }

// clusterOf is Cluster by a state.
func (n *Node) clusterOf(s *meta.State) kv.ClusterView {
	v := kv.ClusterView{Node: n.o.Name, Members: []kv.MemberView{}, Warnings: n.warnings()}
	if s == nil {
		v.NotReady = n.notJoined().Text
		return v
	}
	now := n.leaders(s)
	if err := n.readiness(now); err != nil {
		v.NotReady = err.Text
	}
	v.Ready, v.Leaderless = v.NotReady == "", now.leaderless
	v.Waiting = n.replacing.view()
	v.ID, v.Name, v.Epoch, v.Version = s.Cluster, s.ClusterName, s.Epoch, s.ClusterVersion
	v.Partitions, v.Replicas = s.Partitions, s.Replicas
	wanted, leading := map[kv.NodeID]int{}, map[kv.NodeID]int{}
	for p, row := range s.Placement {
		for _, r := range row {
			wanted[r.Node]++
		}
		leading[now.of[p]]++
	}
	for _, m := range s.Members {
		view := kv.MemberView{
			ID: m.ID, Name: m.Name, State: m.State, Addresses: m.Addresses,
			Reachable: m.ID == n.o.ID || n.o.Sight.Alive(m.ID),
			Wanted:    wanted[m.ID], Leaders: leading[m.ID], Zone: m.Zone,
		}
		if d := m.Departure; d != nil {
			view.Departure = &kv.DepartureView{SinceMS: d.AtMS, Cause: d.Cause, Left: wanted[m.ID]}
		}
		v.Members = append(v.Members, view)
	}
	for i := len(s.Removed) - 1; i >= 0 && len(v.Removed) < removedShown; i-- {
		r := s.Removed[i]
		v.Removed = append(v.Removed, kv.RemovedView{ID: r.ID, Name: r.Name, AtMS: r.AtMS, Cause: r.Cause})
	}
	slices.SortFunc(v.Members, func(a, b kv.MemberView) int { return strings.Compare(a.Name, b.Name) })
	return v
}

// removedShown is how many former members are shown at most.
const removedShown = 20

// ClusterHealth is Cluster with what the leaders of all groups say when they are asked now.
func (n *Node) ClusterHealth(ctx context.Context) kv.ClusterView {
	s := n.o.Machine.State()
	if s == nil {
		return n.clusterOf(nil)
	}
	end := time.Now().Add(handTime)
	reports := n.reports(ctx, s)
	verdict := health.Judge(s, reports)
	v := n.clusterOf(s)
	// Of a group that is just handed over this node may not have heard yet who leads it.
	for !v.Ready && time.Now().Before(end) && !n.client.Stopping() && passes(ctx, catchStep) {
		v = n.clusterOf(s)
	}
	v.Health = &kv.HealthView{Served: verdict.Served, Complete: verdict.Complete, MayFail: verdict.MayFail}
	if !v.Ready {
		v.Health.Served.Yes = false
		v.Health.Served.Why = append(v.Health.Served.Why, v.NotReady)
	}
	for i := range v.Members {
		m := &v.Members[i]
		m.Replicas, m.Filling = verdict.Holds[m.ID], verdict.Filling[m.ID]
		if d, known := reports[kv.Meta].Departures[m.ID]; known && m.Departure != nil {
			*m.Departure = d
		}
	}
	return v
}

// Partitions shows every partition's placement and leader as this node knows them, without asking anybody: not what
// is there.
func (n *Node) Partitions() []kv.PartitionView { return n.partitionsOf(n.o.Machine.State()) }

// partitionsOf is Partitions by a state.
func (n *Node) partitionsOf(s *meta.State) []kv.PartitionView {
	out := []kv.PartitionView{}
	if s == nil {
		return out
	}
	now := n.leaders(s)
	for i, row := range s.Placement {
		p := kv.PartitionID(i)
		if deadLeaderNamed {
			_, now.of[i] = n.client.Leader(p)
		}
		first, last := ring.SlotRange(p, s.Partitions)
		out = append(out, kv.PartitionView{
			Partition: p, Slots: [2]int{first, last}, Leader: nameOf(s, now.of[i]),
			Replicas: []kv.ReplicaView{}, Wanted: placedViews(s, row),
		})
	}
	return out
}

// PartitionsHealth is Partitions with what the leaders of all groups say when they are asked now.
func (n *Node) PartitionsHealth(ctx context.Context) []kv.PartitionView {
	s := n.o.Machine.State()
	out := n.partitionsOf(s)
	if s == nil {
		return out
	}
	reports := n.reports(ctx, s)
	verdict := health.Judge(s, reports)
	for i := range out {
		v := &out[i]
		v.Lacks = verdict.Lacks[v.Partition]
		v.Complete = v.Lacks == ""
		r, known := reports[v.Partition]
		if !known {
			continue
		}
		v.Joint, v.Waits, v.Replicas = r.Joint(), r.Waits, make([]kv.ReplicaView, 0, len(r.Replicas))
		for _, x := range r.Replicas {
			v.Replicas = append(v.Replicas, kv.ReplicaView{
				Node: nameOf(s, x.Node), ID: x.ID, Role: x.Role(v.Joint), Answers: x.Answers, Caught: x.Caught,
				Behind: x.Behind, Snapshot: x.Snapshot,
			})
		}
	}
	return out
}

// SafeToStop says whether every partition would be served without a member, by the word of the leaders now.
func (n *Node) SafeToStop(ctx context.Context, name string) (kv.SafeView, error) {
	s := n.o.Machine.State()
	if s == nil {
		return kv.SafeView{}, n.notJoined()
	}
	v, err := health.Safe(s, n.reports(ctx, s), name)
	if err != nil {
		return kv.SafeView{}, err
	}
	return v, nil
}

// Owner shows where a key lives.
func (n *Node) Owner(key []byte) kv.OwnerView {
	v := kv.OwnerView{Key: string(key), Slot: ring.SlotOf(key), Wanted: []kv.PlacedView{}}
	if s := n.o.Machine.State(); s != nil {
		v.Partition = ring.PartitionOf(v.Slot, s.Partitions)
		id, _ := n.client.Leader(v.Partition)
		v.Leader, v.Wanted = nameOf(s, id), placedViews(s, s.Placement[v.Partition])
	}
	return v
}

func placedViews(s *meta.State, row []kv.Replica) (out []kv.PlacedView) {
	for _, r := range row {
		out = append(out, kv.PlacedView{Node: nameOf(s, r.Node), ID: r.ID})
	}
	return out
}

// nameOf returns the name of a member, the id of a node that is none, and "" for 0.
func nameOf(s *meta.State, id kv.NodeID) string {
	if m, ok := s.Member(id); ok {
		return m.Name
	}
	if id == 0 {
		return ""
	}
	return id.String()
}

// Ready returns nil when the node has joined and knows for every partition a leader that it could
// ask the last time, directly or by way of a third node; else an error that says which not, and
// who cannot be asked. What gossip sees does not count: it goes round cuts that requests do not.
func (n *Node) Ready() error {
	s := n.o.Machine.State()
	if s == nil {
		return n.notJoined()
	}
	if err := n.readiness(n.leaders(s)); err != nil {
		return err
	}
	return nil
}

// notJoined says that the node is in no cluster yet, and for what it waits.
func (n *Node) notJoined() *kv.Error {
	err := errNotJoined()
	if m := n.membership.Load(); m != nil && m.waiting() != "" {
		err.Text += ": " + m.waiting()
	}
	return err
}

func (n *Node) readiness(l leaders) *kv.Error {
	if n.client.Stopping() {
		return n.client.ErrStopping()
	}
	if len(l.leaderless) == 0 {
		return nil
	}
	const most = 10 // that are named
	who := ""
	if len(l.silent) > 0 {
		silent := strings.Join(l.silent[:min(len(l.silent), most)], ", ")
		who = fmt.Sprintf("node %s cannot be asked, neither directly nor by way of another; ", silent)
	}
	return kv.Errorf(kv.Unavailable,
		"%sno reachable leader is known for partition %s", who, kv.PartitionList(l.leaderless, most))
}
