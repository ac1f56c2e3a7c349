package data

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// lookAgain is how long after it was refused a compaction is looked at again, as nothing says that more are allowed.
const lookAgain = 100 * time.Millisecond

// compactions says when Pebble may compact. As Pebble's own scheduler, which takes its place by default, it allows so
// many at a time as Pebble itself wants by its backlog, at once where it is asked and when one ends. But that one looks
// ten times a second whether something waits, for as long as the process lives, and so makes up a good part of what an
// idle node costs. This one does while something waits that was refused.
//
// Lock order: Pebble's, then mu. So mu is not held while Pebble is asked what waits, or is told to begin.
type compactions struct {
	db pebble.DBForCompaction // set by Register, before all else

	mu       sync.Mutex
	running  int
	refused  uint64      // so often was one
	waits    bool        // one that was refused may wait yet
	look     *time.Timer // is set while one waits, nil before any has
	granting bool        // by one goroutine at a time
	granted  sync.Cond   // it has ended
	closed   bool
}

func newCompactions() *compactions {
	c := &compactions{}
	c.granted.L = &c.mu
	return c
}

// Register implements pebble.CompactionScheduler.
func (c *compactions) Register(_ int, db pebble.DBForCompaction) { c.db = db }

// Unregister implements pebble.CompactionScheduler: Pebble is not called any more when it has returned.
func (c *compactions) Unregister() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.look != nil {
		c.look.Stop()
	}
	for c.granting {
		c.granted.Wait()
	}
}

// TrySchedule implements pebble.CompactionScheduler. Pebble's locks are held. Pebble does not try again what it was
// refused before GetWaitingCompaction has said that nothing waits.
func (c *compactions) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return false, nil
	case c.db.GetAllowedWithoutPermission() > c.running:
		c.running++
		return true, grant{c}
	}
	c.waits = true
	c.refused++
	c.lookIn(lookAgain)
	return false, nil
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler. Pebble's locks may be held.
func (c *compactions) UpdateGetAllowedWithoutPermission() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits && !c.closed {
		c.lookIn(0)
	}
}

// lookIn looks again after a while. mu is held.
func (c *compactions) lookIn(d time.Duration) {
	if c.look == nil {
		c.look = time.AfterFunc(d, c.grant)
	} else {
		c.look.Reset(d)
	}
}

// grant lets those begin that wait, as far as it is allowed.
func (c *compactions) grant() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.granting {
		c.granted.Wait()
	}
	c.granting = true
	for !c.closed && c.db.GetAllowedWithoutPermission() > c.running && c.begin() {
	}
	c.granting = false
	c.granted.Broadcast()
	if c.waits && !c.closed {
		c.lookIn(lookAgain)
	}
}

// begin lets one begin, and reports whether one waited. mu is held, but not all the time.
func (c *compactions) begin() bool {
	refused := c.refused
	c.running++
	c.mu.Unlock()
	waits, _ := c.db.GetWaitingCompaction()
	begins := waits && c.db.Schedule(grant{c})
	c.mu.Lock()
	if !begins {
		c.running--
	}
	if !waits && refused == c.refused {
		c.waits = false
	}
	return begins
}

// grant is what a compaction that runs was given.
type grant struct{ c *compactions }

func (grant) Started()                                          {}
func (grant) MeasureCPU(pebble.CompactionGoroutineKind)         {}
func (grant) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle. None of Pebble's locks is held.
func (g grant) Done() {
	g.c.mu.Lock()
	g.c.running--
	g.c.mu.Unlock()
	g.c.grant()
}
