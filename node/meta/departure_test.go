package meta

import (
	"cmp"
	"errors"
	"strings"
	"testing"

	"pxkv/node/kv"
)

func down(n int) SetState {
	return SetState{ID: kv.NodeID(n), From: kv.Active, To: kv.Down, AtMS: 5, Cause: kv.CauseRemoved}
}

func lost(n int) SetState {
	c := down(n)
	c.Cause = kv.CauseLost
	return c
}

func TestOneAtATimeIsGivenUpByItself(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 6, 1) // with three replicas
	two, _ := accept(t, s, lost(5))
	refuse(t, two, Stale, lost(6))
	accept(t, two, down(6)) // an operator may
	back, _ := accept(t, two, SetState{ID: 5, From: kv.Down, To: kv.Active})
	accept(t, back, lost(6))
	for n := 4; n <= 6; n++ {
		s, _ = accept(t, s, leaving(n))
	}
	for _, c := range []SetState{lost(3), down(3), leaving(3)} {
		refuse(t, s, TooFew, c)
		c.Replicas = 2
		accept(t, s, c)
	}
}

func leaving(n int) SetState {
	return SetState{ID: kv.NodeID(n), From: kv.Active, To: kv.Leaving, AtMS: 5, Cause: kv.CauseLeft}
}

func TestAMemberDrainsAndGoes(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 2, 2)
	s.Replicas = 1
	s, _ = accept(t, s, Place{Expect: 1, Rows: rows(2, 2, 1), For: []kv.NodeID{1, 2}})
	s, _ = accept(t, s, leaving(2))
	if m, _ := s.Member(2); !s.PlacementOutdated() || m.Departure == nil || m.Departure.AtMS != 5 {
		t.Fatalf("a leaving member must make the placement outdated, and say since when: %+v", m)
	}
	if same, _ := accept(t, s, leaving(2)); same != s {
		t.Fatal("repeated SetState changed the state")
	}
	refuse(t, s, Stale, down(2))
	refuse(t, s, Invalid, SetState{ID: 2, From: kv.Leaving, To: kv.Joining})
	refuse(t, s, Invalid, SetState{ID: 1, From: kv.Active, To: kv.Leaving, Cause: "boredom"})
	refuse(t, s, Invalid, SetState{ID: 2, From: kv.Leaving, To: kv.Active, Replicas: 2})
	refuse(t, s, LastActive, leaving(1))
	refuse(t, s, UnknownMember, leaving(7))
	refuse(t, s, StillPlaced, Remove{ID: 2, Expect: 2})
	s, _ = accept(t, s, Place{Expect: 2, Rows: rows(2, 1), For: []kv.NodeID{1}})
	refuse(t, s, Stale, Remove{ID: 2, Expect: 2}) // what was known of the groups may be older than the placement
	s, _ = accept(t, s, Remove{ID: 2, Expect: 3, AtMS: 9})
	if r := s.Removed[0]; r != (RemovedMember{ID: 2, Name: "n2", AtMS: 9, Cause: kv.CauseLeft}) {
		t.Fatalf("removed %+v", r)
	}
	if same, _ := accept(t, s, Remove{ID: 2, Expect: 3}); same != s {
		t.Fatal("repeated Remove changed the state")
	}
	refuse(t, s, UnknownMember, Remove{ID: 7, Expect: 3})
	refuse(t, s, Stale, Remove{ID: 1, Expect: 3})
}

func TestWhoIsWantedAgainIsNotRemoved(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 3, 1)
	s, _ = accept(t, s, Place{Expect: 1, Rows: rows(1, 1, 2, 3), For: []kv.NodeID{1, 2, 3}, Replicas: 3})
	s, _ = accept(t, s, SetState{ID: 3, From: kv.Active, To: kv.Leaving, Cause: kv.CauseLeft, Replicas: 2})
	if s.Replicas != 2 || !s.PlacementOutdated() {
		t.Fatalf("%d replicas are wanted", s.Replicas)
	}
	refuse(t, s, Stale, Place{Expect: 2, Rows: rows(1, 1, 2), For: []kv.NodeID{1, 2}, Replicas: 3})
	placed := s.NewPlace(rows(1, 1, 2))
	s, _ = accept(t, s, placed)
	if s.PlacementOutdated() {
		t.Fatal("outdated at once")
	}
	drained := s
	s, _ = accept(t, s, SetState{ID: 3, From: kv.Leaving, To: kv.Active})
	if m, _ := s.Member(3); s.Replicas != 3 || m.Departure != nil || m.Returns != 0 || !s.PlacementOutdated() {
		t.Fatalf("%d replicas are wanted, %+v", s.Replicas, m)
	}
	refuse(t, s, Stale, Remove{ID: 3, Expect: s.Epoch})
	// And asked to leave once more, with a placement between: the groups may be elsewhere than they were.
	s, _ = accept(t, s, s.NewPlace(rows(1, 1, 2, 3)))
	again := leaving(3)
	again.Replicas = 2
	s, _ = accept(t, s, again)
	s, _ = accept(t, s, s.NewPlace(rows(1, 1, 2)))
	refuse(t, s, Stale, Remove{ID: 3, Expect: drained.Epoch})
}

