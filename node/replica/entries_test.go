package replica

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// appendOf is a message with entries of the given sizes.
func appendOf(p kv.PartitionID, sizes ...int) Message {
	m := &pb.Message{Type: pb.MsgApp.Enum(), Term: new(uint64(3)), LogTerm: new(uint64(2)), Index: new(uint64(10)),
		Commit: new(uint64(9))}
	for i, size := range sizes {
		m.Entries = append(m.Entries, &pb.Entry{Type: pb.EntryNormal.Enum(), Term: new(uint64(3)),
			Index: new(uint64(11 + i)), Data: bytes.Repeat([]byte{byte('a' + i%26)}, size)})
	}
	return Message{Kind: RaftMessage, Partition: p, From: 1, To: 2, Raft: m}
}

// An entry stays in memory while it is in a log's tail. The frame that brought it does not, unless
// the entry is at least half of it.
func TestAnEntryKeepsNoFrameInMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		ms   []Message
		keep int // the message whose last entry stays
		gone bool
	}{
		{"of a cold group beside a hot one", []Message{appendOf(1, 200<<10), appendOf(2, 100)}, 1, true},
		{"of a few hundred bytes beside many", []Message{appendOf(1, 900, 900, 900, 900, 900, 900, 900, 900)}, 0, true},
		{"of middle size beside a large one", []Message{appendOf(1, 60<<10, 200<<10, 50<<10)}, 0, true},
		{"large, and nearly all of it", []Message{appendOf(1, 1<<20)}, 0, false},
	} {
		frame := frameOf(c.ms)
		want := bytes.Clone(c.ms[c.keep].Raft.Entries[len(c.ms[c.keep].Raft.Entries)-1].Data)
		freed := make(chan struct{})
		runtime.AddCleanup(&frame[0], func(int) { close(freed) }, 0)
		ms, err := DecodeFrame(nil, 1, frame)
		if err != nil {
			t.Fatal(err)
		}
		entries := ms[c.keep].Raft.Entries
		kept := entries[len(entries)-1].Data
		if !bytes.Equal(kept, want) {
			t.Errorf("%s: other bytes than were sent", c.name)
		}
		ms, entries, frame, c.ms = nil, nil, nil, nil
		gone := false
		for deadline := time.Now().Add(10 * time.Second); !gone && time.Now().Before(deadline); {
			runtime.GC()
			select {
			case <-freed:
				gone = true
			case <-time.After(time.Millisecond):
				if !c.gone {
					deadline = time.Now()
				}
			}
		}
		if gone != c.gone {
			t.Errorf("an entry %s: its frame is freed: %v, want %v", c.name, gone, c.gone)
		}
		runtime.KeepAlive(kept)
	}
}

// What the entries of a message keep alive is bounded by their own size.
func TestEntriesShareOnlyAmongThemselves(t *testing.T) {
	t.Parallel()
	sizes := make([]int, 1000)
	for i := range sizes {
		sizes[i] = i % 1500
	}
	ms, err := DecodeFrame(nil, 1, frameOf([]Message{appendOf(1, 300<<10), appendOf(2, sizes...)}))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range ms[1].Raft.Entries {
		if len(e.Data) != sizes[i] || len(e.Data) != cap(e.Data) && len(e.Data) < aloneBytes ||
			e.GetIndex() != uint64(11+i) || len(bytes.Trim(e.Data, string(rune('a'+i%26)))) != 0 {
			t.Fatalf("entry %d has %d of %d bytes: %.20q", i, len(e.Data), cap(e.Data), e.Data)
		}
	}
}

func BenchmarkDecodeFrame(b *testing.B) {
	for _, c := range []struct {
		name string
		ms   []Message
	}{
		{"one small write", []Message{appendOf(1, 200)}},
		{"64 groups", func() (ms []Message) {
			for p := range kv.PartitionID(64) {
				ms = append(ms, appendOf(p, 2000))
			}
			return ms
		}()},
		{"64 KiB beside 100 bytes", []Message{appendOf(1, 64<<10), appendOf(2, 100)}},
		{"1000 of 200 bytes", []Message{appendOf(1, sizesOf(1000, 200)...)}},
	} {
		frame := frameOf(c.ms)
		b.Run(fmt.Sprintf("%s: %d bytes", c.name, len(frame)), func(b *testing.B) {
			b.ReportAllocs()
			var ms []Message
			for b.Loop() {
				var err error
				if ms, err = DecodeFrame(ms[:0], 1, frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sizesOf(n, size int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = size
	}
	return out
}
