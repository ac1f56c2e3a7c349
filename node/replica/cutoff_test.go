package replica

import (
	"testing"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

// A leader that is cut off while a purge and writes of its own wait has none of them left when it is
// back, though nothing more is written: the first entry of its successor decides them all.
func TestALeaderThatWasCutOffIsLeftWithNothing(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.wall = map[kv.NodeID]int64{1: 1_000_000, 2: 1_000_000, 3: 1_000_000}
	g := c.elect()
	c.write(1, kv.Command{
		Op: kv.OpPut, Key: []byte("k"), Value: text("v"), Expiry: kv.Expiry{Kind: kv.ExpiryIn, MS: 2_000},
	})
	for range 20 {
		c.tick()
	}
	cutOff := func() {
		for id := kv.NodeID(1); id <= 3; id++ {
			in := &c.nodes[id].in
			kept := in.Messages[:0]
			for _, m := range in.Messages {
				if id != 1 && m.FromNode != 1 {
					kept = append(kept, m)
				}
			}
			in.Messages = kept
		}
	}
	var answers []*kv.Error
	for range 3 {
		c.nodes[1].in.Ops = append(c.nodes[1].in.Ops, Op{Command: setCommand("w", "1"), Reply: func(r entry.Reply) {
			answers = append(answers, r.Err)
		}})
		c.turn(1)
		cutOff()
	}
	purged := false
	for range 40 {
		c.now += DefaultTick
		for id := kv.NodeID(1); id <= 3; id++ {
			c.nodes[id].in.Tick = true
			c.turn(id)
			cutOff()
		}
		purged = purged || g.purging.underWay
		for range 30 {
			for id := kv.NodeID(1); id <= 3; id++ {
				c.turn(id)
				cutOff()
			}
		}
	}
	h := c.nodes[1].h
	if g.leads() || !purged || h.purges.underWay != 0 {
		t.Fatalf("cut off it leads: %v; it began a purge: %v, and counts %d", g.leads(), purged, h.purges.underWay)
	}
	for range 40 {
		c.tick()
	}
	if h.Awaited() != 0 || h.intake.uncommitted != 0 || len(answers) != 3 {
		t.Errorf("back again %d groups wait with %d bytes; %d of 3 writes are answered", h.Awaited(),
			h.intake.uncommitted, len(answers))
	}
	for _, err := range answers {
		if err == nil || err.Kind != kv.Unavailable {
			t.Errorf("a write that certainly never happens ends with %v", err)
		}
	}
}
