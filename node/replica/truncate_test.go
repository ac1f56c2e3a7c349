package replica

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The library hands out entries together, and hears that they are applied when all of them are, which
// takes as many turns as a budget makes of it. Before it campaigns it reads those that it takes for
// unapplied, so the log must hold them until then, however large it is.
func TestTheLogIsNotCutAheadOfTheLibrary(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 1, Limits{ApplyBytes: 1, EntryBytes: 1, NodeLogBytes: 400, LeastLogBytes: 400, MostLogBytes: 400})
	const entries = 40
	deadline := time.Now().Add(time.Minute)
	split, cuts := false, 0
	for before := s.h.Inspect(0).First; cuts < 20; {
		for i := range entries {
			s.write(0, set(fmt.Sprint("k", i), strings.Repeat("x", 100<<10)))
		}
		for range entries + 2 {
			s.in.Tick = true
			s.now += s.h.cfg.Tick
			s.step()
			at := s.h.Inspect(0)
			if at.First > at.Told+1 {
				t.Fatalf("the log begins at %d, and the library takes what follows %d for unapplied", at.First, at.Told)
			}
			split = split || at.Told < at.Applied.Index
			if at.First > before {
				before = at.First
				cuts++
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log was cut %d times in a minute", cuts)
		}
	}
	if !split {
		t.Fatal("entries that were handed out together were applied in one turn")
	}
}
