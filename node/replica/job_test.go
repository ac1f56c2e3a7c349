package replica

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

// While the disk stalls, clients go on writing. What waits for it is bounded over all groups; what is
// beyond is refused, and certainly not done.
func TestAStalledDiskBoundsWhatWaitsForIt(t *testing.T) {
	t.Parallel()
	const limit = 1000
	s := newSolo(t, 8, Limits{JobBytes: limit})
	first := s.write(0, set("k", "1"))
	s.turn()
	stalled := s.h.TakeJob()
	var writes []*[]entry.Reply
	value := string(make([]byte, 300))
	for range 5 {
		for p := range kv.PartitionID(8) {
			writes = append(writes, s.write(p, set("k", value)))
		}
		s.turn()
		if s.h.TakeJob() != nil {
			t.Fatal("two jobs are under way")
		}
	}
	taken := 0
	for _, w := range writes {
		switch {
		case len(*w) == 0:
			taken++
		case (*w)[0].Err == nil || (*w)[0].Err.Kind != kv.Unavailable:
			t.Errorf("refused with %+v", (*w)[0])
		}
	}
	if bytes, largest := s.h.Growth(); bytes-largest >= limit || bytes < limit || taken != 4 {
		t.Errorf("%d bytes of %d writes wait, want 4 writes of some 320 bytes", bytes, taken)
	}
	s.commit(stalled)
	for range 3 {
		s.step()
	}
	for i, w := range append(writes, first) {
		if len(*w) != 1 {
			t.Errorf("write %d has %d answers", i, len(*w))
		}
	}
	last := s.write(0, set("k", "2"))
	for range 3 {
		s.step()
	}
	if len(*last) != 1 || (*last)[0].Err != nil {
		t.Errorf("after the stall a write ends with %+v", *last)
	}
}

// A follower whose disk stalls takes no more entries, and goes on answering heartbeats.
func TestAFollowerOnAStalledDiskAnswersHeartbeats(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	slow := c.nodes[3]
	slow.h.cfg.Limits.JobBytes = 500
	jobs := 0
	var stalled *Job
	for i := range 30 {
		c.nodes[1].in.Ops = append(c.nodes[1].in.Ops,
			Op{Command: setCommand("k", string(make([]byte, 100))), Reply: func(r entry.Reply) {
				if r.Err != nil {
					t.Errorf("write %d: %v", i, r.Err)
				}
			}})
		for range 4 {
			c.turn(1)
			c.turn(2)
		}
		// Node 3 takes its turns, and its disk stands still.
		in := slow.in
		slow.in = Input{}
		out, err := slow.h.Turn(Now{Boot: c.now, WallMS: 1}, &in)
		if err != nil {
			t.Fatal(err)
		}
		c.send(3, out.Frames)
		if j := slow.h.TakeJob(); j != nil {
			stalled = j
			jobs++
		}
	}
	if bytes, largest := slow.h.Growth(); bytes-largest >= 500 || jobs != 1 {
		t.Errorf("%d bytes wait for the disk, the last of them taken in above the limit of 500; %d jobs", bytes, jobs)
	}
	beat := false
	for range 2 * heartbeatTicks {
		c.now += DefaultTick
		c.nodes[1].in.Tick = true
		c.turn(1)
		in := slow.in
		slow.in = Input{}
		out, err := slow.h.Turn(Now{Boot: c.now, WallMS: 1}, &in)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range out.Frames {
			ms, _ := DecodeFrame(nil, 3, f.Data)
			for _, m := range ms {
				beat = beat || m.Raft.GetType() == pb.MsgHeartbeatResp
			}
		}
		c.send(3, out.Frames)
	}
	if !beat {
		t.Error("no heartbeat was answered")
	}
	// The disk goes on: it catches up.
	if err := stalled.Commit(); err != nil {
		t.Fatal(err)
	}
	c.send(3, stalled.Frames())
	slow.in.Finished = append(slow.in.Finished, stalled)
	for range 20 {
		c.tick()
	}
	if got, want := slow.h.groups.of[0].applied.Index, c.group(1).applied.Index; got != want {
		t.Errorf("it has applied %d of %d", got, want)
	}
}

// Writes that no majority takes are bounded over all groups of a node.
func TestUncommittedWritesOfAllGroupsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSolo(t, 8, Limits{NodeUncommittedBytes: 1030})
	s.write(0, set("k", "1"))
	s.turn()
	stalled := s.h.TakeJob() // alone a node needs its own disk for a majority
	var writes []*[]entry.Reply
	for p := range kv.PartitionID(8) {
		writes = append(writes, s.write(p, set("k", string(make([]byte, 300)))))
	}
	s.turn()
	refused := 0
	for _, w := range writes {
		if len(*w) == 1 && (*w)[0].Err != nil && (*w)[0].Err.Kind == kv.Unavailable {
			refused++
		}
	}
	if refused != 4 {
		t.Errorf("%d of 8 writes are refused, want 4; %d bytes are uncommitted", refused, s.h.intake.uncommitted)
	}
	s.commit(stalled)
	for range 4 {
		s.step()
	}
	if s.h.intake.uncommitted != 0 {
		t.Errorf("%d bytes are counted when all is applied", s.h.intake.uncommitted)
	}
}
