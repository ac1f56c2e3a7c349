package replica

import (
	"math/rand/v2"
	"reflect"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"pxkv/node/kv"
)

// messages are one of each kind that travels, with every field that it uses.
func messages() []Message {
	entry := func(index, term uint64, data string) *pb.Entry {
		e := &pb.Entry{Type: pb.EntryNormal.Enum(), Term: new(term), Index: new(index)}
		if data != "" {
			e.Data = []byte(data)
		}
		return e
	}
	raw := []*pb.Message{
		{Type: pb.MsgApp.Enum(), Term: new(uint64(7)), Commit: new(uint64(4)), LogTerm: new(uint64(6)),
			Index: new(uint64(9)), Entries: []*pb.Entry{entry(10, 7, "x"), entry(11, 7, "")}},
		{Type: pb.MsgApp.Enum(), Term: new(uint64(7)), Commit: new(uint64(4)), Entries: []*pb.Entry{}},
		{Type: pb.MsgAppResp.Enum(), Term: new(uint64(7)), Commit: new(uint64(0)), LogTerm: new(uint64(3)),
			Index: new(uint64(9)), Reject: new(true), RejectHint: new(uint64(5))},
		{Type: pb.MsgHeartbeat.Enum(), Term: new(uint64(1)), Commit: new(uint64(1 << 60)),
			Context: []byte("0123456789abcdef")},
		{Type: pb.MsgVote.Enum(), Term: new(uint64(8)), Commit: new(uint64(0)), LogTerm: new(uint64(7)),
			Index: new(uint64(20)), Context: []byte("CampaignTransfer")},
		{Type: pb.MsgTimeoutNow.Enum(), Term: new(uint64(8)), Commit: new(uint64(0))},
	}
	var out []Message
	for i, m := range raw {
		m.From, m.To = new(uint64(2)), new(uint64(1<<40))
		out = append(out, Message{
			Kind: RaftMessage, Partition: kv.PartitionID(i), From: 2, To: 1 << 40, FromNode: 77, Raft: m,
		})
		if m.GetType() == pb.MsgHeartbeat {
			out[i].Committed, out[i].TimeMS, out[i].Rests = 1<<61, -9, true
		}
	}
	out = append(out,
		Message{Kind: Probe, Partition: kv.Meta, From: 3, FromNode: 77},
		Message{Kind: Gone, Partition: 5, From: 3, To: 4, FromNode: 77},
		Message{Kind: Compare, Partition: 5, From: 3, To: 4, FromNode: 77, Index: 300, Hash: 1 << 63},
		Message{Kind: Compared, Partition: 5, From: 3, To: 4, FromNode: 77, Index: 300, Hash: 1 << 62},
		Message{Kind: Void, Partition: 5, From: 3, To: 4, FromNode: 77, Index: 300},
		Message{Kind: Liveness, FromNode: 77},
		Message{Kind: Awake, Partition: 5, From: 3, To: 4, FromNode: 77},
		Message{Kind: Recall, FromNode: 77, Memory: &Memory{Nonce: 1 << 63, Others: []kv.NodeID{1 << 62, 3}}},
		Message{Kind: Recalled, FromNode: 77,
			Memory: &Memory{Nonce: 1 << 63, Position: 9, Starts: 3, Incarnation: 1 << 62, Removed: true}})
	for i := range out {
		out[i].Position = 1 << 50
	}
	return out
}

func frameOf(ms []Message) []byte {
	f := frames{limit: 1 << 20}
	for i := range ms {
		f.add(1, &ms[i])
	}
	return f.take(1 << 50)[0].Data
}

func TestFrameRoundTrip(t *testing.T) {
	t.Parallel()
	want := messages()
	got, err := DecodeFrame(nil, 77, frameOf(want))
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d messages, %v; want %d", len(got), err, len(want))
	}
	for i := range want {
		a, b := got[i], want[i]
		if (a.Raft == nil) != (b.Raft == nil) || a.Raft != nil && !proto.Equal(a.Raft, b.Raft) {
			t.Errorf("message %d: got %v, want %v", i, a.Raft, b.Raft)
		}
		if !reflect.DeepEqual(a.Memory, b.Memory) {
			t.Errorf("message %d: got %+v, want %+v", i, a.Memory, b.Memory)
		}
		a.Raft, b.Raft, a.Memory, b.Memory = nil, nil, nil, nil
		if a != b {
			t.Errorf("message %d: got %+v, want %+v", i, a, b)
		}
	}
}

func TestSnapshotHeaderRoundTrip(t *testing.T) {
	t.Parallel()
	want := SnapshotRequest{Partition: 9, From: 1, To: 1 << 50, Term: 3}
	if got, err := DecodeSnapshotRequest(want.AppendTo(nil)); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := DecodeSnapshotRequest([]byte{9}); err == nil {
		t.Error("a header of another version was read")
	}
}

// TestMalformedFrames mutates good encodings 20,000 times: a frame that
// was damaged is an error or another message, never a panic, and costs memory in proportion to
// its size.
func TestMalformedFrames(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	frame := frameOf(messages())
	refused := 0
	for range 20_000 {
		if _, err := DecodeFrame(nil, 1, mutate(r, frame)); err != nil {
			refused++
		}
	}
	if refused < 5_000 {
		t.Errorf("only %d of 20,000 damaged frames were refused", refused)
	}
}

func mutate(r *rand.Rand, b []byte) []byte {
	b = append([]byte(nil), b...)
	for range 1 + r.IntN(4) {
		switch i := r.IntN(len(b)); r.IntN(4) {
		case 0:
			b[i] = byte(r.Uint32())
		case 1:
			b[i] ^= 1 << r.IntN(8)
		case 2:
			if b = b[:i]; i == 0 {
				return b
			}
		case 3:
			b = append(b[:i:i], append([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, b[i:]...)...)
		}
	}
	return b
}

func FuzzFrame(f *testing.F) {
	f.Add(frameOf(messages()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ms, err := DecodeFrame(nil, 1, b); err == nil && len(ms) > 0 {
			if _, err := DecodeFrame(nil, 1, frameOf(ms)); err != nil {
				t.Fatalf("what was read cannot be read again: %v", err)
			}
		}
	})
}
