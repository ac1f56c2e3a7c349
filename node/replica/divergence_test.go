package replica

import (
	"errors"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist"
)

// flip turns a bit of a replica's running hash around, as a fault of its node's memory would.
func (c *trio) flip(id kv.NodeID) {
	g := c.group(id)
	g.applied.Hash ^= 1
	g.hashes.ring[g.applied.Index%hashHistory] = appliedHash{g.applied.Index, g.applied.Hash}
}

func (c *trio) group(id kv.NodeID) *group { return c.nodes[id].h.groups.of[0] }

// set asks a node to set a key; the answer is there when it is decided.
func (c *trio) set(id kv.NodeID, value string) *entry.Reply {
	r := &entry.Reply{Err: kv.Errorf(kv.Internal, "no answer")}
	c.nodes[id].in.Ops = append(c.nodes[id].in.Ops, Op{Command: setCommand("k", value), Reply: func(got entry.Reply) {
		*r = got
	}})
	c.settle()
	return r
}

func (c *trio) read(id kv.NodeID) *kv.Error {
	e := kv.Errorf(kv.Internal, "no answer")
	c.nodes[id].in.Reads = append(c.nodes[id].in.Reads, ReadOp{Reply: func(got *kv.Error) { e = got }})
	c.settle()
	return e
}

// leader lets time pass until some node leads and may answer.
func (c *trio) leader() kv.NodeID {
	c.t.Helper()
	for range 100 {
		for id := kv.NodeID(1); id <= 3; id++ {
			if g := c.group(id); !c.cut[id] && g != nil && g.ready() {
				return id
			}
		}
		c.tick()
	}
	c.t.Fatal("nobody leads after 100 ticks")
	return 0
}

// await lets time pass until something is so.
func (c *trio) await(what string, ticks int, so func() bool) {
	c.t.Helper()
	for range ticks {
		if so() {
			return
		}
		c.tick()
	}
	if !so() {
		c.t.Fatalf("not so after %d ticks: %s", ticks, what)
	}
}

// alike requires that all replicas have the same state, and that none is in doubt or void.
func (c *trio) alike() {
	c.t.Helper()
	c.await("all have applied the same", 200, func() bool {
		a, b, d := c.group(1), c.group(2), c.group(3)
		return a.applied.Index == b.applied.Index && b.applied.Index == d.applied.Index && !a.trust.void &&
			!b.trust.void && !d.trust.void && a.trust.doubt == nil && b.trust.doubt == nil && d.trust.doubt == nil
	})
	for id := kv.NodeID(2); id <= 3; id++ {
		if a, b := c.group(1).applied, c.group(id).applied; a.Hash != b.Hash {
			c.t.Errorf("nodes 1 and %d differ at index %d: %016x and %016x", id, a.Index, a.Hash, b.Hash)
		}
	}
	for id := kv.NodeID(1); id <= 3; id++ {
		if c.nodes[id].h.Handle(0).Gone() {
			c.t.Errorf("node %d lets nobody read", id)
		}
	}
}

// A void replica that is the only incoming voter of a joint configuration elects nobody: the outgoing
// ones have their say. It is rebuilt in its place.
func TestAVoidReplicaThatIsToBeTheOnlyVoterDoesNotLead(t *testing.T) {
	t.Parallel()
	c := newTrioOf(t, &pb.ConfState{Voters: []uint64{2}, VotersOutgoing: []uint64{1, 2}})
	c.elect()
	c.writes(1, "a")
	if err := c.nodes[2].db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := persist.GiveUp(c.nodes[2].fs, "data", 0); err != nil {
		t.Fatal(err)
	}
	c.start(2, func(*persist.DB) {})
	c.cut[1] = true
	term := c.group(2).raft.term
	now := Message{Kind: RaftMessage, From: 1, To: 2, FromNode: 1, Raft: &pb.Message{
		Type: pb.MsgTimeoutNow.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(term),
	}}
	c.nodes[2].in.Messages = append(c.nodes[2].in.Messages, now)
	for range 4 * ElectionTicks {
		c.tick()
		if g := c.group(2); g.leads() || g.raft.term != term {
			t.Fatalf("void, it is %v in term %d", g.raft.role, g.raft.term)
		}
	}
	c.cut[1] = false
	c.await("it is rebuilt", 200, func() bool { return !c.group(2).trust.void })
	c.writes(c.leader(), "b")
}

func (c *trio) writes(id kv.NodeID, values ...string) {
	c.t.Helper()
	for _, v := range values {
		if r := c.set(id, v); r.Err != nil {
			c.t.Fatalf("write of %s on node %d: %v", v, id, r.Err)
		}
	}
}

