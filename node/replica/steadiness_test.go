package replica

import (
	"testing"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

// A leader hears its followers with every second tick; one that falls silent stays at its last
// tick, in ticks of the node that listens.
func TestAHostKnowsWhenItHeardEachNode(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	for range 4 {
		c.tick()
	}
	h := c.nodes[1].h
	last, ok := h.Heard(2)
	if !ok || h.Ticks()-last > heartbeatTicks {
		t.Fatalf("node 2 was last heard at tick %d of %d", last, h.Ticks())
	}
	if _, ok := h.Heard(7); ok {
		t.Error("a stranger was heard")
	}
	for range 20 {
		c.nodes[2].in = Input{}
		c.now += DefaultTick
		c.nodes[1].in.Tick = true
		c.turn(1)
		c.turn(3)
	}
	if again, _ := h.Heard(2); again > last+1 || h.Ticks()-again < 18 {
		t.Errorf("silent node 2 was last heard at tick %d of %d", again, h.Ticks())
	}
}

// A pause of a node is a stall of its own, and no silence of the others: it does not tick meanwhile.
func TestAPauseIsAStallOfOnesOwn(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.tick()
	h := c.nodes[1].h
	if h.Stalls() != 0 {
		t.Fatalf("%d stalls of a node that runs", h.Stalls())
	}
	c.now += (stallTicks - 2) * DefaultTick
	c.tick()
	if h.Stalls() != 0 {
		t.Fatalf("%d stalls after a short pause", h.Stalls())
	}
	before := h.Ticks()
	c.now += 3 * stallTicks * DefaultTick
	c.tick()
	if h.Stalls() != 1 || h.Ticks() != before+1 {
		t.Fatalf("%d stalls, %d ticks after a long pause", h.Stalls(), h.Ticks()-before)
	}
}

// So is a disk that takes as long for a job, once.
func TestASlowDiskIsAStall(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	h := c.nodes[1].h
	c.nodes[1].in.Ops = append(c.nodes[1].in.Ops, Op{Partition: 0, Reply: func(entry.Reply) {}})
	if _, err := h.Turn(Now{Boot: c.now, WallMS: 1}, &c.nodes[1].in); err != nil {
		t.Fatal(err)
	}
	c.nodes[1].in = Input{}
	j := h.TakeJob()
	if j == nil || !j.NeedsSync() || !g.leads() {
		t.Fatal("no job to wait for")
	}
	stalled := func(ticks int) uint64 {
		for range ticks {
			c.now += DefaultTick
			if _, err := h.Turn(Now{Boot: c.now, WallMS: 1}, &Input{Tick: true}); err != nil {
				t.Fatal(err)
			}
		}
		return h.Stalls()
	}
	if n := stalled(stallTicks); n != 0 {
		t.Fatalf("%d stalls too early", n)
	}
	if n := stalled(3 * stallTicks); n != 1 {
		t.Fatalf("%d stalls for one slow job", n)
	}
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
}

// While the leader's disk hangs its heartbeats go on, so nobody would be elected. It hands over to a
// follower that answers, whose writes need only the other two; what was proposed before is not lost.
func TestALeaderWhoseDiskHangsHandsOver(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.tick()
	n := c.nodes[1]
	n.in.Ops = append(n.in.Ops, write("before", func(entry.Reply) {}))
	out, err := n.h.Turn(Now{Boot: c.now, WallMS: c.wallMS(1)}, &n.in)
	if err != nil {
		t.Fatal(err)
	}
	n.in = Input{}
	c.send(1, out.Frames)
	j := n.h.TakeJob()
	if j == nil || !j.NeedsSync() {
		t.Fatal("no job to wait for")
	}
	// Until the job is given back, the host hands out no other: its disk hangs.
	leader := kv.NodeID(0)
	for range 2 * ElectionTicks {
		c.tick()
		for id := kv.NodeID(2); id <= 3; id++ {
			if c.group(id).ready() {
				leader = id
			}
		}
	}
	if leader == 0 || n.h.groups.of[0].leads() {
		t.Fatalf("node %d leads after twice the time of an election", leader)
	}
	var done entry.Reply
	in := &c.nodes[leader].in
	in.Ops = append(in.Ops, write("after", func(r entry.Reply) { done = r }))
	c.settle()
	if done.Err != nil || done.Result.Outcome != kv.Done {
		t.Errorf("a write at the new leader: %+v", done)
	}
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	c.send(1, j.Frames())
	n.in.Finished = append(n.in.Finished, j)
	c.settle()
	for range 2 * heartbeatTicks {
		c.tick()
	}
	for id := kv.NodeID(1); id <= 3; id++ {
		if got, want := c.group(id).applied.Hash, c.group(leader).applied.Hash; got != want || got == 0 {
			t.Errorf("node %d has applied %x, the leader %x", id, got, want)
		}
	}
}

func write(key string, done func(entry.Reply)) Op {
	c := kv.Command{Op: kv.OpPut, Key: []byte(key), Value: kv.Value{Kind: kv.String, Data: []byte("v")}}
	return Op{Partition: 0, Command: c.AppendTo(nil), Reply: done}
}

func TestWhoWasHeardIsBounded(t *testing.T) {
	t.Parallel()
	var s steadiness
	for id := range kv.NodeID(3 * maxHeard) {
		s.hear(id, 1)
	}
	if len(s.heard) > maxHeard {
		t.Fatalf("remembers %d nodes", len(s.heard))
	}
}
