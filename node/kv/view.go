package kv

import (
	"fmt"
	"strings"
)

// MemberState is where a member stands in its life.
type MemberState string

const (
	Joining MemberState = "joining" // committed, holds no replica yet
	Active  MemberState = "active"  // takes part in the placement
	Leaving MemberState = "leaving" // excluded from the placement, replicas move away
	Down    MemberState = "down"    // excluded from the placement because it was gone too long
)

// Cause is why a member departs, or was removed.
type Cause string

const (
	CauseLeft     Cause = "left"     // it was asked to leave
	CauseRemoved  Cause = "removed"  // an operator has given it up
	CauseLost     Cause = "lost"     // nobody had heard it for longer than the cluster waits
	CauseReplaced Cause = "replaced" // a new node of its name has its place
)

// Known reports whether this release knows the cause.
func (c Cause) Known() bool {
	return c == CauseLeft || c == CauseRemoved || c == CauseLost || c == CauseReplaced
}

// Text says it of a member that was removed.
func (c Cause) Text() string {
	switch c {
	case CauseLeft:
		return "it left when it was asked to"
	case CauseRemoved:
		return "it was removed by an operator"
	case CauseLost:
		return "it was silent for too long"
	case CauseReplaced:
		return "a new node of its name has its place"
	}
	return "it was removed"
}

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
	// Replicas are those of partitions that it holds, which count and have caught up; Filling those that do not
	// yet, or do not answer; Wanted how many it should hold.
	Replicas int `json:"replicas"`
	Filling  int `json:"filling,omitempty"`
	Wanted   int `json:"wanted"`
	Leaders  int `json:"leaders"` // partitions led, as far as the answering node knows and can ask
	// Zone is what it said that can fail together with it.
	Zone string `json:"zone,omitempty"`
	// Departure is how far it is on its way out of the cluster, while it is leaving or down.
	Departure *DepartureView `json:"departure,omitempty"`
}

// DepartureView is how far a member is on its way out of the cluster. All but SinceMS and Cause is the word of the node
// that leads the cluster's own group, and missing while that one says nothing.
type DepartureView struct {
	SinceMS int64 `json:"since_ms"` // since 1970
	Cause   Cause `json:"cause"`
	// Left is how many partitions have a replica on it, and LeftBytes about how many bytes those have; Moved is how
	// many had one when it was first looked at, and have none now.
	Left      int   `json:"partitions_left"`
	LeftBytes int64 `json:"bytes_left"`
	Moved     int   `json:"partitions_moved"`
	// BytesPerSecond is how fast the bytes went of late, and SecondsLeft how long the rest takes at that pace; 0:
	// not known.
	BytesPerSecond int64 `json:"bytes_per_second,omitempty"`
	SecondsLeft    int64 `json:"seconds_left,omitempty"`
	// StalledSeconds is for how long nothing has become less, from a minute on; 0: it goes on.
	StalledSeconds int64 `json:"stalled_seconds,omitempty"`
	// Waits says what is waited for.
	Waits []WaitView `json:"waits,omitempty"`
}

// WaitView is what some partitions wait for, or the cluster when there are none.
type WaitView struct {
	Partitions []PartitionID `json:"partitions,omitempty"`
	Why        string        `json:"why"`
}

// RemovedView is a former member.
type RemovedView struct {
	ID   NodeID `json:"id"`
	Name string `json:"name"`
	// AtMS is when it was removed, in milliseconds since 1970, and Cause why; missing where that is not known.
	AtMS  int64 `json:"at_ms,omitempty"`
	Cause Cause `json:"cause,omitempty"`
}

// OrderView answers POST and DELETE /cluster/leave, DELETE /cluster/members/NAME, and PUT /cluster/replicas.
type OrderView struct {
	Node     string      `json:"node,omitempty"`
	State    MemberState `json:"state,omitempty"` // of the member, after it
	Epoch    Epoch       `json:"epoch"`
	Replicas int         `json:"replicas,omitempty"` // wanted of each partition after it, where that was asked for
	// Refused says why it is not done, one reason each; none: it is.
	Refused []string `json:"refused,omitempty"`
}

// MoveView is what a plan does to one partition.
type MoveView struct {
	Partition PartitionID `json:"partition"`
	From      []string    `json:"from,omitempty"`   // nodes that lose a replica
	To        []string    `json:"to,omitempty"`     // nodes that get one
	Leader    string      `json:"leader,omitempty"` // the preferred leader afterwards, if it is another one
	Bytes     int64       `json:"bytes"`            // about, of each replica that moves
}

