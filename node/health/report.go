package health

import (
	"pxkv/node/kv"
)

// Report is a group as its leader sees it.
type Report struct {
	Partition kv.PartitionID `json:"partition"`
	Term      uint64         `json:"term"`
	Last      uint64         `json:"last"`     // index at which its log ends
	Epoch     kv.Epoch       `json:"epoch"`    // of the placement that the leader knows
	Replicas  []Replica      `json:"replicas"` // of the applied configuration
	// Waits says what the next step of a move waits for, in words; empty: for nothing.
	Waits string `json:"waits,omitempty"`
	// Unplaced says that members, or the number of replicas, have changed, and that nobody has said yet what moves: by
	// the word of the meta group's leader, for whoever is asked may not have heard of it yet.
	Unplaced bool `json:"unplaced,omitempty"`
	// Departures is how far members are on their way out, by the word of the meta group's leader.
	Departures map[kv.NodeID]kv.DepartureView `json:"departures,omitempty"`
}

// Replica is one of a group.
type Replica struct {
	ID   kv.ReplicaID `json:"id"`
	Node kv.NodeID    `json:"node"`
	// Voter: it counts in the configuration, in the incoming one of a joint one. Leaving: it counts in the
	// outgoing one. With neither it is a learner, which counts for nothing.
	Voter   bool `json:"voter,omitempty"`
	Leaving bool `json:"leaving,omitempty"`
	// Answers says that the leader hears it, and that its state is not known to be wrong.
	Answers bool `json:"answers,omitempty"`
	// Caught says that it has on its disk all that the leader had when it was asked for this report.
	Caught bool `json:"caught,omitempty"`
	// Behind is how many log entries it has less than the leader, and Snapshot that it is being sent the whole
	// state first.
	Behind   uint64 `json:"behind,omitempty"`
	Snapshot bool   `json:"snapshot,omitempty"`
}

// Role is what the replica counts for in a configuration that is joint or not.
func (r *Replica) Role(joint bool) kv.Role {
	switch {
	case r.Leaving && !r.Voter:
		return kv.RoleLeaving
	case joint && r.Voter && !r.Leaving:
		return kv.RoleJoining
	case r.Voter:
		return kv.RoleVoter
	}
	return kv.RoleLearner
}

// sound reports whether the replica could take over at once.
func (r *Replica) sound() bool { return r.Answers && r.Caught }

// Joint reports whether the configuration is joint: what is agreed needs a majority of two sets of voters.
func (r *Report) Joint() bool {
	for i := range r.Replicas {
		if r.Replicas[i].Leaving {
			return true
		}
	}
	return false
}

// MayLoseOne reports whether the group goes on at once without any one of its replicas.
func (r *Report) MayLoseOne() bool {
	for i := range r.Replicas {
		if !r.survives(r.Replicas[i].Node) {
			return false
		}
	}
	return true
}

// survives reports whether the group goes on at once without a node; 0 is without none.
func (r *Report) survives(without kv.NodeID) bool {
	half := func(counts func(*Replica) bool) bool {
		all, left := 0, 0
		for i := range r.Replicas {
			x := &r.Replicas[i]
			if !counts(x) {
				continue
			}
			all++
			if x.Node != without && x.sound() {
				left++
			}
		}
		return left > all/2
	}
	return half(func(x *Replica) bool { return x.Voter || learnersVote }) &&
		(!r.Joint() || half(func(x *Replica) bool { return x.Leaving }))
}

// missing says what a group lacks of being as it is wanted; empty: nothing.
func (r *Report) missing(wanted []kv.Replica, name func(kv.NodeID) string) string {
	if r.Joint() {
		return "its voters are being exchanged"
	}
	voters := 0
	for i := range r.Replicas {
		if r.Replicas[i].Voter {
			voters++
		}
	}
	for _, w := range wanted {
		x := r.on(w.Node)
		switch {
		case x == nil:
			return "node " + name(w.Node) + " has no replica of it yet"
		case !x.Answers:
			return "the replica on node " + name(w.Node) + " does not answer"
		case !x.Voter && !learnersVote:
			return "the replica on node " + name(w.Node) + " is being filled"
		case !x.Caught:
			return "the replica on node " + name(w.Node) + " has not caught up"
		}
	}
	if voters > len(wanted) || r.Partition != kv.Meta && len(r.Replicas) > len(wanted) {
		return "it has more replicas than are wanted"
	}
	return ""
}

// on returns the replica on a node, one that counts if there are two; nil: none.
func (r *Report) on(node kv.NodeID) (found *Replica) {
	for i := range r.Replicas {
		if x := &r.Replicas[i]; x.Node == node && (found == nil || x.Voter) {
			found = x
		}
	}
	return found
}
