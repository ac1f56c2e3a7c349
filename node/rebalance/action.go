package rebalance

import (
	"fmt"

	"pxkv/node/kv"
)

// Desired is what the placement wants for one group. Ids and nodes are all different.
type Desired struct {
	Voters   []kv.Replica // in ring order, the first is the preferred leader; empty: do nothing
	Learners []kv.Replica // that shall stay learners; only the meta group has such
}

// Progress is how far the leader knows a replica to be.
type Progress struct {
	Match    uint64 // last index that is durable there
	Snapshot bool   // a snapshot is being sent or is pending, so it cannot take entries
	// Active says that it was heard from recently. It must not flicker, since a twin that is
	// not active is removed (see resolve): let it become false only after some election
	// timeouts of silence in which this replica has led; a leader that was just elected has not
	// heard of anybody yet. (Raft's own RecentActive starts anew with each quorum check.)
	Active bool
	// Silent says that it was not heard from for some heartbeats: nobody is promoted or led to
	// who may be gone.
	Silent bool
	// Late says that this learner was waited for long enough. The others go on without it; it
	// stays where it is, for its id would be burnt if it went, and counts as soon as it keeps up.
	Late bool
	// Fed says that it is filled from this leader, and would have to be filled anew by the next one.
	Fed bool
	// Unsteady says that its node falls silent again and again, or is on its way out: it is not led to.
	Unsteady bool
}

// Group is one Raft group as its leader sees it. Voters, Learners, Outgoing and
// LearnersNext are Raft's applied ConfState.
type Group struct {
	Self         kv.ReplicaID
	Replicas     []kv.Replica   // who is behind each id of the configuration
	Voters       []kv.ReplicaID // incoming voters while the configuration is joint
	Learners     []kv.ReplicaID
	Outgoing     []kv.ReplicaID // outgoing voters; not empty means that the configuration is joint
	LearnersNext []kv.ReplicaID // outgoing voters that become learners when the joint configuration is left
	Progress     map[kv.ReplicaID]Progress
	// Goal is where the leader's log ended some ticks ago: who has all up to there keeps up. So it
	// is a lag in time and not in entries, which a group under load could never fall below.
	Goal uint64
	// Unsteady says that the leader's own node stalls again and again: whoever keeps up and is
	// steady leads better.
	Unsteady bool
	// Leaving says that the leader's own node is on its way out of the cluster: it leads nothing that another one can.
	Leaving bool
	// Pending says that a configuration change is in the log and not applied, or that a
	// leader transfer is under way.
	Pending bool
	// Names are for what is said to people; nil: nodes are called by their ids.
	Names kv.Names
}

// Kind is what kind of step an Action is.
type Kind uint8

const (
	None          Kind = iota // nothing to do now
	AddLearner                // add Add[0] as learner, a simple change
	RemoveLearner             // remove the learner Remove[0], a simple change
	EnterJoint                // one joint change with explicit leaving: Promote, Demote, Remove
	LeaveJoint                // leave the joint configuration
	Transfer                  // hand leadership to To
)

var kindNames = [...]string{"none", "add learner", "remove learner", "enter joint", "leave joint", "transfer"}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// Action is the next step of a group.
type Action struct {
	Kind    Kind
	Add     []kv.Replica   // AddLearner: exactly one
	Promote []kv.ReplicaID // EnterJoint: learners that become voters
	Demote  []kv.ReplicaID // EnterJoint: voters that become learners
	Remove  []kv.ReplicaID // EnterJoint: voters that go; RemoveLearner: exactly one learner
	To      kv.ReplicaID   // Transfer
	Drift   bool           // Transfer toward the preferred leader, not part of a move: not urgent
	Yield   bool           // Transfer away from an unsteady leader, whatever its place in the ring
	// Settled says that the configuration is as desired: nothing moves any more, though
	// leadership may still drift.
	Settled bool
	Why     string // for people: the reason of the step, or what is waited for; may be empty
}
