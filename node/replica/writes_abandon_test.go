package replica

import (
	"testing"

	"pxkv/node/kv"
)

// What a leader that lost its majority had proposed counts against the whole node, so it does not wait for ever.
func TestAWriteThatNobodyPlacesIsAnsweredInTheEnd(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	c.cut[1] = true
	r := c.set(1, "a value")
	for range int(abandonAfter/DefaultTick) - 1 {
		c.tick()
	}
	h := c.nodes[1].h
	if g.leads() || kv.KindOf(r.Err) != kv.Internal || h.intake.uncommitted == 0 { // no answer yet
		t.Fatalf("leads %v, answer %v, %d bytes uncommitted", g.leads(), r.Err, h.intake.uncommitted)
	}
	for range 4 * ElectionTicks {
		c.tick()
	}
	if kv.KindOf(r.Err) != kv.Unknown || h.intake.uncommitted != 0 || len(g.writes.flights) != 0 {
		t.Fatalf("answer %v, %d bytes uncommitted, %d writes awaited", r.Err, h.intake.uncommitted,
			len(g.writes.flights))
	}
	c.cut[1] = false
	for range 4 * ElectionTicks {
		c.tick()
	}
	c.writes(c.leader(), "another")
	c.alike()
}
