package server

import (
	"testing"
	"time"
)

// Memory goes back to the system when a load has gone, again when more garbage shows up later, and
// seldom when nothing happens.
func TestMemoryIsGivenBackWhenALoadHasGone(t *testing.T) {
	t.Parallel()
	var c calmness
	now, sum := time.Unix(1_000_000, 0), uint64(7)
	// look looks for so long, while so many bytes are allocated in a second, and counts.
	look := func(d time.Duration, rate uint64) (given int) {
		for end := now.Add(d); now.Before(end); {
			now, sum = now.Add(lookAtMemory), sum+rate*uint64(lookAtMemory/time.Second)
			if c.tells(now, sum) {
				given++
			}
		}
		return given
	}
	const load, moderate, idle = 500 << 20, 5 << 20, 1 << 20
	if n := look(time.Minute, load); n != 0 {
		t.Errorf("given back %d times under load, when the runtime does it by itself", n)
	}
	if n := look(restMemory, idle); n != 1 {
		t.Errorf("given back %d times after a load", n)
	}
	// What was in use then may be garbage now.
	if n := look(2*restMemory, idle); n != 1 {
		t.Errorf("given back %d times when it may be worth it once more", n)
	}
	if n := look(time.Hour, moderate); n != 0 {
		t.Errorf("given back %d times under a load with which the collector seldom runs", n)
	}
	if n := look(restMemory, idle); n != 1 {
		t.Errorf("given back %d times after a moderate load", n)
	}
	if n := look(2*time.Hour, idle); n < 10 || n > 16 {
		t.Errorf("given back %d times in two hours in which nothing happens, which is once in %v", n, longestRest)
	}
	look(lookAtMemory, load)
	if n := look(2*restMemory, idle); n != 1 {
		t.Errorf("given back %d times after the next load", n)
	}
}
