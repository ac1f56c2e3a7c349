package replica

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/data"
)

// Whatever the wall clock does, a group's clock goes forward, and neither stops nor leaps.
func TestGroupClockIsSteady(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c groupClock
		now := Now{Boot: time.Hour, WallMS: 1 << 40}
		last := c.read(now, 0)
		for range 50 {
			step := time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(t, "step"))
			now.Boot += step
			now.WallMS += step.Milliseconds() + rapid.SampledFrom([]int64{
				0, 0, 0, 1, -1, 3600_000, -3600_000, 1 << 41,
			}).Draw(t, "jump")
			ms := c.read(now, 0)
			least, most := last+(step-step/8).Milliseconds()-1, last+(step+step/8).Milliseconds()+1
			if ms < last || ms < least || ms > most {
				t.Fatalf("%v after %d it is %d", step, last, ms)
			}
			last = ms
		}
	})
}

// Words of the leader that waited here, or were under way for long, are no news of what time it is.
func TestAnOldWordSetsNoClockBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Int64Range(80, 120).Draw(t, "rate") // of the leader's clock, in percent of ours
		leader := func(boot time.Duration) int64 { return 1_000_000 + boot.Milliseconds()*rate/100 }
		var c groupClock
		c.hear(leader(0), 0)
		boot, last, late := time.Duration(0), c.ns, time.Duration(0)
		for range 50 {
			boot += time.Duration(rapid.Int64Range(1, 500).Draw(t, "step")) * time.Millisecond
			late = time.Duration(rapid.SampledFrom([]int64{0, 0, 0, 1, 50, 4000}).Draw(t, "late")) * time.Millisecond
			c.hear(leader(max(0, boot-late)), boot)
			if c.ns < last {
				t.Fatalf("after a word that was %v late the clock goes back by %v", late, time.Duration(last-c.ns))
			}
			last = c.ns
		}
		for range 50 { // words that are not late: it is right again
			boot += 500 * time.Millisecond
			c.hear(leader(boot), boot)
		}
		if got := c.ns / int64(time.Millisecond); got != leader(boot) {
			t.Errorf("the clock is at %d, its leader's at %d", got, leader(boot))
		}
	})
}

func TestGroupClockFollowsTheWallClockInTime(t *testing.T) {
	t.Parallel()
	for _, off := range []int64{-8000, 8000} {
		c := groupClock{}
		c.hear(1_000_000, 0)
		now := Now{WallMS: 1_000_000 + off}
		for range 1000 { // 70 s
			now.Boot += 70 * time.Millisecond
			now.WallMS += 70
			c.read(now, 0)
		}
		if got := c.read(now, 0); got != now.WallMS {
			t.Errorf("70 s after a step of %d ms it is %d, the wall clock %d", off, got, now.WallMS)
		}
	}
}

// A node with a wrong wall clock comes to lead: deadlines come when they would have come.
func TestDeadlinesSurviveALeaderWithAWrongClock(t *testing.T) {
	t.Parallel()
	for name, wrong := range map[string]int64{"ahead": 1_000_000 + 3600_000, "behind": 1_000_000 - 900_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTrio(t)
			c.wall = map[kv.NodeID]int64{1: 1_000_000, 2: wrong, 3: 1_000_000}
			c.elect()
			c.write(1, kv.Command{
				Op: kv.OpPut, Key: []byte("k"), Value: text("v"), Expiry: kv.Expiry{Kind: kv.ExpiryIn, MS: 60_000},
			})
			for range 10 {
				c.tick()
			}
			c.order(1, func(h *Host) { _ = h.Transfer(0, 2) })
			c.settle()
			two := c.group(2)
			if !two.ready() {
				t.Fatal("replica 2 does not lead")
			}
			began := c.now
			for found := true; found; c.tick() {
				found = c.write(2, kv.Command{Op: kv.OpRead, Key: []byte("k")}).Outcome == kv.Done
				if d := c.now - began; !found && d < 52*time.Second || found && d > 68*time.Second {
					t.Fatalf("with a minute to live, after %v: found %v", d, found)
				}
			}
		})
	}
}

