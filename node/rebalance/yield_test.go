package rebalance

import "testing"

// What comes back is kept for twice as long each time, and what never went may be tried again.
func TestALeadershipThatComesBackIsKeptForLonger(t *testing.T) {
	t.Parallel()
	l := (&Limits{}).withDefaults()
	y, now := yields{}, uint64(1000)
	if !y.due(1, now, 5, &l) {
		t.Fatal("the first is not due at once")
	}
	y.note(1, now, 5)
	now += 10
	if !y.due(1, now, 15, &l) {
		t.Fatal("it never went, and is not tried again")
	}
	y.note(1, now, 15)
	for _, want := range []uint64{28, 56, 112, 224, 448, 857, 857} {
		now += 500 // others lead it, and then it is back
		tenure := uint64(0)
		for ; !y.due(1, now, tenure, &l); tenure++ {
			now++
		}
		if tenure != want {
			t.Fatalf("kept for %d ticks, want %d", tenure, want)
		}
		if !y.due(2, now, 0, &l) {
			t.Fatal("another partition waits")
		}
		y.note(1, now, tenure)
	}
}
