package meta

import "pxkv/node/kv"

// The version of a cluster says which commands may be proposed, and so what its state can hold: what came with a
// version is neither proposed nor written before the cluster has it. A cluster gets a version when every member has
// said that it understands it (Upgrade), and keeps it: a node of an older release is refused from then on, in words.
const (
	// VersionDepartures is the version in which members leave and are removed, have zones, and the number of replicas
	// can change.
	VersionDepartures = 2
	// NewestVersion is the newest that this release understands, and that of a cluster which it makes.
	NewestVersion = VersionDepartures
)

func (c Upgrade) apply(s *State) (*State, Result) {
	switch {
	case c.To <= c.From || c.To > NewestVersion:
		return s.refuse(Invalid, "a cluster of version %d cannot get version %d", c.From, c.To)
	case s.ClusterVersion == c.To:
		return s, Result{}
	case s.ClusterVersion != c.From:
		return s.refuse(Stale, "the cluster has version %d, not %d; look again", s.ClusterVersion, c.From)
	}
	next := s.fork()
	next.ClusterVersion, next.Version = c.To, stateVersion(c.To)
	return next, Result{}
}

// old refuses a command that came with departures to a cluster of before; false: it is none.
func (s *State) old() (Result, bool) {
	if s.ClusterVersion >= VersionDepartures {
		return Result{}, false
	}
	_, r := s.refuse(OldVersion, "cluster %q works in the way of an older release (version %d, and this takes %d): "+
		"upgrade all its members first; when the last one has started, it follows by itself", s.ClusterName,
		s.ClusterVersion, VersionDepartures)
	return r, true
}

func (c Describe) apply(s *State) (*State, Result) {
	if r, old := s.old(); old {
		return s, r
	}
	if err := CheckZone(c.Zone); err != nil {
		return s.refuse(Invalid, "%v", err)
	}
	at, known := s.find(c.ID)
	if !known {
		return s.refuseUnknown(c.ID)
	}
	m := s.Members[at]
	switch {
	case m.Starts != c.Starts:
		return s.refuse(Stale, "member %q (%s) has made start %d since start %d; ask it again", m.Name, m.ID, m.Starts,
			c.Starts)
	case m.Zone == c.Zone:
		return s, Result{}
	}
	m.Zone = c.Zone
	return s.with(at, m), Result{}
}

// CheckZone reports what is wrong with the name of a zone, which may be empty.
func CheckZone(zone string) error { return checkText("zone", zone, MaxZoneBytes) }

// zones returns those of members, nil where none has one.
func (s *State) zones(ids []kv.NodeID) []string {
	zones, any := make([]string, len(ids)), false
	for i, id := range ids {
		m, _ := s.Member(id)
		zones[i] = m.Zone
		any = any || m.Zone != ""
	}
	if !any {
		return nil
	}
	return zones
}
