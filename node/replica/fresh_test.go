package replica

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

// age is what a node's replica says of its state now, in ticks, rounded up; -1: nothing.
func (c *trio) age(id kv.NodeID) int {
	d, ok := c.nodes[id].h.Handle(0).Staleness(Now{Boot: c.now})
	if !ok {
		return -1
	}
	return int((d + DefaultTick - 1) / DefaultTick)
}

func (c *trio) ticks(n int) {
	c.t.Helper()
	for range n {
		c.tick()
	}
}

// hold lets n ticks pass for all but one node, for which everything waits.
func (c *trio) hold(still kv.NodeID, n int) {
	c.t.Helper()
	for range n {
		c.now += DefaultTick
		for id := range kv.NodeID(3) {
			if id++; id != still {
				c.nodes[id].in.Tick = true
				c.turn(id)
			}
		}
	}
}

// A follower that stood still finds heartbeats that have waited: they say nothing about now.
func TestHeartbeatsThatWaitedAreNotNow(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	if got := c.age(2); got != -1 {
		t.Errorf("before its leader knows anything of its clock: %d ticks old, want no claim", got)
	}
	c.ticks(3 * heartbeatTicks)
	if got := c.age(2); got < 1 || got > 2*heartbeatTicks {
		t.Errorf("with a leader at hand it is %d ticks old", got)
	}
	c.hold(2, 30)
	c.turn(2)
	if got := c.age(2); got < 30 {
		t.Errorf("after 30 ticks of standing still, and all that waited, it is %d ticks old", got)
	}
	c.settle()
	c.ticks(2 * heartbeatTicks)
	if got := c.age(2); got > 2*heartbeatTicks {
		t.Errorf("when it runs again it is %d ticks old", got)
	}
}

// A leader that stood still finds answers that have waited: it may have been replaced since.
func TestAnswersThatWaitedAreNotNow(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.ticks(3 * heartbeatTicks)
	if got := c.age(1); got > heartbeatTicks {
		t.Errorf("with both followers at hand its state is %d ticks old", got)
	}
	c.now += DefaultTick // a heartbeat leaves, or the next does
	c.nodes[1].in.Tick = true
	c.turn(1)
	c.now += DefaultTick
	c.nodes[1].in.Tick = true
	c.turn(1)
	c.turn(2)
	c.turn(3)
	c.now += 5 * time.Second // it stood still, and so has not stepped down yet
	c.nodes[1].in.Tick = true
	c.turn(1)
	if !c.nodes[1].h.Handle(0).Leader().Self {
		t.Fatal("it does not lead")
	}
	if got := c.age(1); got < int(5*time.Second/DefaultTick) {
		t.Errorf("5 s after it stood still, and all that waited, it is %d ticks old", got)
	}
}

// A leader that hears nobody may have been replaced: it says since when nobody else can have led.
func TestALeaderThatHearsNobodyDoesNotSayThatItIsFresh(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.ticks(3 * heartbeatTicks)
	before := c.age(1)
	c.now += 5 * time.Second
	if got := c.age(1); got < before+int(5*time.Second/DefaultTick) {
		t.Errorf("5 s later it is %d ticks old", got)
	}
}

// Before an entry of its own term is applied, a leader may lack what was acknowledged before it.
func TestALeaderThatHasAppliedNothingYetClaimsNothing(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	c.ticks(1)
	g.applied.Term-- // as if it were not
	c.ticks(3 * heartbeatTicks)
	for id := range kv.NodeID(3) {
		if got := c.age(id + 1); got != -1 {
			t.Errorf("node %d is %d ticks old", id+1, got)
		}
	}
	g.applied.Term++
	c.ticks(2 * heartbeatTicks)
	for id := range kv.NodeID(3) {
		if got := c.age(id + 1); got < 0 || got > 2*heartbeatTicks {
			t.Errorf("later node %d is %d ticks old", id+1, got)
		}
	}
}

// A follower that hears its leader well may still be far behind: what it says of its age counts
// from the last moment at which it had everything.
func TestStalenessCountsFromTheLastFullState(t *testing.T) {
	t.Parallel()
	h, _ := follower(t)
	at := time.Hour
	hear := func(committed, back uint64) {
		t.Helper()
		m := Message{Kind: RaftMessage, From: 1, To: 2, FromNode: 1, Committed: committed, Raft: &pb.Message{
			Type: pb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(2)),
			Commit: new(uint64(1)),
		}}
		putStamps(m.Raft, 1, back)
		if _, err := h.Turn(Now{Boot: at}, &Input{Messages: []Message{m}}); err != nil {
			t.Fatal(err)
		}
	}
	age := func() string {
		d, ok := h.Handle(0).Staleness(Now{Boot: at, WallMS: 9_000})
		return fmt.Sprint(d, ok)
	}
	hear(1, 0) // a leader that knows of no stamps, or has none yet
	if _, ok := h.Handle(0).Staleness(Now{Boot: at}); ok {
		t.Errorf("without a stamp it claims %s", age())
	}
	for _, foreign := range []uint64{h.stamp(at + 1), h.stamp(at - time.Minute), 1} { // of another process
		hear(1, foreign)
		if _, ok := h.Handle(0).Staleness(Now{Boot: at}); ok {
			t.Errorf("with a stamp that it cannot have made it claims %s", age())
		}
	}
	full := h.stamp(at)
	at += time.Second
	hear(1, full) // all that was committed is here
	at += time.Second
	hear(5, h.stamp(at-time.Second)) // four entries are not
	at += time.Second
	hear(6, h.stamp(at))
	if got := age(); got != "3s true" {
		t.Errorf("three seconds after the last full state it says %s", got)
	}
}

