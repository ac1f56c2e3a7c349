package rebalance

import (
	"testing"

	"pgregory.net/rapid"

	"pxkv/node/kv"
)

// A learner that has what the leader had KeepUpTicks ago has caught up, however much is written
// meanwhile; one that lags by more never has.
func TestCaughtUpIsALagInTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{KeepUpTicks: rapid.Uint64Range(2, 40).Draw(t, "keep up")}.withDefaults()
		perLook := rapid.Uint64Range(1, 100_000).Draw(t, "entries written between two looks")
		lag := rapid.IntRange(0, 40).Draw(t, "lag in looks")
		w := &watch{}
		caught := false
		for look := range 100 {
			last := 1<<40 + uint64(look)*perLook
			g := group(1, 1).learner(2, 2, Progress{Match: last - uint64(lag)*perLook, Active: true})
			g.Goal = w.goal(last, &l)
			now := g.keepsUp(2)
			if caught && !now {
				t.Fatalf("a lag of %d looks was short enough and then too long", lag)
			}
			caught = now
		}
		if want := uint64(lag)*moveTicks <= l.KeepUpTicks; caught != want {
			t.Fatalf("a lag of %d looks, %d entries each: caught up is %v, want %v with %d ticks", lag, perLook, caught,
				want, l.KeepUpTicks)
		}
	})
}

// However writes come, a follower that gets everything within KeepUpTicks keeps up from the
// moment on at which the group has been looked at for as long.
func TestWhoeverConvergesIsCaughtUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{}.withDefaults()
		w := &watch{}
		last := uint64(1)
		var ends []uint64
		for look := range 60 {
			last += rapid.Uint64Range(0, 5000).Draw(t, "written")
			ends = append(ends, last)
			lag := rapid.IntRange(0, int(l.KeepUpTicks/moveTicks)).Draw(t, "lag")
			g := group(1, 1).learner(2, 2, Progress{Match: ends[max(0, look-lag)], Active: true})
			if g.Goal = w.goal(last, &l); w.whole(&l) && !g.keepsUp(2) {
				t.Fatalf("look %d: has %d, the log ended there %d looks ago, and the goal is %d", look,
					g.Progress[2].Match, lag, g.Goal)
			}
		}
	})
}

// A learner is waited for FillTicks, and after each failure not for twice as long as before.
func TestPausesOfALearnerDouble(t *testing.T) {
	t.Parallel()
	l := Limits{FillTicks: 10, MostPauseTicks: 45}.withDefaults()
	w := &watch{}
	var changes []uint64
	was := false
	for now := uint64(100); now < 400; now++ {
		if late := w.late(2, false, now, &l); late != was {
			was = late
			changes = append(changes, now-100)
		}
	}
	// waited for 10, pauses of 10, 20, 40 and then 45
	want := []uint64{10, 20, 30, 50, 60, 100, 110, 155, 165, 210, 220, 265, 275}
	for i, at := range want {
		if i >= len(changes) || changes[i] != at {
			t.Fatalf("waited or paused at %v, want %v", changes, want)
		}
	}
	if w.late(2, true, 400, &l) || w.late(2, false, 401, &l) {
		t.Error("late although it has caught up")
	}
	if w.late(2, false, 409, &l); !w.late(2, false, 410, &l) || w.late(2, false, 420, &l) {
		t.Error("having caught up, a learner begins anew")
	}
	w.forget(&Group{Learners: []kv.ReplicaID{3}})
	if len(w.tries) != 0 {
		t.Errorf("remembers %v", w.tries)
	}
}
