package replica

import (
	"bytes"
	pb "go.etcd.io/raft/v3/raftpb"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/state"
)

// snapshotFor returns the stream of a partition's state at index 7, led by replica 50 of node 1 and
// meant for its learner 51.
func snapshotFor(t *testing.T, p kv.PartitionID) *bytes.Buffer {
	t.Helper()
	src := openDB(t, vfs.NewMem())
	defer src.Close()
	b := src.NewBatch()
	b.Create(p, 50, &state.Applied{
		Index: 7, Term: 1, Conf: &pb.ConfState{Voters: []uint64{50}, Learners: []uint64{51}},
		Replicas: []kv.Replica{{ID: 50, Node: 1}, {ID: 51, Node: 2}},
	})
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	s, err := src.OpenSnapshot(p)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stream := new(bytes.Buffer)
	if _, err := s.WriteTo(stream); err != nil {
		t.Fatal(err)
	}
	return stream
}

func TestASnapshotIsInstalledAlthoughTheTurnHasAppliedEnough(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 2, Limits{ApplyBytes: 1})
	first, second := s.write(0, set("k", "v")), s.write(1, set("k", "v"))
	s.step() // both are committed with the next turn
	staged, err := s.db.StageSnapshot(5, snapshotFor(t, 5))
	if err != nil {
		t.Fatal(err)
	}
	s.in.Snapshots = append(s.in.Snapshots, ArrivedSnapshot{
		Request: SnapshotRequest{Partition: 5, From: 50, To: 51, ToNode: 2, Term: 1}, FromNode: 1, Staged: staged,
	})
	s.step()
	if len(*first)+len(*second) != 1 {
		t.Fatalf("%d and %d answers in the turn: its budget is for one entry", len(*first), len(*second))
	}
	for range 3 {
		s.step()
	}
	if at := s.h.groups.of[5].applied.Index; at != 7 || len(*first)+len(*second) != 2 {
		t.Errorf("the snapshot of index 7 is installed: index %d; %d of 2 writes are answered", at,
			len(*first)+len(*second))
	}
}

// What the library does not take, a snapshot that is older than the state, is thrown away.
func TestAnOldSnapshotIsThrownAway(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 0, Limits{})
	for range 2 {
		staged, err := s.db.StageSnapshot(5, snapshotFor(t, 5))
		if err != nil {
			t.Fatal(err)
		}
		s.in.Snapshots = append(s.in.Snapshots, ArrivedSnapshot{
			Request: SnapshotRequest{Partition: 5, From: 50, To: 51, ToNode: 2, Term: 1}, FromNode: 1, Staged: staged,
		})
		s.step()
		s.step()
	}
	if g := s.h.groups.of[5]; g.incoming.staged != nil || g.incoming.staging != nil || g.applied.Index != 7 {
		t.Errorf("staged %v, installing %v, at index %d", g.incoming.staged, g.incoming.staging, g.applied.Index)
	}
}

// Only applying has a budget: heartbeats of all groups leave in the turn of their tick.
func TestHeartbeatsDoNotWaitForWhatIsToBeApplied(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	n := c.nodes[1]
	n.h.cfg.Limits.ApplyBytes = 1
	for _, p := range []kv.PartitionID{7, 8} {
		if err := n.h.Bootstrap(p, kv.ReplicaID(10*p), nil); err != nil {
			t.Fatal(err)
		}
		_ = n.h.groups.of[p].raft.Campaign()
		n.h.groups.mark(n.h.groups.of[p])
	}
	c.tick()
	beats := 0
	for range 4 * heartbeatTicks {
		for _, p := range []kv.PartitionID{7, 8} {
			n.in.Ops = append(n.in.Ops, Op{Partition: p, Command: setCommand("k", "v"), Reply: func(entry.Reply) {}})
		}
		c.turn(1)
		c.now += DefaultTick
		n.in.Tick = true
		before := len(c.nodes[2].in.Messages)
		c.turn(1) // both entries are committed, and there is room for one
		for _, m := range c.nodes[2].in.Messages[before:] {
			if m.Kind == RaftMessage && m.Raft.GetType() == pb.MsgHeartbeat {
				beats++
			}
		}
	}
	if len(n.h.applying.queue) == 0 {
		t.Error("nothing waits to be applied")
	}
	if beats != 4 {
		t.Errorf("%d heartbeats in %d ticks, want one every %d", beats, 4*heartbeatTicks, heartbeatTicks)
	}
}

func text(s string) kv.Value { return kv.Value{Kind: kv.String, Data: []byte(s)} }

func set(key, value string) kv.Command {
	return kv.Command{Op: kv.OpPut, Key: []byte(key), Value: text(value)}
}

func setCommand(key, value string) []byte {
	c := set(key, value)
	return c.AppendTo(nil)
}
