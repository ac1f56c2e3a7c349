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
	Leaders   int         `json:"leaders"` // partitions led, as far as the answering node knows and can ask
}

// ClusterView answers GET /cluster.
type ClusterView struct {
	ID         ClusterID `json:"id"`
	Name       string    `json:"name"`
	Node       string    `json:"node"` // who answers
	Epoch      Epoch     `json:"epoch"`
	Version    int       `json:"version"` // cluster version: which commands may be proposed
	Partitions int       `json:"partitions"`
	Replicas   int       `json:"replicas"` // wanted replicas per partition
	// Ready is what GET /readyz says of the answering node, and NotReady why not.
	Ready    bool   `json:"ready"`
	NotReady string `json:"not_ready,omitempty"`
	// Leaderless are the partitions for which the answering node knows no leader that it can ask.
	Leaderless []PartitionID `json:"leaderless,omitempty"`
	Members    []MemberView  `json:"members"`
	// Waiting are newcomers that want the place of a member and do not get it, as far as the answering
	// node knows: the one that leads the meta group does.
	Waiting []WaitingView `json:"waiting,omitempty"`
	// Warnings are what an operator should know of the answering node although it serves, each a sentence.
	Warnings []string `json:"warnings,omitempty"`
}

// WaitingView is a newcomer that waits.
type WaitingView struct {
	Name string `json:"name"` // of the newcomer and of the member
	Why  string `json:"why"`
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
	Leader    string        `json:"leader"`   // name, empty when none is known that can be asked
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
