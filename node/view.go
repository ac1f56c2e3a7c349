package node

import (
	"fmt"
	"strings"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/ring"
)

// Cluster shows the members and what each of them holds.
func (n *Node) Cluster() kv.ClusterView {
	v := kv.ClusterView{Node: n.o.Name, Members: []kv.MemberView{}}
	s := n.o.Machine.State()
	if s == nil {
		return v
	}
	v.ID, v.Name, v.Epoch, v.Version = s.Cluster, s.ClusterName, s.Epoch, s.ClusterVersion
	v.Partitions, v.Replicas = s.Partitions, s.Replicas
	replicas, leaders := map[kv.NodeID]int{}, map[kv.NodeID]int{}
	for p, row := range s.Placement {
		for _, r := range row {
			replicas[r.Node]++
		}
		leaders[n.routes.leader(kv.PartitionID(p))]++
	}
	for _, m := range s.Members {
		v.Members = append(v.Members, kv.MemberView{
			ID: m.ID, Name: m.Name, State: m.State, Addresses: m.Addresses,
			Reachable: m.ID == n.o.ID || n.o.Sight.Alive(m.ID),
			Replicas:  replicas[m.ID], Leaders: leaders[m.ID],
		})
	}
	return v
}

// Partitions shows every partition's placement and leader.
func (n *Node) Partitions() []kv.PartitionView {
	s := n.o.Machine.State()
	out := []kv.PartitionView{}
	if s == nil {
		return out
	}
	for i := range s.Placement {
		p := kv.PartitionID(i)
		first, last := ring.SlotRange(p, s.Partitions)
		leader, replicas := n.holders(s, p)
		out = append(out, kv.PartitionView{Partition: p, Slots: [2]int{first, last}, Leader: leader, Replicas: replicas})
	}
	return out
}

// Owner shows where a key lives.
func (n *Node) Owner(key []byte) kv.OwnerView {
	v := kv.OwnerView{Key: string(key), Slot: ring.SlotOf(key), Replicas: []kv.ReplicaView{}}
	if s := n.o.Machine.State(); s != nil {
		v.Partition = ring.PartitionOf(v.Slot, s.Partitions)
		v.Leader, v.Replicas = n.holders(s, v.Partition)
	}
	return v
}

func (n *Node) holders(s *meta.State, p kv.PartitionID) (leader string, replicas []kv.ReplicaView) {
	for _, r := range s.Placement[p] {
		replicas = append(replicas, kv.ReplicaView{Node: nameOf(s, r.Node), ID: r.ID})
	}
	if id := n.routes.leader(p); id != 0 {
		leader = nameOf(s, id)
	}
	return leader, replicas
}

func nameOf(s *meta.State, id kv.NodeID) string {
	if m, ok := s.Member(id); ok {
		return m.Name
	}
	return id.String()
}

// Ready returns nil when the node has joined and knows for every partition a leader that it
// can reach; else an error that says which not.
func (n *Node) Ready() error {
	s := n.o.Machine.State()
	if s == nil {
		return errNotJoined()
	}
	if n.stop.Load() {
		return n.errStopping()
	}
	var missing []string
	count := 0
	for p := range s.Partitions {
		id := n.routes.leader(kv.PartitionID(p))
		if id != 0 && (id == n.o.ID || n.o.Sight.Alive(id)) {
			continue
		}
		if count++; count <= 10 {
			missing = append(missing, fmt.Sprint(p))
		}
	}
	if count == 0 {
		return nil
	}
	more := ""
	if count > len(missing) {
		more = fmt.Sprintf(" and %d more", count-len(missing))
	}
	return kv.Errorf(kv.Unavailable, "no reachable leader is known for partition %s%s", strings.Join(missing, ", "), more)
}
