package meta

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pxkv/node/kv"
)

// node describes a node with id n, named "n<n>", at its first start.
func node(n int) Member {
	return Member{
		ID:          kv.NodeID(n),
		Name:        fmt.Sprintf("n%d", n),
		Addresses:   kv.Addresses{HTTP: fmt.Sprintf("10.0.0.%d:8080", n), Peer: fmt.Sprintf("10.0.0.%d:7947", n)},
		Starts:      1,
		Incarnation: uint64(n) * 1000,
	}
}

func newCluster(t *testing.T, partitions int) *State {
	t.Helper()
	s := Bootstrap(0xc1, "test", partitions, 3, node(1))
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	return &s
}

type encoder interface{ Encode() []byte }

// do applies c and requires that the state stays valid and the old one untouched.
func do(t *testing.T, s *State, c encoder) (*State, Result) {
	t.Helper()
	before := s.Encode()
	next, b, err := s.Apply(c.Encode())
	if err != nil {
		t.Fatalf("%+v: %v", c, err)
	}
	r, err := DecodeResult(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Validate(); err != nil {
		t.Fatalf("after %+v: %v", c, err)
	}
	if string(before) != string(s.Encode()) {
		t.Fatalf("%+v changed the state that it was applied to", c)
	}
	if r.Refused != nil && next != s {
		t.Fatalf("%+v was refused (%v) and changed the state", c, r.Refused)
	}
	return next, r
}

// accept is do for a command that must not be refused.
func accept(t *testing.T, s *State, c encoder) (*State, Result) {
	t.Helper()
	next, r := do(t, s, c)
	if r.Refused != nil {
		t.Fatalf("%+v: %v", c, r.Refused)
	}
	return next, r
}

// refuse is do for a command that must be refused with this code.
func refuse(t *testing.T, s *State, want Code, c encoder) {
	t.Helper()
	_, r := do(t, s, c)
	if r.Refused == nil || r.Refused.Code != want {
		t.Fatalf("%+v: got %v, want a refusal with code %s", c, r.Refused, want)
	}
}

func clusterOf(t *testing.T, members, partitions int) *State {
	t.Helper()
	s := newCluster(t, partitions)
	for n := 2; n <= members; n++ {
		s, _ = accept(t, s, Join{Member: node(n)})
	}
	return s
}

func rows(partitions int, nodes ...kv.NodeID) [][]kv.NodeID {
	return slices.Repeat([][]kv.NodeID{nodes}, partitions)
}

func TestBootstrapPlacesEverythingOnTheFirstMember(t *testing.T) {
	t.Parallel()
	s := newCluster(t, 3)
	m, ok := s.Member(1)
	if !ok || m.State != kv.Active || m.MetaReplica != 1 || s.Epoch != 1 || s.NextReplica != 5 {
		t.Fatalf("got %+v", s)
	}
	for p := range 3 {
		r, ok := s.ReplicaOn(kv.PartitionID(p), 1)
		if !ok || r.ID != kv.ReplicaID(p+2) {
			t.Fatalf("partition %d: got %+v", p, r)
		}
	}
	if r, ok := s.ReplicaOn(kv.Meta, 1); !ok || r != (kv.Replica{ID: 1, Node: 1}) {
		t.Fatalf("meta: got %+v", r)
	}
	if _, ok := s.ReplicaOn(3, 1); ok {
		t.Fatal("found a replica of a partition that does not exist")
	}
	if s.PlacementOutdated() {
		t.Fatal("the first placement is outdated from the start")
	}
}

func TestJoinMakesAnActiveMemberAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	s := newCluster(t, 3)
	s, first := accept(t, s, Join{Member: node(2)})
	m := first.Join.Member
	if m.State != kv.Active || m.MetaReplica != 5 || m.Joined != 2 || first.Join.Cluster != 0xc1 ||
		first.Join.ClusterName != "test" {
		t.Fatalf("got %+v", first.Join)
	}
	if !s.PlacementOutdated() || s.Epoch != 1 {
		t.Fatal("a join must leave the placement alone and make it outdated")
	}
	same, again := accept(t, s, Join{Member: node(2)})
	if same != s || *again.Join != *first.Join {
		t.Fatalf("repeated join: got %+v, want %+v", again.Join, first.Join)
	}
	// The answer was lost and the process started again: still the same member.
	later := node(2)
	later.Starts, later.Incarnation, later.Addresses.Peer = 2, 77, "10.9.9.9:7947"
	s, r := accept(t, s, Join{Member: later})
	if m := r.Join.Member; m.MetaReplica != 5 || m.Incarnation != 77 || m.Addresses.Peer != "10.9.9.9:7947" ||
		len(s.Members) != 2 {
		t.Fatalf("join after a restart: got %+v", r.Join)
	}
}

