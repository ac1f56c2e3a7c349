package replica

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist"
)

// giveUp restarts a node that finds its copy given up.
func (c *trio) giveUp(id kv.NodeID) *group {
	c.t.Helper()
	if err := persist.GiveUp(c.nodes[id].fs, "data", 0); err != nil {
		c.t.Fatal(err)
	}
	c.restart(id)
	if !c.group(id).trust.void {
		c.t.Fatal("the copy that was given up is believed")
	}
	return c.group(id)
}

// A void replica and the leader have acknowledged a write that the third one lacks, and the leader is lost.
// The void one is elected, for nobody else can be, gives the third what it lacks, answers nobody, and hands
// over.
func TestAGroupWithAVoidReplicaBearsTheLossOfItsLeader(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	c.holds = true
	void := c.giveUp(2)
	c.leader()
	for range 2 * ElectionTicks {
		c.tick()
	}
	c.cut[3] = true
	c.writes(1, "b")
	want := c.group(1).applied.Hash
	c.cut[1], c.cut[3] = true, false
	led := false
	for range 40 * ElectionTicks {
		c.tick()
		if led = led || void.raft.role == 2; void.leads() || c.nodes[2].h.Handle(0).Leader().Self {
			t.Fatal("the void one answers for the group")
		}
		if c.group(3).ready() {
			break
		}
	}
	if g := c.group(3); !g.ready() || !led {
		t.Fatalf("the third leads: %v; the void one bore the leadership: %v", g.ready(), led)
	}
	if rec, ok, err := c.nodes[3].db.Get(0, []byte("k")); err != nil || !ok || string(rec.Value.Data) != "b" {
		t.Errorf("the third has %q, %v, %v", rec.Value.Data, ok, err)
	}
	if want == 0 {
		t.Error("nothing was written")
	}
	c.writes(3, "c")
	c.cut[1], c.holds = false, false
	c.deliver()
	c.alike()
}

// Where another one can be elected a void replica does not stand.
func TestAVoidReplicaStandsOnlyWhereNobodyElseCan(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	c.holds = true
	void := c.giveUp(2)
	c.writes(c.leader(), "b")
	for range 3 {
		last := c.leader()
		c.cut[last] = true
		next := c.leader()
		if void.raft.role != 0 {
			t.Fatalf("the void one is %v", void.raft.role)
		}
		c.cut[last] = false
		c.writes(next, "c")
	}
}

// A void replica follows who belongs to its group: after a restart it asks those that are there, and not
// who was when its state was flushed last.
func TestAVoidReplicaKnowsItsConfiguration(t *testing.T) {
	t.Parallel()
	c := newTrioOf(t, &pb.ConfState{Voters: []uint64{1, 2}})
	c.elect()
	c.writes(1, "a")
	c.holds = true
	c.giveUp(2)
	leader := c.leader()
	add := &pb.ConfChangeV2{
		Changes: []*pb.ConfChangeSingle{{Type: pb.ConfChangeAddNode.Enum(), NodeId: new(uint64(3))}},
	}
	c.order(leader, func(h *Host) {
		if err := h.ProposeConf(0, add, []kv.Replica{{ID: 3, Node: 3}}); err != nil {
			t.Error(err)
		}
	})
	c.settle()
	has := func() bool { return InConf(c.group(2).applied.Conf, 3) }
	c.await("it knows the third", 4*ElectionTicks, has)
	if got := c.group(2).applied.Index; got != c.group(2).store.Applied().Index {
		t.Errorf("its state moved on to index %d", got)
	}
	c.cut[1] = true
	c.restart(2)
	c.turn(2)
	c.await("it knows the third again", 4, has)
}

// A snapshot that the library accepted in the turn in which the state was condemned is installed: it
// is as good as another one.
func TestASnapshotThatWasAcceptedOutlivesTheCondemnation(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 0, Limits{})
	staged, err := s.db.StageSnapshot(5, snapshotFor(t, 5))
	if err != nil {
		t.Fatal(err)
	}
	s.in.Snapshots = append(s.in.Snapshots, ArrivedSnapshot{
		Request: SnapshotRequest{Partition: 5, From: 50, To: 51, ToNode: 2, Term: 1}, FromNode: 1, Staged: staged,
	})
	s.in.Orders = append(s.in.Orders, func(h *Host) {
		g := h.groups.of[5]
		if g.incoming.staged == nil {
			t.Error("no snapshot is staged")
		}
		g.setDoubt(&doubt{})
		g.condemn()
	})
	for range 3 {
		s.step()
	}
	if g := s.h.groups.of[5]; g.trust.void || g.applied.Index != 7 || s.h.Handle(5).Gone() || g.store.Void() {
		t.Errorf("void %v, at index %d; on disk %v", g.trust.void, g.applied.Index, g.store.Void())
	}
}

// In a joint configuration a void replica may be the only incoming voter, and have an entry that the outgoing
// one lacks: it was the leader, and crashed. Then it is elected, for the other one cannot be, and whom it hands
// over to is on its way out.
func TestAVoidReplicaHandsOverToAnOutgoingVoter(t *testing.T) {
	t.Parallel()
	c := newTrioOf(t, &pb.ConfState{Voters: []uint64{2}, VotersOutgoing: []uint64{1}})
	c.order(2, func(h *Host) {
		_ = h.groups.of[0].raft.Campaign()
		h.groups.mark(h.groups.of[0])
	})
	c.settle()
	c.writes(2, "a")
	c.cut[1] = true
	c.set(2, "b") // nobody else has it
	c.giveUp(2)
	c.cut[1] = false
	c.await("the outgoing voter leads", 40*ElectionTicks, func() bool { return c.group(1).ready() })
	c.await("the void one is rebuilt", 200, func() bool { return !c.group(2).trust.void })
	c.writes(1, "c")
}

