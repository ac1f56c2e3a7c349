package replica

import (
	"testing"
	"time"

	"pxkv/node/kv"
)

// What a leader that lost its majority had proposed counts against the whole node, and whoever asked could ask
// another node: so it does not wait for ever, nor for long where all others have fallen silent.
func TestAWriteThatNobodyPlacesIsAnsweredInTheEnd(t *testing.T) {
	t.Parallel()
	t.Run("all others are silent", func(t *testing.T) {
		t.Parallel()
		nobodyPlaces(t, cutOffTicks*DefaultTick, true)
	})
	t.Run("one has ended", func(t *testing.T) {
		t.Parallel()
		nobodyPlaces(t, abandonAfter, false)
	})
}

func nobodyPlaces(t *testing.T, after time.Duration, silent bool) {
	t.Helper()
	c := newTrio(t)
	g := c.elect()
	c.cut[1] = true
	r := c.set(1, "a value")
	for g.leads() {
		c.tick()
	}
	c.nodes[1].in.Disconnected = []Disconnection{{Node: 2, Silent: silent}, {Node: 3, Silent: true}}
	for range int(after/DefaultTick) - 2 {
		c.tick()
	}
	h := c.nodes[1].h
	if g.leads() || kv.KindOf(r.Err) != kv.Internal || h.intake.uncommitted == 0 { // no answer yet
		t.Fatalf("leads %v, answer %v, %d bytes uncommitted", g.leads(), r.Err, h.intake.uncommitted)
	}
	for range 4 {
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