func TestJoinRefusesWhoCannotBeTakenIn(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 3, 2)
	impostor := node(9)
	impostor.Name = "n2"
	refuse(t, s, NameInUse, Join{Member: impostor})
	refuse(t, s, NameInUse, Join{Member: impostor, ReplaceDead: 3})
	twin := node(2)
	twin.Incarnation++
	refuse(t, s, Copied, Join{Member: twin})
	for _, bad := range []func(m *Member){
		func(m *Member) { m.ID = 0 },
		func(m *Member) { m.Name = "" },
		func(m *Member) { m.Name = "a\nb" },
		func(m *Member) { m.Name = strings.Repeat("x", MaxNameBytes+1) },
		func(m *Member) { m.Addresses.RESP = strings.Repeat("x", MaxAddressBytes+1) },
	} {
		m := node(9)
		bad(&m)
		refuse(t, s, Invalid, Join{Member: m})
	}
	s.Replicas = 2
	s, _ = accept(t, s, down(3))
	s, _ = accept(t, s, Remove{ID: 3, Expect: s.Epoch})
	refuse(t, s, Removed, Join{Member: node(3)})
	refuse(t, s, Removed, Start{ID: 3, Starts: 2, Name: "n3"})
}

func TestANodeReplacesItsDeadFormerSelf(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 3, 2)
	s, _ = accept(t, s, Place{Expect: 1, Rows: rows(2, 3, 1, 2), For: []kv.NodeID{1, 2, 3}})
	old, _ := s.ReplicaOn(1, 3)
	heir := node(9)
	heir.Name = "n3"
	s, r := accept(t, s, Join{Member: heir, ReplaceDead: 3})
	if _, ok := s.Member(3); ok || !s.WasRemoved(3) {
		t.Fatal("the former self is still a member")
	}
	if s.Epoch != 3 || r.Epoch != 3 || !s.PlacementOutdated() {
		t.Fatalf("epoch %d, outdated %v", s.Epoch, s.PlacementOutdated())
	}
	for p := range kv.PartitionID(2) {
		row := s.Placement[p]
		if row[0].Node != 9 || row[0].ID <= old.ID || len(row) != 3 {
			t.Fatalf("partition %d: got %v, want node 9 first under a fresh id", p, row)
		}
	}
	// A second one that saw the same dead node must not remove the first.
	late := node(10)
	late.Name = "n3"
	refuse(t, s, NameInUse, Join{Member: late, ReplaceDead: 3})
	// The retry of the first gives the same answer.
	same, again := accept(t, s, Join{Member: heir, ReplaceDead: 3})
	if same != s || *again.Join != *r.Join {
		t.Fatalf("repeated: got %+v, want %+v", again.Join, r.Join)
	}
	refuse(t, s, Removed, Start{ID: 3, Starts: 2, Incarnation: 5, Name: "n3"})
}

