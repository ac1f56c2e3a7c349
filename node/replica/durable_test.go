package replica

import (
	pb "go.etcd.io/raft/v3/raftpb"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/node/machine"
	"pxkv/persist"
	"pxkv/persist/state"
)

type nowhere struct{}

func (nowhere) Assigned(kv.PartitionID, kv.ReplicaID) bool { return true }
func (nowhere) Issued(kv.ReplicaID) bool                   { return true }
func (nowhere) Nodes(kv.PartitionID) []kv.NodeID           { return nil }
func (nowhere) Members() []kv.NodeID                       { return nil }
func (nowhere) Standing(kv.NodeID) Standing                { return Standing{} }

func openDB(t *testing.T, fs vfs.FS) *persist.DB {
	t.Helper()
	db, err := persist.Open(persist.Options{Dir: "data", FS: fs, Light: true})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func newTestHost(t *testing.T, db *persist.DB) *Host {
	t.Helper()
	h, err := NewHost(Config{Node: 2, DB: db, Policy: nowhere{}, Machine: func(kv.PartitionID) StateMachine {
		return &machine.KV{}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range h.groups.ordered {
		g.trust.vouched = true // nobody is there to ask
	}
	h.recall.trusted = true
	return h
}

// follower makes a host whose one replica, 2, follows 1 in a group of three.
func follower(t *testing.T) (*Host, *vfs.MemFS) { return followerOf(t, 0) }

func followerOf(t *testing.T, p kv.PartitionID) (*Host, *vfs.MemFS) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	db := openDB(t, fs)
	t.Cleanup(func() { _ = db.Close() })
	b := db.NewBatch()
	b.Create(p, 2, &state.Applied{
		Index: 1, Term: 1, Conf: &pb.ConfState{Voters: []uint64{1, 2, 3}},
		Replicas: []kv.Replica{{ID: 1, Node: 1}, {ID: 2, Node: 2}, {ID: 3, Node: 3}},
	})
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	h := newTestHost(t, db)
	h.recall.answered[1], h.recall.answered[3] = true, true
	return h, fs
}

func appendTwo(commit uint64) Message {
	entry := func(index uint64) *pb.Entry {
		return &pb.Entry{Type: pb.EntryNormal.Enum(), Term: new(uint64(2)), Index: new(index)}
	}
	return Message{Kind: RaftMessage, From: 1, To: 2, FromNode: 1, Raft: &pb.Message{
		Type: pb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(2)),
		LogTerm: new(uint64(1)), Index: new(uint64(1)), Commit: new(commit), Entries: []*pb.Entry{entry(2), entry(3)},
	}}
}

// Nothing that acknowledges the append may leave before the append is on disk.
func TestAcknowledgementWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	h, _ := follower(t)
	out, err := h.Turn(Now{Boot: time.Hour}, &Input{Messages: []Message{appendTwo(1)}})
	if err != nil || len(out.Frames) != 0 {
		t.Fatalf("the turn let %d frames leave, %v", len(out.Frames), err)
	}
	j := h.TakeJob()
	if j == nil || !j.NeedsSync() || h.TakeJob() != nil {
		t.Fatal("want one job that needs the disk")
	}
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	ms, err := DecodeFrame(nil, 2, j.Frames()[0].Data)
	if err != nil || len(ms) != 1 || ms[0].Raft.GetType() != pb.MsgAppResp || ms[0].Raft.GetIndex() != 3 {
		t.Errorf("after the commit: %v, %v; want an acknowledgement of index 3", ms, err)
	}
}

// The commit index is written with the entries that it came with. The end of a joint
// configuration may arrive together with its beginning: whoever acknowledges both, and then
// forgets that the beginning was committed, could be elected by the configuration before it.
func TestCommitIndexIsKeptWithTheAppend(t *testing.T) {
	t.Parallel()
	h, fs := follower(t)
	if _, err := h.Turn(Now{Boot: time.Hour}, &Input{Messages: []Message{appendTwo(2)}}); err != nil {
		t.Fatal(err)
	}
	if err := h.TakeJob().Commit(); err != nil {
		t.Fatal(err)
	}
	after := openDB(t, fs.CrashClone(vfs.CrashCloneCfg{})) // before anything was applied
	defer after.Close()
	stored, err := after.Replicas()
	if err != nil || len(stored) != 1 {
		t.Fatalf("%d replicas, %v", len(stored), err)
	}
	hard, _, _ := stored[0].InitialState()
	last, _ := stored[0].LastIndex()
	if hard.GetCommit() != 2 || last != 3 {
		t.Errorf("after the crash commit is %d and the log ends at %d, want 2 and 3", hard.GetCommit(), last)
	}
}

// What other groups do rests on the meta group's state, and must not outlive it: when a crash
// takes the effects of its entries, the commit index tells the next start to apply them again
// before anything else. It stands in the log before whatever rests on it, and waits for no disk.
// Other groups' commit index alone is not written.
func TestMetaCommitIndexOutlivesWhatRestsOnIt(t *testing.T) {
	t.Parallel()
	for p, want := range map[kv.PartitionID]uint64{kv.Meta: 3, 0: 1} {
		h, fs := followerOf(t, p)
		turn := func(m Message) *Job {
			m.Partition = p
			if _, err := h.Turn(Now{Boot: time.Hour}, &Input{Messages: []Message{m}}); err != nil {
				t.Fatal(err)
			}
			j := h.TakeJob()
			if j == nil {
				return nil
			}
			if err := j.Commit(); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Turn(Now{Boot: time.Hour}, &Input{Finished: []*Job{j}}); err != nil {
				t.Fatal(err)
			}
			return j
		}
		turn(appendTwo(1))
		j := turn(Message{Kind: RaftMessage, From: 1, To: 2, FromNode: 1, Raft: &pb.Message{
			Type: pb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(2)),
			Commit: new(uint64(3)),
		}})
		if applied := h.groups.of[p].applied.Index; applied != 3 {
			t.Fatalf("partition %s: applied %d", p, applied)
		}
		if j != nil && j.NeedsSync() {
			t.Errorf("partition %s: a commit index waits for the disk", p)
		}
		h.job().batch.Create(7, 9, nil) // the next promise
		if err := h.TakeJob().Commit(); err != nil {
			t.Fatal(err)
		}
		after := openDB(t, fs.CrashClone(vfs.CrashCloneCfg{}))
		defer after.Close()
		stored, err := after.Replicas()
		if err != nil || len(stored) != 2 {
			t.Fatalf("%d replicas, %v", len(stored), err)
		}
		for _, r := range stored {
			if hard, _, _ := r.InitialState(); r.Partition() == p &&
				(hard.GetCommit() != want || r.Applied().Index != 1) {
				t.Errorf("partition %s: after the crash commit is %d, applied %d; want %d and 1", p, hard.GetCommit(),
					r.Applied().Index, want)
			}
		}
	}
}

