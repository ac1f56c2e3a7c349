package replica

import (
	"errors"
	"testing"

	"pxkv/node/kv"
)

// sizes gives partitions below 3 a small state, and the others a large one.
func sizes(p kv.PartitionID) int64 {
	if p < 3 {
		return 100
	}
	return 1 << 30
}

func TestSmallSnapshotsHavePlacesOfTheirOwn(t *testing.T) {
	t.Parallel()
	s := &shipper{solo: newSoloWith(t, 6, Config{
		StateBytes: sizes, Limits: Limits{Snapshots: SnapshotLimits{Out: 2, In: 2, SmallOut: 3, SmallIn: 3}},
	})}
	for p := range kv.PartitionID(6) {
		s.add(p, kv.ReplicaID(20+p), 3, false)
	}
	count := func() (small, large int) {
		for _, ship := range s.sent {
			if ship.Request.Small != (ship.Request.Partition < 3) {
				t.Errorf("partition %v is sent as small: %v", ship.Request.Partition, ship.Request.Small)
			}
			if ship.Request.Small {
				small++
			} else {
				large++
			}
		}
		return small, large
	}
	// Learners get all places but one.
	if small, large := count(); small != 2 || large != 1 {
		t.Fatalf("%d small ones and %d large ones are under way, want 2 and 1", small, large)
	}
	for _, ship := range s.sent {
		if ship.Request.Small {
			s.report(ship, nil)
			break
		}
	}
	if small, large := count(); small != 3 || large != 1 {
		t.Errorf("%d small ones and %d large ones were sent when one had arrived, want 3 and 1", small, large)
	}
	for _, small := range []bool{false, true} {
		r := SnapshotRequest{Partition: 0, To: 100, Term: 1, Small: small}
		if small {
			r = SnapshotRequest{Partition: 1, To: 101, Term: 1, Small: small}
		}
		if _, err := s.h.Admit(r); err != nil {
			t.Errorf("the first that arrives, small: %v: %v", small, err)
		}
	}
	if _, err := s.h.Admit(SnapshotRequest{Partition: 2, To: 102, Term: 1}); !errors.Is(err, kv.Busy) {
		t.Errorf("a second large one for a learner: %v", err)
	}
	if _, err := s.h.Admit(SnapshotRequest{Partition: 2, To: 102, Term: 1, Small: true}); err != nil {
		t.Errorf("a second small one for a learner: %v", err)
	}
}

// Nobody on a node that receives as many as it may is sent one for a moment; then it is asked once, and whoever waits
// has not failed.
func TestANodeThatIsBusyIsAskedOnce(t *testing.T) {
	t.Parallel()
	s := newShipper(t, 6, SnapshotLimits{Out: 3, BusyPause: 5 * DefaultTick})
	for p := range kv.PartitionID(4) {
		s.add(p, kv.ReplicaID(20+p), 3, false)
	}
	s.add(4, 30, 4, false)
	if len(s.sent) != 2 {
		t.Fatalf("%d are under way, want 2", len(s.sent))
	}
	first, second := s.sent[0], s.sent[1]
	s.sent = nil
	s.report(first, kv.Busy)
	if ship := s.only(); ship.Request.ToNode != 4 {
		t.Fatalf("node %v is sent the next", ship.Request.ToNode)
	}
	s.report(second, kv.Busy)
	if n := s.until(20); n < 4 || n > 6 {
		t.Errorf("asked again after %d ticks, want 5", n)
	}
	if ship := s.only(); ship.Request.ToNode != 3 {
		t.Errorf("node %v is sent the next", ship.Request.ToNode)
	}
	if got := s.h.Stats().SnapshotsFailed[failedBusy].Load(); got != 2 {
		t.Errorf("%d are counted as busy, want 2", got)
	}
	for p := range kv.PartitionID(4) {
		if progress, _ := s.h.Progress(p); progress[kv.ReplicaID(20+p)].Failures > 0 {
			t.Errorf("partition %v counts failures", p)
		}
	}
}
