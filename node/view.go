package node

import (
	"fmt"
	"slices"
	"strings"

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

// Cluster shows the members, by name, and what each of them holds.
func (n *Node) Cluster() kv.ClusterView {
	v := kv.ClusterView{Node: n.o.Name, Members: []kv.MemberView{}, Warnings: n.warnings()}
	s := n.o.Machine.State()
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
	replicas, leading := map[kv.NodeID]int{}, map[kv.NodeID]int{}
	for p, row := range s.Placement {
		for _, r := range row {
			replicas[r.Node]++
		}
		leading[now.of[p]]++
	}
	for _, m := range s.Members {
		v.Members = append(v.Members, kv.MemberView{
			ID: m.ID, Name: m.Name, State: m.State, Addresses: m.Addresses,
			Reachable: m.ID == n.o.ID || n.o.Sight.Alive(m.ID),
			Replicas:  replicas[m.ID], Leaders: leading[m.ID],
		})
	}
	slices.SortFunc(v.Members, func(a, b kv.MemberView) int { return strings.Compare(a.Name, b.Name) })
	return v
}

// Partitions shows every partition's placement and leader.
func (n *Node) Partitions() []kv.PartitionView {
	s := n.o.Machine.State()
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
			Partition: p, Slots: [2]int{first, last}, Leader: nameOf(s, now.of[i]), Replicas: replicaViews(s, row),
		})
	}
	return out
}

// Owner shows where a key lives.
func (n *Node) Owner(key []byte) kv.OwnerView {
	v := kv.OwnerView{Key: string(key), Slot: ring.SlotOf(key), Replicas: []kv.ReplicaView{}}
	if s := n.o.Machine.State(); s != nil {
		v.Partition = ring.PartitionOf(v.Slot, s.Partitions)
		id, _ := n.client.Leader(v.Partition)
		v.Leader, v.Replicas = nameOf(s, id), replicaViews(s, s.Placement[v.Partition])
	}
	return v
}

func replicaViews(s *meta.State, row []kv.Replica) (out []kv.ReplicaView) {
	for _, r := range row {
		out = append(out, kv.ReplicaView{Node: nameOf(s, r.Node), ID: r.ID})
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