func TestStartTellsRestartsFromCopies(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 2, 1)
	start := Start{ID: 2, Starts: 5, Incarnation: 50, Name: "renamed", Addresses: kv.Addresses{Peer: "b:1"}}
	s, _ = accept(t, s, start)
	if m, ok := s.MemberByName("renamed"); !ok || m.ID != 2 || m.Addresses.Peer != "b:1" || m.Starts != 5 {
		t.Fatalf("got %+v", m)
	}
	if same, _ := accept(t, s, start); same != s {
		t.Fatal("the same start again changed the state")
	}
	refuse(t, s, Copied, Start{ID: 2, Starts: 5, Incarnation: 51, Name: "renamed"})
	refuse(t, s, Behind, Start{ID: 2, Starts: 4, Incarnation: 40, Name: "renamed"})
	refuse(t, s, NameInUse, Start{ID: 2, Starts: 6, Incarnation: 60, Name: "n1"})
	refuse(t, s, UnknownMember, Start{ID: 8, Starts: 1, Name: "n8"})
	refuse(t, s, Invalid, Start{ID: 2, Starts: 6, Incarnation: 60, Name: ""})
}

func TestPlaceKeepsReplicasAndNeverReusesTheirIDs(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 3, 1) // replica 2 is partition 0's; 3 and 4 are meta replicas
	place := func(nodes ...kv.NodeID) []kv.Replica {
		s, _ = accept(t, s, Place{Expect: s.Epoch, Rows: rows(1, nodes...), For: []kv.NodeID{3, 1, 2, 1}})
		return s.Placement[0]
	}
	steps := []struct {
		nodes []kv.NodeID
		want  []kv.Replica
	}{
		{[]kv.NodeID{3, 1}, []kv.Replica{{ID: 5, Node: 3}, {ID: 2, Node: 1}}},
		{[]kv.NodeID{1, 2}, []kv.Replica{{ID: 2, Node: 1}, {ID: 6, Node: 2}}},
		{[]kv.NodeID{3}, []kv.Replica{{ID: 7, Node: 3}}}, // replica 5 may be gone: never again
	}
	for i, step := range steps {
		if got := place(step.nodes...); !slices.Equal(got, step.want) {
			t.Fatalf("step %d: got %v, want %v", i, got, step.want)
		}
	}
	if s.Epoch != 4 || !slices.Equal(s.PlacedFor, []kv.NodeID{1, 2, 3}) || s.PlacementOutdated() {
		t.Fatalf("epoch %d, placed for %v", s.Epoch, s.PlacedFor)
	}
	refuse(t, s, Stale, Place{Expect: 3, Rows: rows(1, 1), For: []kv.NodeID{1}})
	refuse(t, s, UnknownMember, Place{Expect: 4, Rows: rows(1, 1, 9), For: []kv.NodeID{1}})
	refuse(t, s, Invalid, Place{Expect: 4, Rows: rows(2, 1), For: []kv.NodeID{1}})
	refuse(t, s, Invalid, Place{Expect: 4, Rows: rows(1), For: []kv.NodeID{1}})
	refuse(t, s, Invalid, Place{Expect: 4, Rows: rows(1, 1, 1), For: []kv.NodeID{1}})
	refuse(t, s, Invalid, Place{Expect: 4, Rows: rows(1, 1)})
}

func TestMetaGroupIsOddAndHeldByTheOldest(t *testing.T) {
	t.Parallel()
	ids := func(rs []kv.Replica) (ns []kv.NodeID) {
		for _, r := range rs {
			ns = append(ns, r.Node)
		}
		return ns
	}
	for members, want := range map[int]int{1: 1, 2: 1, 3: 3, 4: 3, 5: 5, 6: 5, 9: 5} {
		voters, learners := clusterOf(t, members, 1).MetaReplicas()
		if len(voters) != want || len(voters)+len(learners) != members || voters[0].Node != 1 {
			t.Fatalf("%d members: voters %v, learners %v", members, ids(voters), ids(learners))
		}
	}
	// Joined in the order 1, 5, 4, 3: age decides, not the id; and only the active vote.
	s := newCluster(t, 1)
	for _, n := range []int{5, 4, 3} {
		s, _ = accept(t, s, Join{Member: node(n)})
	}
	s, _ = accept(t, s, down(5))
	voters, learners := s.MetaReplicas()
	if !slices.Equal(ids(voters), []kv.NodeID{1, 4, 3}) || !slices.Equal(ids(learners), []kv.NodeID{5}) {
		t.Fatalf("voters %v, learners %v", ids(voters), ids(learners))
	}
}

