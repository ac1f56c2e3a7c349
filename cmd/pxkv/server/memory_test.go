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
	now, runs := time.Unix(1_000_000, 0), uint64(7)
	ran := now
	// look looks for so long, while the collector runs so often before each look, and counts. The
	// collector also runs two minutes after it has run, whoever wanted that.
	look := func(d time.Duration, each uint64) (given int) {
		for end := now.Add(d); now.Before(end); {
			now, runs = now.Add(lookAtMemory), runs+each
			if each > 0 {
				ran = now
			} else if now.Sub(ran) >= 2*time.Minute {
				ran, runs = now, runs+1
			}
			if c.tells(now, runs) {
				given++
				ran = now
			}
		}
		return given
	}
	if n := look(time.Minute, 3); n != 0 {
		t.Errorf("given back %d times under load, when the runtime does it by itself", n)
	}
	if n := look(restMemory, 0); n != 1 {
		t.Errorf("given back %d times after a load", n)
	}
	// What was in use then may be garbage now.
	if n := look(2*restMemory, 0); n != 1 {
		t.Errorf("given back %d times when it may be worth it once more", n)
	}
	if n := look(2*time.Hour, 0); n < 10 || n > 14 {
		t.Errorf("given back %d times in two hours in which nothing happens, which is once in %v", n, longestRest)
	}
	look(lookAtMemory, 2)
	if n := look(2*restMemory, 0); n != 1 {
		t.Errorf("given back %d times after the next load", n)
	}
}
