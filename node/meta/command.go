package meta

import "pxkv/node/kv"

// command is one kind of change. apply returns the state after it, s itself when nothing
// changed, and the answer; it never writes into s.
type command interface {
	apply(s *State) (*State, Result)
}

// The names of the commands in their encoding. They are in the logs of clusters: never
// change or reuse one.
const (
	typeJoin     = "join"
	typeStart    = "start"
	typeSetState = "set_state"
	typeRemove   = "remove"
	typePlace    = "place"
	typeDescribe = "describe"
	typeUpgrade  = "upgrade"
	typeReplicas = "set_replicas"
)

// Join makes a node a member. The member is active at once, when the command is applied:
// nothing would be gained by a time in which it is known and may not be placed upon, since
// a replica on it counts only after it has caught up. (kv.Joining is for a later version that
// wants such a time.)
//
// The same join again, after its answer was lost, gives the same answer. A node that is a
// member already and has started again since is taken as by Start.
//
// Refused: Removed, NameInUse, Full, Invalid, and what Start refuses.
type Join struct {
	// Member is the node as it describes itself; State, Joined and MetaReplica are ignored and
	// assigned by Apply.
	Member Member `json:"member"`
	// ReplaceDead names the member that has the same name and was seen not to be alive by
	// whoever proposed this: it is removed, and the new node takes its place in the
	// placement under fresh replica ids. 0 replaces nobody. It is an id and not a flag, so
	// that of two nodes that both want to replace the same dead one, the second cannot remove
	// the first.
	ReplaceDead kv.NodeID `json:"replace_dead"`
	// AtMS is when the proposer saw that: milliseconds since 1970, to be shown. It is 0 when nobody is replaced, and
	// in clusters of version 1.
	AtMS int64 `json:"at_ms,omitempty"`
}

// Start records that a member's process has started again, perhaps with another name and
// other addresses. The state of the member does not change by it. The same start again is
// answered as before and changes nothing.
//
// A second process on a copy of the directory is refused when both count the same start; one
// that is restarted until its count is ahead looks like any restart. So whoever
// proposes a Start first makes sure that the recorded incarnation is not alive any more.
//
// Refused: UnknownMember, Removed, Behind, Copied, NameInUse, Invalid.
type Start struct {
	ID          kv.NodeID    `json:"id"`
	Starts      uint64       `json:"starts"`
	Incarnation uint64       `json:"incarnation"`
	Addresses   kv.Addresses `json:"addresses"`
	Name        string       `json:"name"`
}

// SetState moves a member from one state to another. It does not touch the placement: the
// proposer computes a new one when PlacementOutdated. A member that is in state To already
// is an answer without a refusal. No member goes back to kv.Joining. A member that becomes active again has
// its Departure taken back, and what that changed of Replicas.
//
// Refused: UnknownMember, Stale when the member is not in state From, or is not given up by itself while another one
// is down, TooFew, LastActive, Invalid, OldVersion.
type SetState struct {
	ID   kv.NodeID      `json:"id"`
	From kv.MemberState `json:"from"`
	To   kv.MemberState `json:"to"`
	// AtMS and Cause are of the Departure when To is not active.
	AtMS  int64    `json:"at_ms,omitempty"`
	Cause kv.Cause `json:"cause,omitempty"`
	// Replicas is how many are wanted from now on, 0: as many as before. Only of a departure.
	Replicas int `json:"replicas,omitempty"`
}

// Remove makes a member that is not active a former one for ever. The placement must no longer name it. To
// remove one that is removed already is an answer without a refusal.
//
// Refused: UnknownMember, StillPlaced, OldVersion; Stale when the member is active, or when Expect is not the present
// epoch: what the proposer knows of the groups may be older than that.
type Remove struct {
	ID     kv.NodeID `json:"id"`
	Expect kv.Epoch  `json:"expect"`
	AtMS   int64     `json:"at_ms"`
}

// Describe records what a member said of itself at its start number Starts.
//
// Refused: UnknownMember, Stale when it has started again since, Invalid, OldVersion.
type Describe struct {
	ID     kv.NodeID `json:"id"`
	Starts uint64    `json:"starts"`
	Zone   string    `json:"zone"`
}

// Upgrade makes To the version of the cluster, so that commands and states of that version may be written. Whoever
// proposes it has heard of every member that it understands them.
//
// Refused: Stale when the version is not From, Invalid.
type Upgrade struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// SetReplicas changes how many replicas of each partition are wanted, which may be more than there are members. The
// proposer computes a new placement when PlacementOutdated.
//
// Refused: Invalid, OldVersion; Stale when From are not wanted now, or while a member departs: its departure may have
// changed their number, and takes that back when it ends.
type SetReplicas struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Place replaces the placement and makes the next epoch. A node that has a replica of a
// partition in the present placement keeps it under its id; everything else is a fresh
// replica id.
//
// Refused: Stale when Expect is not the present epoch or Replicas not what is wanted, UnknownMember, Invalid,
// OldVersion.
type Place struct {
	Expect kv.Epoch      `json:"expect"` // the epoch that the rows were computed from
	Rows   [][]kv.NodeID `json:"rows"`   // per partition, in ring order, the first is the preferred leader
	For    []kv.NodeID   `json:"for"`    // the members that the rows were computed for, in any order
	// Zones are those of the members For, which are sorted then, in the same order; nil where no member has one.
	Zones []string `json:"zones,omitempty"`
	// Replicas is how many a partition the rows were computed for; 0 in clusters of version 1.
	Replicas int `json:"replicas,omitempty"`
}

// Encode returns the command as bytes to propose.
func (c Join) Encode() []byte {
	m := &c.Member
	m.State, m.Joined, m.MetaReplica, m.Zone, m.Departure, m.Returns = "", 0, 0, "", nil, 0
	return encodeCommand(commandVersion(c.AtMS != 0), typeJoin, c)
}

// Encode returns the command as bytes to propose.
func (c Start) Encode() []byte { return encodeCommand(1, typeStart, c) }

// Encode returns the command as bytes to propose.
func (c SetState) Encode() []byte { return encodeCommand(VersionDepartures, typeSetState, c) }

// Encode returns the command as bytes to propose.
func (c Remove) Encode() []byte { return encodeCommand(VersionDepartures, typeRemove, c) }

// Encode returns the command as bytes to propose.
func (c Describe) Encode() []byte { return encodeCommand(VersionDepartures, typeDescribe, c) }

// Encode returns the command as bytes to propose.
func (c Upgrade) Encode() []byte { return encodeCommand(c.To, typeUpgrade, c) }

// Encode returns the command as bytes to propose.
func (c SetReplicas) Encode() []byte { return encodeCommand(VersionDepartures, typeReplicas, c) }

// Encode returns the command as bytes to propose.
func (c Place) Encode() []byte {
	return encodeCommand(commandVersion(c.Zones != nil || c.Replicas != 0), typePlace, c)
}

// commandVersion is that of a command which says something that came with departures, or nothing of the kind.
func commandVersion(departures bool) int {
	if departures {
		return VersionDepartures
	}
	return 1
}

// Apply decides the command against s. next is the state after it, and s itself when
// nothing changed; s is never written to. result is for DecodeResult. An error, which
// wraps ErrNotUnderstood, means that this node must stop; next is then s.
func (s *State) Apply(cmd []byte) (next *State, result []byte, err error) {
	c, err := decodeCommand(cmd)
	if err != nil {
		return s, nil, err
	}
	next, r := c.apply(s)
	r.Epoch = next.Epoch
	return next, mustJSON(r), nil
}