func TestWhatIsNotUnderstoodStopsTheNode(t *testing.T) {
	t.Parallel()
	s := newCluster(t, 1)
	for _, cmd := range []string{
		"", "null", "{}", "[]", "garbage",
		`{"version":3,"type":"remove","body":{"id":"01"}}`,
		`{"version":1,"type":"compact","body":{}}`,
		`{"version":1,"type":"remove","body":{"id":"01"},"more":1}`,
		`{"version":1,"type":"remove","body":{"id":"01","force":true}}`,
		`{"version":1,"type":"remove","body":{"id":7}}`,
		`{"version":1,"type":"remove"}`,
		`{"version":1,"type":"remove","body":{"id":"01"}}{}`,
	} {
		next, _, err := s.Apply([]byte(cmd))
		if !errors.Is(err, ErrNotUnderstood) || next != s {
			t.Errorf("%s: got %v", cmd, err)
		}
	}
}

func TestCommandEncodingIsFixed(t *testing.T) {
	t.Parallel()
	// These bytes are in the logs of clusters. A failure here means: raise CommandVersion.
	for want, c := range map[string]encoder{
		`{"version":1,"type":"join","body":{"member":{"id":"0000000000000002","name":"n2","state":"","addresses":{"http":"10.0.0.2:8080","peer":"10.0.0.2:7947","gossip":""},"starts":1,"incarnation":2000,"joined":0,"meta_replica":0},"replace_dead":"0000000000000000"}}`: Join{Member: node(2)},
		`{"version":1,"type":"start","body":{"id":"0000000000000002","starts":3,"incarnation":4,"addresses":{"http":"","peer":"p","gossip":"g"},"name":"n"}}`:                                                                                                                Start{ID: 2, Starts: 3, Incarnation: 4, Addresses: kv.Addresses{Peer: "p", Gossip: "g"}, Name: "n"},
		`{"version":2,"type":"set_state","body":{"id":"0000000000000002","from":"active","to":"down","at_ms":7,"cause":"lost","replicas":2}}`:                                                                                                                                SetState{ID: 2, From: kv.Active, To: kv.Down, AtMS: 7, Cause: kv.CauseLost, Replicas: 2},
		`{"version":2,"type":"set_state","body":{"id":"0000000000000002","from":"down","to":"active"}}`:                                                                                                                                                                      SetState{ID: 2, From: kv.Down, To: kv.Active},
		`{"version":2,"type":"remove","body":{"id":"0000000000000002","expect":4,"at_ms":7}}`:                                                                                                                                                                                Remove{ID: 2, Expect: 4, AtMS: 7},
		`{"version":2,"type":"describe","body":{"id":"0000000000000002","starts":3,"zone":"z"}}`:                                                                                                                                                                             Describe{ID: 2, Starts: 3, Zone: "z"},
		`{"version":2,"type":"set_replicas","body":{"from":2,"to":3}}`:                                                                                                                                                                                                       SetReplicas{From: 2, To: 3},
		`{"version":2,"type":"upgrade","body":{"from":1,"to":2}}`:                                                                                                                                                                                                            Upgrade{From: 1, To: 2},
		`{"version":2,"type":"place","body":{"expect":4,"rows":[["0000000000000001"]],"for":["0000000000000001"],"zones":["z"],"replicas":3}}`:                                                                                                                               Place{Expect: 4, Rows: rows(1, 1), For: []kv.NodeID{1}, Zones: []string{"z"}, Replicas: 3},
		`{"version":1,"type":"place","body":{"expect":4,"rows":[["0000000000000001"]],"for":["0000000000000001"]}}`:                                                                                                                                                          Place{Expect: 4, Rows: rows(1, 1), For: []kv.NodeID{1}},
	} {
		if got := string(c.Encode()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestDecodeRefusesBrokenStates(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(s *State){
		"other version":     func(s *State) { s.Version = 1 },
		"newer cluster":     func(s *State) { s.ClusterVersion = NewestVersion + 1 },
		"no departure":      func(s *State) { s.Members[1].State = kv.Leaving },
		"departure of none": func(s *State) { s.Members[1].Departure = &Departure{Cause: kv.CauseLeft} },
		"odd cause": func(s *State) {
			s.Members[1].State, s.Members[1].Departure = kv.Leaving, &Departure{Cause: "odd"}
		},
		"odd cause of a removal": func(s *State) { s.Removed = []RemovedMember{{ID: 9, Name: "n9", Cause: "odd"}} },
		"long zone":              func(s *State) { s.Members[1].Zone = strings.Repeat("z", MaxZoneBytes+1) },
		"zones of others":        func(s *State) { s.PlacedZones = []string{"a", "b"} },
		"zone in an old cluster": func(s *State) { s.ClusterVersion, s.Version, s.Members[1].Zone = 1, 1, "z" },
		"no cluster":             func(s *State) { s.Cluster = 0 },
		"no partitions":          func(s *State) { s.Partitions, s.Placement = 0, nil },
		"rows missing":           func(s *State) { s.Placement = s.Placement[:1] },
		"empty row":              func(s *State) { s.Placement[0] = nil },
		"stranger in a row":      func(s *State) { s.Placement[0][0].Node = 99 },
		"node twice in a row": func(s *State) {
			s.Placement[0] = append(s.Placement[0], kv.Replica{ID: 4, Node: 1})
		},
		"replica id twice":       func(s *State) { s.Placement[0][0].ID = s.Placement[1][0].ID },
		"replica id of tomorrow": func(s *State) { s.Placement[0][0].ID = s.NextReplica },
		"members out of order":   func(s *State) { slices.Reverse(s.Members) },
		"name twice":             func(s *State) { s.Members[1].Name = "n1" },
		"join number twice":      func(s *State) { s.Members[1].Joined = 1 },
		"unknown state":          func(s *State) { s.Members[1].State = "sleeping" },
		"none active":            func(s *State) { s.Members[0].State, s.Members[1].State = kv.Down, kv.Leaving },
		"removed member":         func(s *State) { s.Removed = []RemovedMember{{ID: 2, Name: "n2"}} },
		"placed for nobody":      func(s *State) { s.PlacedFor = nil },
		"placed for, unsorted":   func(s *State) { s.PlacedFor = []kv.NodeID{2, 1} },
	} {
		s := clusterOf(t, 2, 2)
		breakIt(s)
		if got, err := Decode(s.Encode()); err == nil {
			t.Errorf("%s: decoded as %+v", name, got)
		}
	}
	if _, err := Decode([]byte(`{"version":3,"shape":"new"}`)); !errors.Is(err, ErrNotUnderstood) {
		t.Errorf("newer state: got %v", err)
	}
}

func TestTheOldestRemovedMembersAreForgotten(t *testing.T) {
	t.Parallel()
	s := newCluster(t, 1)
	for n := range MaxRemoved {
		s.Removed = append(s.Removed, RemovedMember{ID: kv.NodeID(1000 + n), Name: "gone"})
	}
	s, _ = accept(t, s, Join{Member: node(2)})
	s.Replicas = 1
	s, _ = accept(t, s, down(2))
	s, _ = accept(t, s, Remove{ID: 2, Expect: s.Epoch})
	if len(s.Removed) != MaxRemoved || s.WasRemoved(1000) || !s.WasRemoved(1001) || !s.WasRemoved(2) {
		t.Fatalf("%d removed members, first %v", len(s.Removed), s.Removed[0])
	}
}

func TestTheClusterHasALimit(t *testing.T) {
	t.Parallel()
	s := newCluster(t, 1)
	for n := 2; n <= MaxMembers; n++ {
		m := node(n)
		m.State, m.Joined, m.MetaReplica = kv.Active, s.NextJoin, s.nextReplica()
		s.NextJoin++
		s.Members = append(s.Members, m)
	}
	refuse(t, s, Full, Join{Member: node(MaxMembers + 1)})
	heir := node(MaxMembers + 1)
	heir.Name = "n7"
	accept(t, s, Join{Member: heir, ReplaceDead: 7})
}
