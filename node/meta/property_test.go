package meta

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	_ "pxkv/deploy/properties"
	"pxkv/node/kv"
)

// history follows one cluster and remembers what must never come back.
type history struct {
	state    *State
	replicas map[kv.ReplicaID]owner // every replica id ever seen, and whose it was
	log      [][]byte
	states   []*State // after each command, with
	encoded  [][]byte // the bytes each had then
}

type owner struct {
	partition kv.PartitionID
	node      kv.NodeID
}

func (h *history) see(t *rapid.T) {
	note := func(id kv.ReplicaID, o owner) {
		if before, known := h.replicas[id]; known && before != o {
			t.Fatalf("replica id %d was %+v and is now %+v", id, before, o)
		}
		h.replicas[id] = o
	}
	for _, m := range h.state.Members {
		note(m.MetaReplica, owner{kv.Meta, m.ID})
	}
	for p, row := range h.state.Placement {
		for _, r := range row {
			note(r.ID, owner{kv.PartitionID(p), r.Node})
		}
	}
}

func drawCommand(t *rapid.T, s *State) encoder {
	id := func(label string) kv.NodeID { return kv.NodeID(rapid.IntRange(0, 9).Draw(t, label)) }
	name := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e", "f"})
	states := rapid.SampledFrom([]kv.MemberState{kv.Joining, kv.Active, kv.Leaving, kv.Down, "odd"})
	small := rapid.Uint64Range(0, 3)
	switch rapid.IntRange(0, 12).Draw(t, "command") {
	case 0, 1, 2:
		return Join{ReplaceDead: id("replace"), Member: Member{
			ID: id("id"), Name: name.Draw(t, "name"), Starts: small.Draw(t, "starts"),
			Incarnation: small.Draw(t, "incarnation"),
		}}
	case 3, 4:
		return Start{ID: id("id"), Name: name.Draw(t, "name"), Starts: small.Draw(t, "starts"),
			Incarnation: small.Draw(t, "incarnation")}
	case 5:
		return SetState{ID: id("id"), From: states.Draw(t, "from"), To: states.Draw(t, "to"),
			Cause:    rapid.SampledFrom([]kv.Cause{"", kv.CauseLeft, kv.CauseLost}).Draw(t, "cause"),
			Replicas: rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(t, "replicas")}
	case 6:
		return Remove{ID: id("id"), Expect: s.Epoch}
	case 7:
		return Describe{ID: id("id"), Starts: small.Draw(t, "starts"), Zone: name.Draw(t, "zone")}
	case 9:
		return SetReplicas{From: rapid.SampledFrom([]int{s.Replicas, s.Replicas, 3}).Draw(t, "from"),
			To: rapid.IntRange(0, 4).Draw(t, "to")}
	case 8:
		return Upgrade{From: rapid.IntRange(0, 3).Draw(t, "from"), To: rapid.IntRange(1, 2).Draw(t, "to")}
	}
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(s.Members), 1, min(3, len(s.Members)), func(m Member) kv.NodeID {
		return m.ID
	})
	place := s.NewPlace(nil)
	for range s.Partitions {
		var row []kv.NodeID
		for _, m := range some.Draw(t, "row") {
			row = append(row, m.ID)
		}
		place.Rows = append(place.Rows, row)
	}
	switch rapid.IntRange(0, 9).Draw(t, "fault") {
	case 0:
		place.Expect--
	case 1:
		place.Rows[0] = append(place.Rows[0], id("stranger"))
	}
	return place
}

func TestEveryHistoryKeepsTheInvariants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := Bootstrap(7, "test", rapid.IntRange(1, 3).Draw(t, "partitions"), 3,
			Member{ID: 1, Name: "a", Starts: 1})
		if rapid.Bool().Draw(t, "older") {
			first.ClusterVersion, first.Version = 1, 1
		}
		h := &history{state: &first, replicas: map[kv.ReplicaID]owner{}}
		start := first.Encode()
		for range rapid.IntRange(1, 40).Draw(t, "length") {
			cmd := drawCommand(t, h.state).Encode()
			next, result, err := h.state.Apply(cmd)
			if err != nil {
				t.Fatalf("%s: %v", cmd, err)
			}
			if err := next.Validate(); err != nil {
				t.Fatalf("after %s: %v", cmd, err)
			}
			r, err := DecodeResult(result)
			if err != nil {
				t.Fatal(err)
			}
			if r.Refused != nil && next != h.state {
				t.Fatalf("%s: refused with a change", cmd)
			}
			if next.Epoch < h.state.Epoch || next.NextReplica < h.state.NextReplica || r.Epoch != next.Epoch {
				t.Fatalf("%s: a counter went back", cmd)
			}
			if voters, learners := next.MetaReplicas(); len(voters)%2 != 1 ||
				len(voters)+len(learners) != len(next.Members) {
				t.Fatalf("after %s: meta voters %v, learners %v", cmd, voters, learners)
			}
			h.state = next
			h.see(t)
			h.log = append(h.log, cmd)
			h.states, h.encoded = append(h.states, next), append(h.encoded, next.Encode())
		}
		replay(t, start, h)
	})
}

// replay applies the log again, from bytes, through a snapshot at each step: another node
// that restarts all the time must have the same states; and the states of the first run must
// not have changed since.
func replay(t *rapid.T, start []byte, h *history) {
	b := start
	for i, cmd := range h.log {
		s, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		next, _, err := s.Apply(cmd)
		if err != nil {
			t.Fatal(err)
		}
		b = next.Encode()
		if !bytes.Equal(b, h.encoded[i]) {
			t.Fatalf("command %d, %s: two runs differ:\n%s\n%s", i, cmd, b, h.encoded[i])
		}
		if !bytes.Equal(h.states[i].Encode(), h.encoded[i]) {
			t.Fatalf("the state after command %d was changed later", i)
		}
	}
}

func FuzzDecodeAndApply(f *testing.F) {
	s := Bootstrap(7, "test", 2, 3, Member{ID: 1, Name: "a", Starts: 1})
	two, _, _ := s.Apply(Join{Member: Member{ID: 2, Name: "b"}}.Encode())
	for _, c := range []encoder{
		Join{Member: Member{ID: 3, Name: "b"}, ReplaceDead: 2},
		Start{ID: 1, Starts: 9, Name: "a"},
		SetState{ID: 2, From: kv.Active, To: kv.Down, Cause: kv.CauseLost},
		Remove{ID: 2},
		Describe{ID: 2, Zone: "z"},
		Upgrade{From: 1, To: 2},
		Place{Expect: 1, Rows: [][]kv.NodeID{{1, 2}, {2}}, For: []kv.NodeID{1, 2}},
	} {
		f.Add(two.Encode(), c.Encode())
	}
	f.Fuzz(func(t *testing.T, state, cmd []byte) {
		s, err := Decode(state)
		if err != nil {
			s = two
		}
		before := s.Encode()
		again, err := Decode(before)
		if err != nil {
			t.Fatalf("a state that was decoded does not decode again: %v", err)
		}
		next, result, err := s.Apply(cmd)
		if err != nil {
			return
		}
		if _, err := DecodeResult(result); err != nil {
			t.Fatal(err)
		}
		// Counters that a cluster cannot reach may wrap around.
		if max(uint64(s.NextReplica), s.NextJoin, uint64(s.Epoch)) < 1<<62 {
			if err := next.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		other, _, _ := again.Apply(cmd)
		if !bytes.Equal(other.Encode(), next.Encode()) || !bytes.Equal(s.Encode(), before) {
			t.Fatal("two runs differ, or the old state was changed")
		}
	})
}