// One follower's word is no majority's: of five replicas, two others must have followed since.
func TestAMinorityMakesNobodyFresh(t *testing.T) {
	t.Parallel()
	k := known{infos: []replicaInfo{
		{id: 1}, {id: 2, followed: 3}, {id: 3, followed: 2}, {id: 4}, {id: 5, followed: 7},
	}}
	five := []uint64{1, 2, 3, 4, 5}
	for _, c := range []struct {
		voters []uint64
		other  kv.ReplicaID
		want   time.Duration
	}{
		{five, 1, 3}, {five, 2, 7}, {five, 5, 3}, {five, 9, 3},
		{[]uint64{1, 2, 3}, 2, 10}, {[]uint64{1, 2, 3}, 9, 3}, {[]uint64{1, 2, 3, 4}, 2, 2}, {[]uint64{1, 6, 7}, 9, 0},
		{[]uint64{1}, 1, 10},
	} {
		if got := k.followedBy(c.voters, 1, c.other, 10); got != c.want {
			t.Errorf("voters %v, stamp of %d: %d, want %d", c.voters, c.other, got, c.want)
		}
	}
}

// A node whose version knows of no stamps reads over them, and what it sends is read as before.
func TestStampsAreReadOverByOlderVersions(t *testing.T) {
	t.Parallel()
	beat := func() *Message {
		return &Message{Kind: RaftMessage, From: 1, To: 2, Committed: 5, TimeMS: 9,
			Raft: &pb.Message{Type: pb.MsgHeartbeat.Enum(), Term: new(uint64(7)), Commit: new(uint64(4))}}
	}
	plain := appendMessage(nil, beat())
	if want := []byte{1, 0, 0, 0, 0, 1, 2, byte(pb.MsgHeartbeat), 0, 7, 4, 5, 18}; !bytes.Equal(plain, want) {
		t.Errorf("without stamps: % x, want % x", plain, want)
	}
	stamped := beat()
	putStamps(stamped.Raft, 300, 2)
	// As an append has log term and index, behind a flag that every version knows.
	if got, want := appendMessage(nil, stamped), []byte{
		1, 0, 0, 0, 0, 1, 2, byte(pb.MsgHeartbeat), raftHasLogTerm, 7, 4, 0xac, 2, 2, 5, 18,
	}; !bytes.Equal(got, want) {
		t.Errorf("with stamps: % x, want % x", got, want)
	}
	got, err := DecodeFrame(nil, 1, frameOf([]Message{*stamped}))
	if err != nil || got[0].Committed != 5 || got[0].TimeMS != 9 {
		t.Fatalf("%+v, %v", got, err)
	}
	if own, back := stampsOf(got[0].Raft); own != 300 || back != 2 {
		t.Errorf("stamps %d and %d", own, back)
	}
}

// lookingCache looks at a replica at the moment at which effects can be read and Applied does not say
// so yet.
type lookingCache struct {
	noCache
	look func()
}

func (c lookingCache) End(kv.PartitionID, []byte, *kv.Item) { c.look() }

// A read never shows what lies above the index that it names.
func TestAReadNamesAnIndexThatCoversIt(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	looked := 0
	for _, n := range c.nodes {
		n.h.cfg.Cache = lookingCache{look: func() {
			if _, found, err := n.h.cfg.DB.Get(0, []byte("k")); err != nil || !found {
				t.Errorf("%v, %v", found, err)
			}
			if at, shown := n.h.groups.of[0].applied.Index, n.h.Handle(0).Shown(); shown < at {
				t.Errorf("what index %d did can be read, and its reader is told index %d", at, shown)
			}
			looked++
		}}
	}
	put := kv.Command{Op: kv.OpPut, Key: []byte("k"), Value: kv.Value{Kind: kv.Binary, Data: []byte("v")}}
	for range 3 {
		c.nodes[1].in.Ops = append(c.nodes[1].in.Ops, Op{Command: put.AppendTo(nil), Reply: func(r entry.Reply) {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}})
		c.settle()
		c.ticks(heartbeatTicks)
	}
	if looked != 9 {
		t.Errorf("looked %d times, want 9", looked)
	}
}