// write applies a command through a node that leads.
func (c *trio) write(id kv.NodeID, cmd kv.Command) (res kv.Result) {
	c.t.Helper()
	done := false
	c.nodes[id].in.Ops = append(c.nodes[id].in.Ops, Op{Command: cmd.AppendTo(nil), Reply: func(r entry.Reply) {
		if r.Err != nil {
			c.t.Fatal(r.Err)
		}
		res, done = r.Result, true
	}})
	c.settle()
	if !done {
		c.t.Fatal("a command got no answer")
	}
	return res
}

// What is due costs no command: the leader purges by itself, and every replica alike.
func TestTheLeaderPurges(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.wall = map[kv.NodeID]int64{1: 1_000_000, 2: 1_000_000, 3: 1_000_000}
	c.elect()
	keys := 3*c.nodes[1].h.cfg.Limits.PurgeKeys + 10
	for i := range keys {
		c.write(1, kv.Command{Op: kv.OpPut, Key: []byte{byte(i), byte(i >> 8)}, Value: text("v"),
			Expiry: kv.Expiry{Kind: kv.ExpiryIn, MS: 5000}})
	}
	index := c.nodes[1].h.Inspect(0).Applied.Index
	for range 10 {
		c.tick()
	}
	if got := c.nodes[1].h.Inspect(0).Applied.Index; got != index {
		t.Fatalf("%d entries were proposed and nothing was due", got-index)
	}
	for range 100 {
		c.tick()
	}
	for id, n := range c.nodes {
		if items, _, err := n.h.cfg.DB.Scan(0, data.Query{KeysOnly: true, MaxItems: 1}); err != nil || len(items) > 0 {
			t.Errorf("node %d still has %v, %v", id, items, err)
		}
		if n.h.Inspect(0).Applied.Hash != c.nodes[1].h.Inspect(0).Applied.Hash {
			t.Errorf("node %d differs", id)
		}
	}
	stats := c.nodes[1].h.Stats()
	if got := c.nodes[1].h.Inspect(0).Applied.Index - index; got != 4 || stats.Purges.Load() != 4 ||
		stats.Expired.Load() != int64(keys) {
		t.Errorf("%d keys took %d entries; counted are %d of %d keys", keys, got, stats.Purges.Load(),
			stats.Expired.Load())
	}
}

// Reads at a deadline wait for the group's time, all of a turn with one entry.
func TestBarriersShareAnEntryAndMoveTime(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.wall = map[kv.NodeID]int64{1: 1_000_000, 2: 1_000_000, 3: 1_000_000}
	c.elect()
	c.write(1, kv.Command{
		Op: kv.OpPut, Key: []byte("k"), Value: text("v"), Expiry: kv.Expiry{Kind: kv.ExpiryIn, MS: 100},
	})
	h := c.nodes[1].h.Handle(0)
	deadline := h.Time() + 100
	c.now += 90 * time.Millisecond
	life := func() Life {
		c.order(1, func(*Host) {})
		c.settle()
		return h.Life(deadline, h.Time(), Now{Boot: c.now, WallMS: c.wallMS(1)})
	}
	if got := life(); got != Alive {
		t.Errorf("10 ms before the deadline: %d", got)
	}
	c.now += 20 * time.Millisecond
	if got := life(); got != Due {
		t.Errorf("10 ms after the deadline: %d", got)
	}
	index, answers := h.Applied(), 0
	for range 5 {
		c.nodes[1].in.Ops = append(c.nodes[1].in.Ops, Op{Reply: func(r entry.Reply) {
			if r.Err == nil && h.Life(deadline, h.Time(), Now{Boot: c.now}) == Expired {
				answers++
			}
		}})
	}
	c.settle()
	if answers != 5 || h.Applied() != index+1 {
		t.Errorf("%d of 5 saw that time went on, after %d entries", answers, h.Applied()-index)
	}
}