// The leader's state went wrong: the others go on, and it is rebuilt from one of them.
func TestADivergedLeaderIsTheOddOneOut(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	if e := c.read(1); e != nil {
		t.Fatal(e)
	}
	c.holds = true
	c.flip(1)
	c.set(1, "b") // what it tells of this one may be wrong: nobody had seen the leader's hash before
	if !c.group(1).trust.void || c.group(2).trust.void || c.group(3).trust.void {
		t.Fatalf("void are %v, %v and %v: node 1 should be", c.group(1).trust.void,
			c.group(2).trust.void, c.group(3).trust.void)
	}
	h := c.nodes[1].h.Handle(0)
	if e := c.read(1); e == nil || h.HasLease(c.now) || !h.Gone() {
		t.Errorf("it still answers: read %v, lease %v, gone %v", e, h.HasLease(c.now), h.Gone())
	}
	next := c.leader()
	if next == 1 {
		t.Fatal("it leads again")
	}
	c.writes(next, "c")
	for range 100 {
		c.tick()
	}
	if !c.group(1).trust.void || c.leader() != next {
		t.Fatalf("before it is rebuilt: void %v, led by %d", c.group(1).trust.void, c.leader())
	}
	c.holds = false
	c.deliver()
	c.settle()
	c.alike()
	c.writes(c.leader(), "d")
	c.alike()
}

// A follower's state went wrong: its leader goes on.
func TestADivergedFollowerIsTheOddOneOut(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	c.holds = true
	c.flip(2)
	c.set(1, "b")
	if c.group(1).trust.void || !c.group(2).trust.void || c.group(3).trust.void {
		t.Fatalf("void are %v, %v and %v: node 2 should be", c.group(1).trust.void,
			c.group(2).trust.void, c.group(3).trust.void)
	}
	if c.leader() != 1 {
		t.Error("the leader changed")
	}
	c.writes(1, "c")
	if !c.nodes[2].h.Handle(0).Gone() {
		t.Error("the follower lets its state be read")
	}
	if err := c.nodes[1].h.Transfer(0, 2); err == nil {
		t.Error("it would be handed leadership")
	}
	c.holds = false
	c.deliver()
	c.settle()
	c.alike()
}

// Where nothing is written, heartbeats tell.
func TestADivergedReplicaIsFoundWhereNothingIsWritten(t *testing.T) {
	t.Parallel()
	for id := kv.NodeID(1); id <= 3; id++ {
		c := newTrio(t)
		c.elect()
		c.writes(1, "a")
		c.flip(id)
		found := c.nodes[id].h.Stats()
		c.await("it is found", 2*checkTicks, func() bool { return found.Diverged.Load() == 1 })
		c.alike()
	}
}

// Of two replicas nobody can know which one is right.
func TestNobodyKnowsWhichOfTwoIsRight(t *testing.T) {
	t.Parallel()
	c := newTrioOf(t, &pb.ConfState{Voters: []uint64{1, 2}})
	c.elect()
	c.writes(1, "a")
	c.flip(2)
	c.set(1, "b")
	for range 3 * patienceTicks {
		c.tick()
	}
	for id := kv.NodeID(1); id <= 2; id++ {
		g := c.group(id)
		if inDoubt, void := c.nodes[id].h.Differing(); g.trust.doubt == nil || !g.trust.doubt.told ||
			len(inDoubt) != 1 || len(void) != 0 {
			t.Errorf("node %d: doubt %+v; it says that it doubts %v, and that %v are void", id, g.trust.doubt, inDoubt,
				void)
		}
	}
	if r := c.set(1, "c"); r.Err == nil || r.Err.Kind != kv.Unavailable {
		t.Errorf("a write is taken: %v", r.Err)
	}
	if e := c.read(1); e == nil || c.nodes[1].h.Handle(0).HasLease(c.now) {
		t.Errorf("a read is answered: %v", e)
	}
	// A restart does not make either of them right.
	c.restart(2)
	c.restart(1)
	c.await("both are in doubt again", 3*checkTicks, func() bool {
		return c.group(1).trust.doubt != nil && c.group(2).trust.doubt != nil
	})
}

