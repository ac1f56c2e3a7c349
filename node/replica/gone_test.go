package replica

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/node/machine"
)

// placement knows replica ids up to issued, and has assigned none of them to this node.
type placement struct {
	nowhere
	issued kv.ReplicaID
}

func (placement) Assigned(kv.PartitionID, kv.ReplicaID) bool { return false }
func (p placement) Issued(id kv.ReplicaID) bool              { return id <= p.issued }

// A replica that its group has given up is deleted, unless its node's placement is too old to know
// that it was ever wanted: a deleted id never comes back.
func TestGoneCountsOnlyWithAPlacementThatKnowsTheReplica(t *testing.T) {
	t.Parallel()
	const id = 5
	for issued, deleted := range map[kv.ReplicaID]bool{id: true, id - 1: false} {
		db := openDB(t, vfs.NewMem())
		b := db.NewBatch()
		b.Create(0, id, nil)
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		h, err := NewHost(Config{Node: 2, DB: db, Policy: placement{issued: issued},
			Machine: func(kv.PartitionID) StateMachine { return &machine.KV{} }})
		if err != nil {
			t.Fatal(err)
		}
		gone := Message{Kind: Gone, From: 1, To: id, FromNode: 1}
		if _, err := h.Turn(Now{Boot: time.Hour}, &Input{Messages: []Message{gone}}); err != nil {
			t.Fatal(err)
		}
		if got := h.Handle(0) == nil; got != deleted {
			t.Errorf("ids issued up to %d: deleted %v, want %v", issued, got, deleted)
		}
		_ = db.Close()
	}
}

// A replica that never got anything knows nobody, and the placement may name this node alone: then the leader asks for
// its successor in vain for as long as it is here, and must be asked whether it is needed.
func TestWhoCallsASuccessorIsAskedAboutTheFormerReplica(t *testing.T) {
	t.Parallel()
	const id = 5
	db := openDB(t, vfs.NewMem())
	t.Cleanup(func() { _ = db.Close() })
	b := db.NewBatch()
	b.Create(0, id, nil)
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	h, err := NewHost(Config{Node: 2, DB: db, Policy: placement{issued: id + 1}, Fresh: true,
		Machine: func(kv.PartitionID) StateMachine { return &machine.KV{} }})
	if err != nil {
		t.Fatal(err)
	}
	beat := Message{Kind: RaftMessage, From: 1, To: id + 1, FromNode: 7, Raft: &pb.Message{
		Type: pb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(id + 1)), Term: new(uint64(2)),
	}}
	for at := time.Duration(1); at <= 2*probeTicks; at++ {
		out, err := h.Turn(Now{Boot: time.Hour + at*DefaultTick}, &Input{Messages: []Message{beat}, Tick: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range out.Frames {
			ms, err := DecodeFrame(nil, 2, f.Data)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range ms {
				if f.To == 7 && m.Kind == Probe && m.From == id {
					return
				}
			}
		}
	}
	t.Fatal("nobody was asked")
}

// A replica that the placement names no more is counted until its group has left the joint configuration: as long as
// that is so, those who went before might be needed to elect anybody.
func TestWhoIsStillCountedInAJointConfigurationStays(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.nodes[3].h.cfg.Policy = placement{issued: 3}
	c.entersJoint(1, confChange(pb.ConfChangeRemoveNode, 3))
	if conf := c.group(1).applied.Conf; len(conf.GetVotersOutgoing()) != 3 || len(conf.GetVoters()) != 2 {
		t.Fatalf("the configuration is %v", conf)
	}
	asked := 0
	c.loses = func(m Message) bool {
		if m.Kind == Probe && m.From == 3 {
			asked++
		}
		return false
	}
	c.ticks(4 * probeTicks)
	if asked == 0 || c.group(3) == nil {
		t.Fatalf("it has asked %d times, and is there: %v", asked, c.group(3) != nil)
	}
	c.order(1, func(h *Host) {
		if err := h.ProposeConf(0, &pb.ConfChangeV2{}, nil); err != nil {
			t.Error(err)
		}
	})
	c.await("it is deleted", 4*probeTicks, func() bool { return c.group(3) == nil })
}