// Who dies while it leaves is removed by another order, which says nothing of what the first one said.
func TestFewerReplicasStayEnoughWhenALeaverIsGivenUp(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 3, 1)
	s, _ = accept(t, s, SetState{ID: 3, From: kv.Active, To: kv.Leaving, Cause: kv.CauseLeft, Replicas: 2})
	for _, replicas := range []int{0, 2, 1} {
		s, _ := accept(t, s, SetState{
			ID: 3, From: kv.Leaving, To: kv.Down, Cause: kv.CauseRemoved, Replicas: replicas,
		})
		if want := cmp.Or(replicas, 2); s.Replicas != want {
			t.Errorf("%d replicas are wanted, want %d", s.Replicas, want)
		}
		s, _ = accept(t, s, SetState{ID: 3, From: kv.Down, To: kv.Active})
		if s.Replicas != 3 {
			t.Errorf("it came back, and %d replicas are wanted", s.Replicas)
		}
	}
}

func TestWhoIsDownAndComesBackIsCounted(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 2, 1)
	s.Replicas = 1
	for want := 1; want <= 3; want++ {
		s, _ = accept(t, s, down(2))
		s, _ = accept(t, s, SetState{ID: 2, From: kv.Down, To: kv.Active})
		if m, _ := s.Member(2); m.Returns != want || m.Departure != nil {
			t.Fatalf("after %d returns: %+v", want, m)
		}
	}
}

// older is a state as a release of before departures wrote it.
func older(t *testing.T) *State {
	t.Helper()
	s := clusterOf(t, 2, 1)
	s.ClusterVersion, s.Version, s.Replicas = 1, 1, 1
	again, err := Decode(s.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(again.Encode()), "zone") || strings.Contains(string(again.Encode()), "placed_replicas") {
		t.Fatalf("an older release does not read %s", again.Encode())
	}
	return again
}

func TestAnOlderClusterTakesNothingThatItsMembersDoNotUnderstand(t *testing.T) {
	t.Parallel()
	s := older(t)
	refuse(t, s, OldVersion, leaving(2))
	refuse(t, s, OldVersion, Remove{ID: 2, Expect: 1})
	refuse(t, s, OldVersion, Describe{ID: 2, Starts: 1, Zone: "a"})
	refuse(t, s, OldVersion, Place{Expect: 1, Rows: rows(1, 1), For: []kv.NodeID{1, 2}, Replicas: 3})
	s, _ = accept(t, s, s.NewPlace(rows(1, 1, 2)))
	heir := node(7)
	heir.Name = "n2"
	replacing := s.Replacing(Join{Member: heir}.Encode(), 2, 99)
	next, _, err := s.Apply(replacing)
	if err != nil || next.Version != 1 || len(next.Removed) != 1 {
		t.Fatalf("got %v, %+v", err, next)
	}
	for _, b := range [][]byte{replacing, next.Encode()} {
		if !strings.HasPrefix(string(b), `{"version":1,`) || strings.Contains(string(b), "at_ms") {
			t.Fatalf("an older release does not read %s", b)
		}
	}
}

func TestAClusterIsUpgradedOnce(t *testing.T) {
	t.Parallel()
	s := older(t)
	s, _ = accept(t, s, s.NewPlace(rows(1, 1, 2)))
	refuse(t, s, Invalid, Upgrade{From: 2, To: 2})
	s, _ = accept(t, s, Upgrade{From: 1, To: 2})
	if same, _ := accept(t, s, Upgrade{From: 1, To: 2}); same != s || s.PlacementOutdated() {
		t.Fatal("an upgrade twice, or one that moves something")
	}
	accept(t, s, leaving(2))
	s.ClusterVersion = 3
	if _, r := (Upgrade{From: 1, To: 2}).apply(s); r.Refused == nil || r.Refused.Code != Stale {
		t.Fatalf("got %v", r.Refused)
	}
	if _, err := Decode(s.Encode()); err == nil {
		t.Fatal("read a state of a cluster of tomorrow")
	}
	if _, _, err := older(t).Apply([]byte(`{"version":3,"type":"upgrade","body":{"from":1,"to":3}}`)); !errors.Is(err,
		ErrNotUnderstood) {
		t.Fatalf("got %v", err)
	}
}

func TestZonesMakeAPlacementOutdated(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 2, 1)
	s, _ = accept(t, s, s.NewPlace(rows(1, 1, 2)))
	refuse(t, s, Stale, Describe{ID: 2, Starts: 2, Zone: "east"})
	refuse(t, s, UnknownMember, Describe{ID: 3, Starts: 1, Zone: "east"})
	refuse(t, s, Invalid, Describe{ID: 2, Starts: 1, Zone: "ea\nst"})
	s, _ = accept(t, s, Describe{ID: 2, Starts: 1, Zone: "east"})
	if m, _ := s.Member(2); m.Zone != "east" || !s.PlacementOutdated() {
		t.Fatalf("got %+v", m)
	}
	if same, _ := accept(t, s, Describe{ID: 2, Starts: 1, Zone: "east"}); same != s {
		t.Fatal("what was known changed the state")
	}
	place := s.NewPlace(rows(1, 1, 2))
	unsorted := place
	unsorted.For = []kv.NodeID{2, 1}
	refuse(t, s, Invalid, unsorted)
	short := place
	short.Zones = short.Zones[:1]
	refuse(t, s, Invalid, short)
	if s, _ = accept(t, s, place); s.PlacementOutdated() {
		t.Fatal("outdated at once")
	}
}
