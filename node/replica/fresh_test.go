package replica

import (
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// A follower that hears its leader well may still be far behind: what it says of its age counts
// from the last moment at which it had everything.
func TestStalenessCountsFromTheLastFullState(t *testing.T) {
	t.Parallel()
	h, _ := follower(t)
	beat := func(committed uint64) Message {
		return Message{Kind: RaftMessage, From: 1, To: 2, FromNode: 1, Committed: committed, Raft: &pb.Message{
			Type: pb.MsgHeartbeat.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(2)), Commit: new(uint64(1)),
		}}
	}
	age := func(at time.Duration) time.Duration { return h.Handle(0).Staleness(Now{Boot: at, WallMS: 9_000}) }
	if got := age(time.Hour); got != 9*time.Second {
		t.Errorf("before any word from a leader: %v, want the age of the newest write, 9s", got)
	}
	at := time.Hour
	hear := func(committed uint64) {
		t.Helper()
		if _, err := h.Turn(Now{Boot: at}, &Input{Messages: []Message{beat(committed)}}); err != nil {
			t.Fatal(err)
		}
	}
	hear(1) // all that is committed is here
	at += time.Second
	hear(5) // four entries are not
	at += time.Second
	hear(6)
	if got := age(at); got != 2*time.Second {
		t.Errorf("two seconds after the last full state it says %v", got)
	}
}