// A third one decides, when it comes back.
func TestAThirdReplicaDecides(t *testing.T) {
	t.Parallel()
	for wrong := kv.NodeID(1); wrong <= 2; wrong++ {
		c := newTrio(t)
		c.elect()
		c.writes(1, "a")
		c.cut[3] = true
		c.writes(1, "b")
		c.flip(wrong)
		c.set(1, "c")
		for range 3 * ElectionTicks {
			c.tick()
		}
		one, two := &c.group(1).trust, &c.group(2).trust
		if one.doubt == nil || two.doubt == nil || one.void || two.void {
			t.Fatalf("nodes 1 and 2 should be in doubt: %v, %v, void %v, %v", one.doubt, two.doubt, one.void, two.void)
		}
		c.cut[3] = false
		diverged := &c.nodes[wrong].h.Stats().Diverged
		c.await("the wrong one is found", 100, func() bool { return diverged.Load() == 1 })
		c.alike()
		if n := c.nodes[3-wrong].h.Stats().Diverged.Load() + c.nodes[3].h.Stats().Diverged.Load(); n != 0 {
			t.Errorf("%d healthy replicas were taken for wrong", n)
		}
	}
}

// A learner does not count, also when it is wrong.
func TestALearnerDecidesNothing(t *testing.T) {
	t.Parallel()
	c := newTrioOf(t, &pb.ConfState{Voters: []uint64{1}, Learners: []uint64{2, 3}})
	c.elect()
	c.writes(1, "a")
	c.flip(2)
	c.flip(3)
	c.set(1, "b")
	if n := c.nodes[2].h.Stats().Diverged.Load() + c.nodes[3].h.Stats().Diverged.Load(); n != 2 ||
		c.nodes[1].h.Stats().Diverged.Load() != 0 {
		t.Errorf("%d learners were found wrong, and the voter %d times", n, c.nodes[1].h.Stats().Diverged.Load())
	}
	c.alike()
	c.writes(1, "c")
}

// A void state is not believed by the next process either, and its replica keeps its promises: with one
// other voter it still makes a majority.
func TestAVoidReplicaVotesAndAcknowledgesButNeverLeads(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	c.holds = true
	c.flip(1)
	c.set(1, "b")
	c.restart(1)
	g := c.group(1)
	if !g.trust.void || !c.nodes[1].h.Handle(0).Gone() {
		t.Fatal("the restart believes the state")
	}
	next := c.leader()
	c.writes(next, "c")
	c.cut[5-next] = true // of the others one is left
	c.writes(next, "d")
	for range 5 * ElectionTicks {
		c.tick()
	}
	if !g.trust.void || g.raft.role != 0 || c.leader() != next {
		t.Fatalf("void %v, role %v", g.trust.void, g.raft.role)
	}
	c.cut[5-next], c.cut[next] = false, true // the one that lags needs its vote, and may not have it
	c.order(1, func(h *Host) { _ = g.raft.Campaign(); h.groups.mark(g) })
	for range 5 * ElectionTicks {
		c.tick()
		if g.leads() {
			t.Fatal("it leads")
		}
	}
	c.cut[next], c.holds = false, false
	c.deliver()
	c.alike()
	c.restart(1)
	if c.group(1).trust.void {
		t.Error("it is void again after a restart")
	}
	c.alike()
}

// What was acknowledged behind the snapshot's last entry stays in the log.
func TestTheLogBehindTheSnapshotStays(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	c.holds = true
	c.flip(2)
	c.set(1, "b")
	c.await("a snapshot is on its way", 50, func() bool { return len(c.held) > 0 })
	c.writes(1, "c", "d", "e")
	last, _ := c.group(2).store.LastIndex()
	at := c.held[0].staged.Applied().Index
	c.cut[2] = true // so that it gets nothing later
	c.deliver()
	c.turn(2)
	if g := c.group(2); !g.trust.rebuilding {
		t.Fatal("the snapshot is not taken")
	}
	c.turn(2)
	g := c.group(2)
	first, _ := g.store.FirstIndex()
	got, _ := g.store.LastIndex()
	if g.trust.void || first != at+1 || got < last || last < at+3 {
		t.Fatalf("void %v; the log is from %d to %d, the snapshot of %d, and %d was acknowledged", g.trust.void, first,
			got, at, last)
	}
	c.cut[2], c.holds = false, false
	c.alike()
}

