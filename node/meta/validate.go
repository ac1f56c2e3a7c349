package meta

import (
	"errors"
	"fmt"

	"pxkv/node/kv"
)

// Validate reports the first broken invariant of the state. Every state that Bootstrap
// makes from good arguments, and every state after it, is valid.
func (s *State) Validate() error {
	seen := make(map[kv.ReplicaID]bool, len(s.Members)+len(s.Placement))
	fresh := func(id kv.ReplicaID) error {
		if id == 0 || id >= s.NextReplica {
			return fmt.Errorf("replica id %d is not below the next one, %d", id, s.NextReplica)
		}
		if seen[id] {
			return fmt.Errorf("replica id %d is used twice", id)
		}
		seen[id] = true
		return nil
	}
	if err := s.validateSettings(); err != nil {
		return err
	}
	if err := s.validateMembers(fresh); err != nil {
		return err
	}
	if err := s.validateRemoved(); err != nil {
		return err
	}
	return s.validatePlacement(fresh)
}

func (s *State) validateSettings() error {
	switch {
	case s.ClusterVersion > NewestVersion:
		return fmt.Errorf("cluster version %d, want at most %d", s.ClusterVersion, NewestVersion)
	case s.Version != stateVersion(s.ClusterVersion):
		return fmt.Errorf("state version %d of a cluster of version %d", s.Version, s.ClusterVersion)
	case s.Cluster == 0:
		return errors.New("no cluster id")
	case s.ClusterVersion < 1:
		return fmt.Errorf("cluster version %d, want 1 or more", s.ClusterVersion)
	case s.Partitions < 1 || s.Partitions > MaxPartitions:
		return fmt.Errorf("%d partitions, want 1 to %d", s.Partitions, MaxPartitions)
	case s.Replicas < 1 || s.Replicas > MaxMembers:
		return fmt.Errorf("%d replicas, want 1 to %d", s.Replicas, MaxMembers)
	case s.Epoch < 1:
		return errors.New("no epoch")
	}
	return CheckClusterName(s.ClusterName)
}

func (s *State) validateMembers(fresh func(kv.ReplicaID) error) error {
	if len(s.Members) > MaxMembers {
		return fmt.Errorf("%d members, want at most %d", len(s.Members), MaxMembers)
	}
	names := make(map[string]bool, len(s.Members))
	joined := make(map[uint64]bool, len(s.Members))
	for i, m := range s.Members {
		if err := checkSelf(m.ID, m.Name, m.Addresses); err != nil {
			return err
		}
		switch m.State {
		case kv.Joining, kv.Active, kv.Leaving, kv.Down:
		default:
			return fmt.Errorf("member %s: unknown state %.40q", m.ID, m.State)
		}
		switch {
		case i > 0 && m.ID <= s.Members[i-1].ID:
			return fmt.Errorf("member %s is out of order", m.ID)
		case names[m.Name]:
			return fmt.Errorf("member %s: name %q is used twice", m.ID, m.Name)
		case m.Joined == 0 || m.Joined >= s.NextJoin || joined[m.Joined]:
			return fmt.Errorf("member %s: join number %d is used twice or not below the next one, %d", m.ID, m.Joined,
				s.NextJoin)
		}
		names[m.Name], joined[m.Joined] = true, true
		if err := s.validateDeparture(m); err != nil {
			return fmt.Errorf("member %s: %w", m.ID, err)
		}
		if err := fresh(m.MetaReplica); err != nil {
			return fmt.Errorf("member %s: meta replica: %w", m.ID, err)
		}
	}
	if len(s.ActiveIDs()) == 0 {
		return errors.New("no active member")
	}
	return nil
}

// validateDeparture checks what members have in clusters of version 2 only.
func (s *State) validateDeparture(m Member) error {
	departing := m.State == kv.Leaving || m.State == kv.Down
	switch d := m.Departure; {
	case s.ClusterVersion < VersionDepartures && (m.Zone != "" || d != nil || m.Returns != 0):
		return fmt.Errorf("it has what clusters of version %d do not have", s.ClusterVersion)
	case s.ClusterVersion >= VersionDepartures && departing != (d != nil):
		return fmt.Errorf("it is %s, which does not fit to its departure", m.State)
	case d != nil && (!d.Cause.Known() || d.Replicas < 0 || d.Replicas > MaxMembers):
		return fmt.Errorf("unknown cause %.40q of its departure, or %d replicas before it", d.Cause, d.Replicas)
	case m.Returns < 0:
		return fmt.Errorf("it came back %d times", m.Returns)
	}
	return CheckZone(m.Zone)
}

func (s *State) validateRemoved() error {
	if len(s.Removed) > MaxRemoved {
		return fmt.Errorf("%d removed members, want at most %d", len(s.Removed), MaxRemoved)
	}
	seen := make(map[kv.NodeID]bool, len(s.Removed))
	for _, r := range s.Removed {
		if _, member := s.Member(r.ID); member || seen[r.ID] {
			return fmt.Errorf("removed member %s is a member or was removed twice", r.ID)
		}
		if s.ClusterVersion < VersionDepartures && (r.AtMS != 0 || r.Cause != "") || r.Cause != "" && !r.Cause.Known() {
			return fmt.Errorf("removed member %s has a cause %.40q that is not known", r.ID, r.Cause)
		}
		seen[r.ID] = true
	}
	return nil
}

func (s *State) validatePlacement(fresh func(kv.ReplicaID) error) error {
	if len(s.Placement) != s.Partitions {
		return fmt.Errorf("placement of %d partitions, want %d", len(s.Placement), s.Partitions)
	}
	for p, row := range s.Placement {
		if len(row) == 0 {
			return fmt.Errorf("partition %d has no replica", p)
		}
		nodes := make(map[kv.NodeID]bool, len(row))
		for _, r := range row {
			if _, member := s.Member(r.Node); !member || nodes[r.Node] {
				return fmt.Errorf("partition %d is placed on node %s, which is not a member or is named twice", p,
					r.Node)
			}
			nodes[r.Node] = true
			if err := fresh(r.ID); err != nil {
				return fmt.Errorf("partition %d: %w", p, err)
			}
		}
	}
	if len(s.PlacedFor) == 0 || len(s.PlacedFor) > MaxMembers {
		return fmt.Errorf("placed for %d members, want 1 to %d", len(s.PlacedFor), MaxMembers)
	}
	for i := 1; i < len(s.PlacedFor); i++ {
		if s.PlacedFor[i] <= s.PlacedFor[i-1] {
			return fmt.Errorf("placed for member %s, which is out of order", s.PlacedFor[i])
		}
	}
	switch {
	case s.ClusterVersion < VersionDepartures && (s.PlacedZones != nil || s.PlacedReplicas != 0):
		return fmt.Errorf("placed for what clusters of version %d do not have", s.ClusterVersion)
	case s.PlacedZones != nil && len(s.PlacedZones) != len(s.PlacedFor):
		return fmt.Errorf("placed for %d zones of %d members", len(s.PlacedZones), len(s.PlacedFor))
	case s.PlacedReplicas < 0 || s.PlacedReplicas > MaxMembers:
		return fmt.Errorf("placed for %d replicas", s.PlacedReplicas)
	}
	return nil
}
