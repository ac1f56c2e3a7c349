package meta

import "testing"

func TestTheNumberOfReplicasIsChanged(t *testing.T) {
	t.Parallel()
	s := clusterOf(t, 3, 1)
	s, _ = accept(t, s, s.NewPlace(rows(1, 1, 2, 3)))
	leaver := leaving(3)
	leaver.Replicas = 2
	left, _ := accept(t, s, leaver)
	refuse(t, left, Stale, SetReplicas{From: 2, To: 3}) // its return would make it three again, too
	left, _ = accept(t, left, left.NewPlace(rows(1, 1, 2)))
	left, _ = accept(t, left, Remove{ID: 3, Expect: left.Epoch})
	if left.Replicas != 2 || left.PlacementOutdated() {
		t.Fatalf("%d replicas are wanted", left.Replicas)
	}
	more, _ := accept(t, left, SetReplicas{From: 2, To: 3})
	if more.Replicas != 3 || !more.PlacementOutdated() {
		t.Fatalf("%d replicas are wanted", more.Replicas)
	}
	if same, _ := accept(t, more, SetReplicas{From: 2, To: 3}); same != more {
		t.Fatal("the same again changed the state")
	}
	refuse(t, more, Stale, SetReplicas{From: 2, To: 1})
	for _, n := range []int{-1, 0, MaxReplicas + 1} {
		refuse(t, more, Invalid, SetReplicas{From: 3, To: n})
	}
	more, _ = accept(t, more, more.NewPlace(rows(1, 1, 2)))
	if more.PlacementOutdated() {
		t.Fatal("outdated at once")
	}
	old := *s
	old.ClusterVersion, old.Version, old.PlacedReplicas = 1, 1, 0
	refuse(t, &old, OldVersion, SetReplicas{From: 3, To: 2})
}

// A release that knew no other number did not note for how many it placed.
func TestTheNumberOfReplicasIsChangedAfterAnUpgrade(t *testing.T) {
	t.Parallel()
	s := *clusterOf(t, 3, 1)
	s.ClusterVersion, s.Version = 1, 1
	was, _ := accept(t, &s, s.NewPlace(rows(1, 1, 2, 3)))
	was, _ = accept(t, was, Upgrade{From: 1, To: VersionDepartures})
	if was.PlacementOutdated() {
		t.Fatal("the upgrade moves data")
	}
	now, _ := accept(t, was, SetReplicas{From: 3, To: 2})
	if !now.PlacementOutdated() {
		t.Fatal("nobody computes a placement of two replicas")
	}
	if was.PlacedReplicas != 0 {
		t.Fatal("the state before was written to")
	}
}