// A snapshot may be on its way to the disk when the state that it replaces is condemned: the mark must not come
// there after it, or a start would believe nothing of the new state.
func TestAStateThatIsBeingReplacedIsNotMarked(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 0, Limits{})
	staged, err := s.db.StageSnapshot(5, snapshotFor(t, 5))
	if err != nil {
		t.Fatal(err)
	}
	request := SnapshotRequest{Partition: 5, From: 50, To: 51, ToNode: 2, Term: 1}
	s.in.Snapshots = append(s.in.Snapshots, ArrivedSnapshot{Request: request, FromNode: 1, Staged: staged})
	s.turn()
	job := s.h.TakeJob()
	s.in.Orders = append(s.in.Orders, func(h *Host) {
		g := h.groups.of[5]
		if g.incoming.staging == nil {
			t.Error("no snapshot is being installed")
		}
		g.setDoubt(&doubt{})
		g.condemn()
	})
	s.turn()
	s.commit(job)
	for range 3 {
		s.step()
	}
	if g := s.h.groups.of[5]; g.trust.void || g.applied.Index != 7 || g.store.Void() {
		t.Errorf("void %v, at index %d; on disk %v", g.trust.void, g.applied.Index, g.store.Void())
	}
}

// killAndGiveUp ends a node's process without a word, gives its copy up, and starts it again, while no other
// node can be reached.
func (c *trio) killAndGiveUp(id kv.NodeID) *group {
	c.t.Helper()
	n, fs := c.nodes[id], vfs.NewMem()
	if ok, err := vfs.Clone(n.fs, fs, "data", "data"); !ok || err != nil {
		c.t.Fatalf("copy the directory: %v, %v", ok, err)
	}
	if err := n.db.Close(); err != nil {
		c.t.Fatal(err)
	}
	n.fs = fs
	if err := persist.GiveUp(n.fs, "data", 0); err != nil {
		c.t.Fatal(err)
	}
	for o := range c.nodes {
		c.cut[o] = o != id
	}
	c.start(id, func(*persist.DB) {})
	return c.group(id)
}

// change lets the leader change the configuration.
func (c *trio) change(leader kv.NodeID, kind pb.ConfChangeType, id kv.ReplicaID) {
	c.t.Helper()
	cc := &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: kind.Enum(), NodeId: new(uint64(id))}}}
	c.order(leader, func(h *Host) {
		if err := h.ProposeConf(0, cc, []kv.Replica{{ID: id, Node: kv.NodeID(id)}}); err != nil {
			c.t.Error(err)
		}
	})
	c.settle()
}

// Whether a copy that was given up is the only one is for the log to say: the state on disk may be of before the
// others went, or came.
func TestACopyIsTheOnlyOneByTheLog(t *testing.T) {
	t.Parallel()
	c := newTrioOf(t, &pb.ConfState{Voters: []uint64{1}})
	c.elect()
	c.change(1, pb.ConfChangeAddNode, 2)
	if g := c.killAndGiveUp(1); !g.trust.void {
		t.Error("a copy that was given up is believed, though there is another one")
	}

	c = newTrioOf(t, &pb.ConfState{Voters: []uint64{1, 2}})
	c.elect()
	c.change(1, pb.ConfChangeRemoveNode, 2)
	c.writes(1, "a")
	if g := c.killAndGiveUp(1); g.trust.void {
		t.Error("the only copy is not believed")
	}
	c.writes(c.leader(), "b")
}

// A replica that has just been rebuilt, and said a moment before that it is void, contradicts like any other: else
// a leader whose state goes wrong then takes itself for right, serves, doubts again, and all ask without an end.
func TestAReplicaThatWasJustRebuiltIsHeard(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	c.giveUp(2)
	leader := c.leader()
	third := 4 - leader // the rebuilt one is 2
	c.writes(leader, "b")
	c.await("it is rebuilt", 200, func() bool { return !c.group(2).trust.void })
	if !c.group(leader).isVoid(2) {
		t.Fatal("its leader has forgotten already that it was void")
	}
	c.cut[third] = true
	c.flip(leader)
	c.set(leader, "c")
	c.await("the leader doubts", 10, func() bool { return c.group(leader).trust.doubt != nil })
	for range 4 {
		if c.group(leader).ready() {
			t.Fatal("the leader takes itself for right, with nobody on its side")
		}
		c.tick()
	}
	c.cut[third] = false
	c.await("the odd one out is void", 100, func() bool { return c.group(leader).trust.void })
	c.leader()
	c.alike()
}

// Where one is void and the two others differ nobody can know who is right: the word of the one that caused the
// doubt is awaited.
func TestAVoidReplicaDoesNotHideOneThatDiffers(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.writes(1, "a")
	c.holds = true
	c.giveUp(2)
	c.leader()
	c.ticks(ElectionTicks)
	if !c.group(1).isVoid(2) {
		t.Fatal("its leader does not know that it is void")
	}
	c.flip(1)
	c.group(1).suspect() // the third one's hash came, and its next word takes longer than a tick
	c.now += DefaultTick
	c.nodes[1].in.Tick = true
	c.turn(1)
	for range 2 * ElectionTicks {
		if c.group(1).ready() {
			t.Fatal("the leader takes itself for right")
		}
		c.tick()
	}
}
