package kv

// MemberState is where a member stands in its life.
type MemberState string

const (
	Joining MemberState = "joining" // committed, holds no replica yet
	Active  MemberState = "active"  // takes part in the placement
	Leaving MemberState = "leaving" // excluded from the placement, replicas move away
	Down    MemberState = "down"    // excluded from the placement because it was gone too long
)

// Addresses are where a node listens, as host:port that its peers can dial. HTTP and RESP
// may be empty when that door is closed.
type Addresses struct {
	HTTP   string `json:"http"`
	RESP   string `json:"resp,omitempty"`
	Peer   string `json:"peer"`
	Gossip string `json:"gossip"`
}

// MemberView is one member as GET /cluster shows it.
type MemberView struct {
	ID        NodeID      `json:"id"`
	Name      string      `json:"name"`
	State     MemberState `json:"state"`
	Reachable bool        `json:"reachable"` // by gossip, seen from the answering node
	Addresses Addresses   `json:"addresses"`
	Replicas  int         `json:"replicas"`
	Leaders   int         `json:"leaders"` // as far as the answering node knows
}

// ClusterView answers GET /cluster.
type ClusterView struct {
	ID         ClusterID    `json:"id"`
	Name       string       `json:"name"`
	Node       string       `json:"node"` // who answers
	Epoch      Epoch        `json:"epoch"`
	Version    int          `json:"version"` // cluster version: which commands may be proposed
	Partitions int          `json:"partitions"`
	Replicas   int          `json:"replicas"` // wanted replicas per partition
	Members    []MemberView `json:"members"`
}

// ReplicaView is one replica of a partition.
type ReplicaView struct {
	Node string    `json:"node"`
	ID   ReplicaID `json:"id"`
}

// PartitionView is one partition as GET /cluster/partitions shows it.
type PartitionView struct {
	Partition PartitionID   `json:"partition"`
	Slots     [2]int        `json:"slots"`    // first and last slot, both inclusive
	Leader    string        `json:"leader"`   // name, empty when unknown
	Replicas  []ReplicaView `json:"replicas"` // the placement, in ring order
}

// OwnerView answers GET /cluster/owner.
type OwnerView struct {
	Key       string        `json:"key"`
	Slot      int           `json:"slot"`
	Partition PartitionID   `json:"partition"`
	Leader    string        `json:"leader"`
	Replicas  []ReplicaView `json:"replicas"`
}
