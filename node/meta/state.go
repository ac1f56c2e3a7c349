package meta

import (
	"cmp"
	"slices"

	"pxkv/node/kv"
)

// Limits of the state. They bound what joining nodes can make every node hold.
const (
	MaxMembers      = 1024   // members at one time
	MaxRemoved      = 16_384 // removed members that are remembered; beyond it the oldest are forgotten
	MaxPartitions   = 16_384 // one partition cannot be smaller than one slot
	MaxNameBytes    = 255    // longest member or cluster name
	MaxAddressBytes = 512    // longest address
	MaxZoneBytes    = 64     // longest name of a zone
)

// Member is a node that the cluster has committed.
type Member struct {
	ID        kv.NodeID      `json:"id"`
	Name      string         `json:"name"` // unique among members, may change at a start
	State     kv.MemberState `json:"state"`
	Addresses kv.Addresses   `json:"addresses"` // data, may change at a start
	// Starts counts the starts of the node's process, as recorded in its data directory. A
	// start with a count that is not above this one runs on an old or a copied directory.
	Starts uint64 `json:"starts"`
	// Incarnation is the random number that the process drew at its start number Starts.
	Incarnation uint64 `json:"incarnation"`
	// Joined orders members by age: 1 for the first, then upward, never reused.
	Joined uint64 `json:"joined"`
	// MetaReplica is the member's replica id in the meta group, for as long as it is a member.
	MetaReplica kv.ReplicaID `json:"meta_replica"`
	// Zone is what can fail together with it: replicas of a partition are placed in different zones. Empty: unknown.
	Zone string `json:"zone,omitempty"`
	// Departure is set while it is leaving or down.
	Departure *Departure `json:"departure,omitempty"`
	// Returns is how often it came back after it was called down.
	Returns int `json:"returns,omitempty"`
}

// RemovedMember is a former member. Its node id is not admitted again.
type RemovedMember struct {
	ID   kv.NodeID `json:"id"`
	Name string    `json:"name"` // at the time of its removal
	// AtMS is when it was removed, in milliseconds since 1970, and Cause why; 0 and empty where that was not noted.
	AtMS  int64    `json:"at_ms,omitempty"`
	Cause kv.Cause `json:"cause,omitempty"`
}

// State is the meta group's replicated state. Apply never changes a State: it returns
// another one that shares what is equal, so a *State may be read by any number of
// goroutines for as long as they like. Nobody writes to its fields or slices.
type State struct {
	Version        int          `json:"version"` // of this encoding, by ClusterVersion
	Cluster        kv.ClusterID `json:"cluster"`
	ClusterName    string       `json:"cluster_name"`
	ClusterVersion int          `json:"cluster_version"` // which commands may be proposed; 1 or more
	Partitions     int          `json:"partitions"`      // 1 to MaxPartitions, never changes
	Replicas       int          `json:"replicas"`        // wanted replicas per partition, 1 or more

	Epoch kv.Epoch `json:"epoch"` // grows by one with every change of Placement
	// NextReplica is above every replica id ever handed out, of all partitions and the meta group.
	NextReplica kv.ReplicaID `json:"next_replica"`
	// NextJoin is above every Member.Joined ever handed out.
	NextJoin uint64 `json:"next_join"`

	// Members are sorted by ID. At least one is active.
	Members []Member `json:"members"`
	// Removed holds the former members, oldest removal first.
	Removed []RemovedMember `json:"removed,omitempty"`
	// Placement has a row for each partition: its replicas in ring order, at least one, on
	// different members. The first is the preferred leader.
	Placement [][]kv.Replica `json:"placement"`
	// PlacedFor are the members that the placement was computed for, sorted. They may no
	// longer be members: see PlacementOutdated.
	PlacedFor []kv.NodeID `json:"placed_for"`
	// PlacedZones are the zones that these had then, nil where none had one.
	PlacedZones []string `json:"placed_zones,omitempty"`
	// PlacedReplicas is how many a partition the placement was computed for, 0 where that was not noted.
	PlacedReplicas int `json:"placed_replicas,omitempty"`
}

// Bootstrap returns the state of a new cluster in which first is the only member: epoch 1,
// the meta group and one replica of each partition on first. The meta replica has id 1, the
// replica of partition p id p + 2. State, Joined and MetaReplica of first are assigned
// here. Whether the arguments are within their limits is for Validate to say.
func Bootstrap(cluster kv.ClusterID, name string, partitions, replicas int, first Member) State {
	first.State = kv.Active
	first.Joined = 1
	first.MetaReplica = 1
	first.Zone, first.Departure, first.Returns = "", nil, 0
	s := State{
		Version:        stateVersion(NewestVersion),
		Cluster:        cluster,
		ClusterName:    name,
		ClusterVersion: NewestVersion,
		Partitions:     partitions,
		Replicas:       replicas,
		Epoch:          1,
		NextReplica:    2,
		NextJoin:       2,
		Members:        []Member{first},
		PlacedFor:      []kv.NodeID{first.ID},
	}
	for range partitions {
		s.Placement = append(s.Placement, []kv.Replica{{ID: s.nextReplica(), Node: first.ID}})
	}
	return s
}