// A process that has just started may have followed a leader a moment ago and forgotten it.
func TestNoVoteRightAfterStart(t *testing.T) {
	t.Parallel()
	vote := Message{Kind: RaftMessage, From: 3, To: 2, FromNode: 3, Raft: &pb.Message{
		Type: pb.MsgVote.Enum(), From: new(uint64(3)), To: new(uint64(2)), Term: new(uint64(5)),
		LogTerm: new(uint64(1)), Index: new(uint64(1)),
	}}
	for _, tc := range []struct {
		after time.Duration
		votes bool
	}{{0, false}, {ElectionTicks*DefaultTick - 1, false}, {ElectionTicks * DefaultTick, true}} {
		h, _ := follower(t)
		if _, err := h.Turn(Now{Boot: time.Hour}, &Input{}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Turn(Now{Boot: time.Hour + tc.after}, &Input{Messages: []Message{vote}}); err != nil {
			t.Fatal(err)
		}
		if voted := h.TakeJob() != nil; voted != tc.votes {
			t.Errorf("%v after the start: voted %v, want %v", tc.after, voted, tc.votes)
		}
	}
}

// Whoever answered a leader's round votes for nobody else, and does not stand for election, while the leader may count
// on it, whatever the library's ticks say. What earns no lease promises nothing.
func TestNoVoteWhileALeaseMayLast(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		round   string // the mark of the leader's last heartbeat
		after   time.Duration
		context string
		votes   bool
	}{
		{"round", leaseTicks*DefaultTick - 1, "", false},
		{"round", leaseTicks * DefaultTick, "", true},
		{"round", time.Millisecond, "CampaignTransfer", true},
		{"", 0, "", true},
	} {
		h, _ := follower(t)
		start := time.Hour
		turn := func(at time.Duration, in Input) {
			t.Helper()
			if _, err := h.Turn(Now{Boot: at}, &in); err != nil {
				t.Fatal(err)
			}
			for j := h.TakeJob(); j != nil; j = h.TakeJob() {
				if err := j.Commit(); err != nil {
					t.Fatal(err)
				}
				if _, err := h.Turn(Now{Boot: at}, &Input{Finished: []*Job{j}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		turn(start, Input{})
		start += time.Minute
		heartbeat := Message{Kind: RaftMessage, From: 1, To: 2, FromNode: 1, Raft: &pb.Message{
			Type: pb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(2)),
			Commit: new(uint64(1)), Context: []byte(tc.round),
		}}
		turn(start, Input{Messages: []Message{appendTwo(1), heartbeat}})
		for i := range 2 * ElectionTicks { // ticks without time, as after a stall
			turn(start+time.Duration(i), Input{Tick: true})
		}
		vote := Message{Kind: RaftMessage, From: 3, To: 2, FromNode: 3, Raft: &pb.Message{
			Type: pb.MsgVote.Enum(), From: new(uint64(3)), To: new(uint64(2)), Term: new(uint64(9)),
			LogTerm: new(uint64(2)), Index: new(uint64(3)), Context: []byte(tc.context),
		}}
		before := h.Inspect(0).Term
		g := h.groups.of[0]
		if got := g.mayVoteAt(start+tc.after, vote.Raft); got != tc.votes {
			t.Errorf("%v after the leader's word, round %q, context %q: may vote %v, want %v", tc.after, tc.round,
				tc.context, got, tc.votes)
		}
		if got := !g.bound(); tc.context == "" && got != tc.votes {
			t.Errorf("%v after the leader's word, round %q: may stand for election %v, want %v", tc.after, tc.round,
				got, tc.votes)
		}
		if before != 2 {
			t.Errorf("ticks without time made an election: term %d", before)
		}
	}
}

func (g *group) mayVoteAt(now time.Duration, m *pb.Message) bool {
	g.h.clock.Boot = now
	return g.mayVote(m)
}