// PlanView answers GET /cluster/plan: what would happen. Nothing is changed by it.
type PlanView struct {
	Change string `json:"change"` // add, remove or replace
	Node   string `json:"node"`
	Epoch  Epoch  `json:"epoch"` // of the placement that it was made from: see pxkv leave --plan
	// Refused says why it cannot be done now, one reason each; none: it can.
	Refused []string   `json:"refused,omitempty"`
	Moves   []MoveView `json:"moves"`
	Bytes   int64      `json:"bytes"` // about, that all nodes receive together
	// Seconds is about how long it takes.
	Seconds int64 `json:"seconds"`
	// AtRisk are the partitions that could not bear the failure of one more node meanwhile.
	AtRisk []PartitionID `json:"at_risk,omitempty"`
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
	// Removed are the latest former members, the last one first.
	Removed []RemovedView `json:"removed,omitempty"`
	// Health is how the cluster is, as the leaders of its groups said when they were asked for this answer; nil
	// where the answering node is in no cluster.
	Health *HealthView `json:"health,omitempty"`
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

// YesNo is yes, or no with the reasons.
type YesNo struct {
	Yes bool     `json:"yes"`
	Why []string `json:"why,omitempty"` // why not
}

// HealthView answers three questions about a cluster. What is not known counts as no.
type HealthView struct {
	// Served: is every partition led, and does a majority of its voters follow?
	Served YesNo `json:"served"`
	// Complete: has every partition the replicas that are wanted, all caught up, and nothing moves?
	Complete YesNo `json:"complete"`
	// MayFail: may any one member fail now, and everything goes on at once?
	MayFail YesNo `json:"may_fail"`
}

// SafeView answers GET /cluster/safe-to-stop.
type SafeView struct {
	Node string `json:"node"`
	Safe bool   `json:"safe"`
	// Partitions would not be served without the node, and Meta says the same of the cluster's own group.
	Partitions []PartitionID `json:"partitions"`
	Meta       bool          `json:"meta,omitempty"`
}

// Why says what would not be served; empty: everything would be.
func (v *SafeView) Why() string {
	var parts []string
	if n := len(v.Partitions); n > 0 {
		parts = append(parts, fmt.Sprintf("%d partitions (%s)", n, PartitionList(v.Partitions, 5)))
	}
	if v.Meta {
		parts = append(parts, "the cluster's own group")
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("Node %s is needed: without it %s would not be served", v.Node, strings.Join(parts, " and "))
}

// Role is what a replica counts for.
type Role string

const (
	RoleVoter   Role = "voter"
	RoleLearner Role = "learner" // receives everything and counts for nothing
	RoleJoining Role = "joining" // a voter of the configuration that is being entered, of a joint one
	RoleLeaving Role = "leaving" // a voter of the configuration that is being left, of a joint one
)

// PlacedView is a replica that is wanted.
type PlacedView struct {
	Node string    `json:"node"`
	ID   ReplicaID `json:"id"`
}

// ReplicaView is one replica of a partition, as the leader of its group sees it.
type ReplicaView struct {
	Node string    `json:"node"`
	ID   ReplicaID `json:"id"`
	Role Role      `json:"role"`
	// Answers: the leader hears it. Caught: it has all that the leader had when it was asked.
	Answers bool `json:"answers"`
	Caught  bool `json:"caught_up"`
	// Behind is how many log entries it lacks; Snapshot: it is being sent the whole state first.
	Behind   uint64 `json:"behind"`
	Snapshot bool   `json:"snapshot,omitempty"`
}

// PartitionView is one partition as GET /cluster/partitions shows it.
type PartitionView struct {
	Partition PartitionID `json:"partition"`
	Slots     [2]int      `json:"slots"`  // first and last slot, both inclusive
	Leader    string      `json:"leader"` // name, empty when none is known that can be asked
	// Replicas are those that there are, as the leader told; none when no leader did.
	Replicas []ReplicaView `json:"replicas"`
	Joint    bool          `json:"joint"` // its voters are being exchanged
	// Complete: it is as it is wanted. Lacks says what is missing, and Waits what the next step of its move waits
	// for.
	Complete bool         `json:"complete"`
	Lacks    string       `json:"lacks,omitempty"`
	Waits    string       `json:"waits_for,omitempty"`
	Wanted   []PlacedView `json:"wanted"` // the placement, in ring order
}

// OwnerView answers GET /cluster/owner.
type OwnerView struct {
	Key       string       `json:"key"`
	Slot      int          `json:"slot"`
	Partition PartitionID  `json:"partition"`
	Leader    string       `json:"leader"`
	Wanted    []PlacedView `json:"replicas"` // the placement, in ring order
}