// Issued reports whether the replica id was handed out up to this state.
func (s *State) Issued(id kv.ReplicaID) bool { return id < s.NextReplica }

// nextReplica hands out a replica id. Only for a State that is not shared yet.
func (s *State) nextReplica() kv.ReplicaID {
	id := s.NextReplica
	s.NextReplica++
	return id
}

// fork returns a State to build the next one in. Its slices are still those of s: replace
// them, never write into them.
func (s *State) fork() *State {
	next := *s
	return &next
}

// find returns where in Members id is, or belongs.
func (s *State) find(id kv.NodeID) (int, bool) {
	return slices.BinarySearchFunc(s.Members, id, func(m Member, id kv.NodeID) int { return cmp.Compare(m.ID, id) })
}

// Member returns the member with this id.
func (s *State) Member(id kv.NodeID) (Member, bool) {
	i, ok := s.find(id)
	if !ok {
		return Member{}, false
	}
	return s.Members[i], true
}

// MemberByName returns the member with this name.
func (s *State) MemberByName(name string) (Member, bool) {
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.Name == name })
	if i < 0 {
		return Member{}, false
	}
	return s.Members[i], true
}

// WasRemoved reports whether id was a member and is not admitted again. The MaxRemoved
// latest removals are remembered: more than a cluster of nodes that forget themselves at each
// restart makes in months, and an older id that came back would still get fresh replica ids.
func (s *State) WasRemoved(id kv.NodeID) bool {
	_, removed := s.RemovedMember(id)
	return removed
}

// RemovedMember returns the former member with this id: see WasRemoved.
func (s *State) RemovedMember(id kv.NodeID) (RemovedMember, bool) {
	i := slices.IndexFunc(s.Removed, func(r RemovedMember) bool { return r.ID == id })
	if i < 0 {
		return RemovedMember{}, false
	}
	return s.Removed[i], true
}

// ReplicaOn returns the replica of partition p that is placed on node. For kv.Meta it is the
// member's replica in the meta group.
func (s *State) ReplicaOn(p kv.PartitionID, node kv.NodeID) (kv.Replica, bool) {
	if p == kv.Meta {
		m, ok := s.Member(node)
		return kv.Replica{ID: m.MetaReplica, Node: m.ID}, ok
	}
	if int64(p) >= int64(len(s.Placement)) {
		return kv.Replica{}, false
	}
	return inRow(s.Placement[p], node)
}

func inRow(row []kv.Replica, node kv.NodeID) (kv.Replica, bool) {
	i := slices.IndexFunc(row, func(r kv.Replica) bool { return r.Node == node })
	if i < 0 {
		return kv.Replica{}, false
	}
	return row[i], true
}

// placed reports whether any partition is placed on node.
func (s *State) placed(node kv.NodeID) bool {
	return slices.ContainsFunc(s.Placement, func(row []kv.Replica) bool {
		_, ok := inRow(row, node)
		return ok
	})
}

// ActiveIDs returns the members that partitions are to be placed on, sorted.
func (s *State) ActiveIDs() []kv.NodeID {
	var ids []kv.NodeID
	for _, m := range s.Members {
		if m.State == kv.Active {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// PlacementOutdated reports whether the placement was computed for other members than those
// that are active now, for other zones, or for another number of replicas, so that a new one should be proposed.
func (s *State) PlacementOutdated() bool {
	active := s.ActiveIDs()
	resized := s.PlacedReplicas != 0 && s.PlacedReplicas != s.Replicas && !replicasNotPlaced
	return !slices.Equal(s.PlacedFor, active) || s.ClusterVersion >= VersionDepartures &&
		(!slices.Equal(s.PlacedZones, s.zones(active)) || resized)
}

// NewPlace returns the command that makes rows, computed from this state for its active members, the placement.
func (s *State) NewPlace(rows [][]kv.NodeID) Place {
	c := Place{Expect: s.Epoch, Rows: rows, For: s.ActiveIDs()}
	if s.ClusterVersion >= VersionDepartures {
		c.Zones, c.Replicas = s.zones(c.For), s.Replicas
	}
	return c
}
