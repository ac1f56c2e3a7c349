package meta

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"pxkv/node/kv"
)

func (c Join) apply(s *State) (*State, Result) {
	m := c.Member
	if err := checkSelf(m.ID, m.Name, m.Addresses); err != nil {
		return s.refuse(Invalid, "%v", err)
	}
	if s.WasRemoved(m.ID) {
		return s.refuseRemoved(m.ID, m.Name)
	}
	if _, known := s.Member(m.ID); known {
		again := Start{ID: m.ID, Starts: m.Starts, Incarnation: m.Incarnation, Addresses: m.Addresses, Name: m.Name}
		next, r := again.apply(s)
		if r.Refused == nil {
			r.Join = next.welcome(m.ID)
		}
		return next, r
	}
	former, taken := s.MemberByName(m.Name)
	if taken && former.ID != c.ReplaceDead {
		return s.refuse(NameInUse,
			"name %q is in use by member %s; give the new node another --name, or stop that member first and it will "+
				"be replaced", m.Name, former.ID)
	}
	if !taken && len(s.Members) >= MaxMembers {
		return s.refuse(Full, "the cluster has %d members already and takes no more", len(s.Members))
	}

	next := s.fork()
	m.State, m.Zone, m.Departure, m.Returns = kv.Active, "", nil, 0
	m.MetaReplica = next.nextReplica()
	m.Joined = next.NextJoin
	next.NextJoin++
	if taken {
		next.drop(former, c.AtMS, kv.CauseReplaced)
	}
	at, _ := next.find(m.ID)
	next.Members = slices.Insert(slices.Clone(next.Members), at, m)
	if taken {
		next.succeed(former.ID, m.ID)
	}
	return next, Result{Join: next.welcome(m.ID)}
}

// drop makes m a former member. When and why is known to clusters of version 2 only.
func (s *State) drop(m Member, atMS int64, cause kv.Cause) {
	r := RemovedMember{ID: m.ID, Name: m.Name}
	if s.ClusterVersion >= VersionDepartures {
		r.AtMS, r.Cause = atMS, cause
	}
	s.Members = slices.DeleteFunc(slices.Clone(s.Members), func(o Member) bool { return o.ID == m.ID })
	s.Removed = append(slices.Clone(s.Removed), r)
	if over := len(s.Removed) - MaxRemoved; over > 0 {
		s.Removed = s.Removed[over:]
	}
}

// succeed puts heir where former is placed, each time as a fresh replica. PlacedFor still
// names former, so a placement computed for the heir follows; until then the partitions
// are at least wanted on a node that exists.
func (s *State) succeed(former, heir kv.NodeID) {
	if !s.placed(former) {
		return
	}
	rows := slices.Clone(s.Placement)
	for p, row := range rows {
		i := slices.IndexFunc(row, func(r kv.Replica) bool { return r.Node == former })
		if i < 0 {
			continue
		}
		rows[p] = slices.Clone(row)
		rows[p][i] = kv.Replica{ID: s.nextReplica(), Node: heir}
	}
	s.Placement = rows
	s.Epoch++
}

func (s *State) welcome(id kv.NodeID) *JoinResult {
	m, _ := s.Member(id)
	return &JoinResult{Cluster: s.Cluster, ClusterName: s.ClusterName, Member: m}
}

func (c Start) apply(s *State) (*State, Result) {
	if err := checkSelf(c.ID, c.Name, c.Addresses); err != nil {
		return s.refuse(Invalid, "%v", err)
	}
	if s.WasRemoved(c.ID) {
		return s.refuseRemoved(c.ID, c.Name)
	}
	at, known := s.find(c.ID)
	if !known {
		return s.refuseUnknown(c.ID)
	}
	m := s.Members[at]
	switch {
	case c.Starts == m.Starts && c.Incarnation == m.Incarnation:
		return s, Result{}
	case c.Starts == m.Starts:
		return s.refuse(Copied,
			"node %q (%s) runs twice: another process with a copy of the same data directory has made start %d; stop "+
				"one of them and start it with an empty data directory", c.Name, c.ID, c.Starts)
	case c.Starts < m.Starts:
		return s.refuse(Behind,
			"node %q (%s) makes start %d, but the cluster has seen start %d: its data directory is an old copy (a "+
				"restored backup?) and has forgotten what it promised; start it with an empty data directory", c.Name,
			c.ID, c.Starts, m.Starts)
	}
	if other, taken := s.MemberByName(c.Name); taken && other.ID != c.ID {
		return s.refuse(NameInUse, "name %q is in use by member %s; start node %s with another --name", c.Name,
			other.ID, c.ID)
	}
	m.Starts, m.Incarnation, m.Addresses, m.Name = c.Starts, c.Incarnation, c.Addresses, c.Name
	return s.with(at, m), Result{}
}

// with returns a state in which m is the member at this place.
func (s *State) with(at int, m Member) *State {
	next := s.fork()
	next.Members = slices.Clone(s.Members)
	next.Members[at] = m
	return next
}

func (s *State) refuseUnknown(id kv.NodeID) (*State, Result) {
	return s.refuse(UnknownMember, "node %s is not a member of cluster %q", id, s.ClusterName)
}

func (s *State) refuseRemoved(id kv.NodeID, name string) (*State, Result) {
	return s.refuse(Removed,
		"node %q (%s) was removed from cluster %q and cannot come back with its data; start it with an empty data "+
			"directory to join as a new node", name, id, s.ClusterName)
}

// checkSelf checks what a node says of itself.
func checkSelf(id kv.NodeID, name string, a kv.Addresses) error {
	if id == 0 {
		return fmt.Errorf("node %q has no id", name)
	}
	if name == "" {
		return fmt.Errorf("node %s has no name", id)
	}
	if err := CheckName(name); err != nil {
		return err
	}
	for _, addr := range []string{a.HTTP, a.RESP, a.Peer, a.Gossip} {
		if err := checkText("address", addr, MaxAddressBytes); err != nil {
			return fmt.Errorf("node %q (%s): %w", name, id, err)
		}
	}
	return nil
}

// CheckName reports why no member can be named so.
func CheckName(name string) error {
	if name == "" {
		return errors.New("a member's name is not empty")
	}
	return checkText("name", name, MaxNameBytes)
}

// CheckClusterName reports why no cluster can be named so. It may be empty.
func CheckClusterName(name string) error { return checkText("cluster name", name, MaxNameBytes) }

// checkText does not ask the unicode package what is printable: its tables change between
// versions of Go, and all nodes must answer alike.
func checkText(what, text string, limit int) error {
	if len(text) > limit {
		return fmt.Errorf("%s of %d bytes is longer than the limit of %d bytes", what, len(text), limit)
	}
	if !utf8.ValidString(text) || slices.ContainsFunc([]byte(text), func(b byte) bool {
		return b < 0x20 || b == 0x7f
	}) {
		return fmt.Errorf("%s %q: want UTF-8 without control characters", what, text)
	}
	return nil
}