// Its own configuration is what a leader leaves last: it must not count a commit by half of one.
func TestADivergedLeaderOfAJointConfigurationStepsDown(t *testing.T) {
	t.Parallel()
	c := newTrioOf(t, &pb.ConfState{Voters: []uint64{1, 2, 3}, VotersOutgoing: []uint64{1, 2, 3}})
	c.elect()
	c.writes(1, "a")
	c.holds = true
	c.flip(1)
	c.cut[1] = true
	for id := kv.NodeID(2); id <= 3; id++ {
		c.order(1, func(h *Host) {
			g := h.groups.of[0]
			if g.trust.doubt == nil {
				g.suspect()
			}
			hash, _ := c.group(id).hashes.at(g.trust.doubt.own.index)
			own := g.trust.doubt.own.index
			g.hear(Message{Kind: Compared, From: kv.ReplicaID(id), FromNode: id, Index: own, Hash: hash})
		})
	}
	commit := c.group(1).raft.commit
	c.set(1, "b")
	if g := c.group(1); !g.trust.void || g.leads() || g.raft.commit != commit {
		t.Fatalf("void %v, leads %v, commit %d was %d", g.trust.void, g.leads(), g.raft.commit, commit)
	}
	c.cut[1], c.holds = false, false
	c.leader()
	c.alike()
}

// A snapshot that is not newer than the void state is not taken: a restart could not tell them apart.
func TestARebuiltStateIsNewerThanTheVoidOne(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	c.holds = true
	c.flip(2)
	at := c.group(2).applied.Index
	c.await("it is found", 2*checkTicks, func() bool { return c.group(2).trust.void })
	c.await("a snapshot is on its way", 50, func() bool { return len(c.held) > 0 })
	if got := c.held[0].staged.Applied().Index; got <= at {
		t.Errorf("a snapshot of index %d for a void state of %d", got, at)
	}
	old := c.held[0].ship.Request
	staged, err := c.nodes[2].db.StageSnapshot(0, snapshotFor(t, 0)) // of index 7 and another group
	if err != nil {
		t.Fatal(err)
	}
	c.nodes[2].in.Snapshots = append(c.nodes[2].in.Snapshots, ArrivedSnapshot{
		Request: old, FromNode: 1, Staged: staged,
	})
	c.turn(2)
	if c.group(2).trust.rebuilding {
		t.Error("it is taken")
	}
	c.holds = false
	c.deliver()
	c.alike()
}

// Where nobody can know, an operator decides: whose copy he gave up is rebuilt from the other.
func TestAnOperatorDecidesBetweenTwo(t *testing.T) {
	t.Parallel()
	for wrong := kv.NodeID(1); wrong <= 2; wrong++ {
		c := newTrioOf(t, &pb.ConfState{Voters: []uint64{1, 2}})
		c.elect()
		c.writes(1, "a")
		c.flip(wrong)
		c.set(1, "b")
		c.await("both are in doubt", 100, func() bool {
			return c.group(1).trust.doubt != nil && c.group(2).trust.doubt != nil
		})
		if err := persist.GiveUp(c.nodes[wrong].fs, "data", 0); err != nil {
			t.Fatal(err)
		}
		c.restart(wrong)
		if !c.group(wrong).trust.void {
			t.Fatal("the copy that was given up is not void")
		}
		right := 3 - wrong
		c.await("the other one leads", 300, func() bool {
			return c.group(right).ready() && c.group(right).trust.doubt == nil
		})
		c.writes(right, "c")
		c.await("it is rebuilt", 300, func() bool { return !c.group(wrong).trust.void })
		c.restart(wrong)
		c.await("both are alike", 300, func() bool {
			a, b := c.group(1).applied, c.group(2).applied
			return a.Index == b.Index && a.Hash == b.Hash
		})
		if c.group(wrong).trust.void {
			t.Error("it is void again after a restart")
		}
	}
}

// What failed on the way to a void replica is remembered while nothing is heard of it, and forgotten when
// it answers and is void no more.
func TestFailuresOfAVoidReplicaAreNotForgottenInSilence(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	c.writes(1, "a")
	c.holds = true
	c.flip(2)
	c.set(1, "b")
	failures := func() int {
		if f := g.h.shipping.of(g, 2); f != nil {
			return f.failures
		}
		return 0
	}
	c.await("a snapshot is on its way", 50, func() bool { return len(c.held) > 0 })
	for _, s := range c.held {
		s.staged.Discard()
		c.nodes[1].in.Reports = append(c.nodes[1].in.Reports, SnapshotReport{
			Shipment: s.ship, Err: errors.New("the link broke"),
		})
	}
	c.held, c.cut[2] = nil, true
	for range 10 * ElectionTicks {
		c.tick()
	}
	if n := failures(); n != 1 {
		t.Errorf("after a silence %d failures are remembered, there was 1", n)
	}
	c.cut[2], c.holds = false, false
	c.deliver()
	c.alike()
	c.await("it is forgotten", 100, func() bool { return failures() == 0 })
}
