package replica

import "testing"

// What was read of a void state does not count either when it is rebuilt before the read ends.
func TestAReadOfAVoidStateDoesNotCountOnceItIsRebuilt(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	c.holds = true
	c.giveUp(2)
	h := c.nodes[2].h.Handle(0)
	during := h.Moment()
	c.writes(c.leader(), "b")
	c.await("a snapshot is on its way", 100, func() bool { return len(c.held) > 0 })
	c.deliver()
	c.await("it is rebuilt", 100, func() bool { return !c.group(2).trust.void })
	if h.Counts(during) {
		t.Error("a read that began while the state was void counts")
	}
	if !h.Counts(h.Moment()) {
		t.Error("no read counts")
	}
}
