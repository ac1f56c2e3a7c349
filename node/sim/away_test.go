//go:build !planted

package sim

import (
	"slices"
	"testing"
	"time"
)

// succeed loses the disk of a member, and returns when a fresh node has taken its place.
func (w *World) succeed(t *testing.T, former *node) {
	t.Helper()
	former.die()
	w.run(w.now + silence + 500*time.Millisecond)
	heir := w.addNode()
	heir.name, heir.home = former.name, former.home
	heir.start(false)
	for limit := w.now + w.o.Settle; !heir.joined && w.failure == nil; {
		if w.run(w.now + 50*time.Millisecond); w.now > limit {
			t.Fatalf("%s was not replaced", former.name)
		}
	}
}

// A node is away while most of those that it knows lose their disks and are replaced. Those will never
// say what they remember of it. It is a voter again all the same, soon, and with it a majority of all
// its groups, also when its directory was moved meanwhile and it waits for all.
func TestWhoWasAwayWhileItsPeersWereReplacedIsBackSoon(t *testing.T) {
	for name, tc := range map[string]struct {
		replaced int
		moved    bool
	}{
		"most were replaced":          {3, false},
		"all were replaced":           {4, false},
		"it was moved":                {1, true},
		"it was moved, most are gone": {3, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := grownAs(t, 5, func(o *Options) { o.Partitions, o.Replicas = 2, 5 })
			away, peers := w.nodes[0], slices.Clone(w.nodes[1:])
			if tc.moved {
				away.stopElsewhere()
			} else {
				away.crash()
			}
			away.lost = true
			for _, n := range peers[:tc.replaced] {
				w.succeed(t, n)
				w.settle()
				if w.failure != nil {
					t.Fatal(w.failure)
				}
			}
			away.lost = false
			away.start(false)
			if w.settle(); w.failure != nil {
				t.Fatal(w.failure)
			}
			if w.stats.Settled > 10*time.Second {
				t.Errorf("it took %v", w.stats.Settled)
			}
			t.Logf("all is complete %v after it came back", w.stats.Settled)
		})
	}
}

// What is remembered of a node is in memory only. When all are started again, one after the other or all at
// once, none of them waits for what is forgotten.
func TestWhenAllHaveStartedAgainNoneIsLockedOut(t *testing.T) {
	for name, between := range map[string]time.Duration{"at once": 0, "one by one": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			w := grownAs(t, 3, func(o *Options) { o.Partitions = 2 })
			for _, n := range w.nodes {
				n.crash()
				n.restart(100 * time.Millisecond)
				w.run(w.now + between)
			}
			w.settle()
			last := w.nodes[2]
			last.crash()
			last.start(false)
			if w.settle(); w.failure != nil {
				t.Fatal(w.failure)
			}
			if !last.host.Vouched() || last.host.Unvouched() != nil {
				t.Errorf("it waits for %v", last.host.Unvouched())
			}
		})
	}
}
