package replica

import (
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// returning is a follower of a group of three that has started again: nobody has vouched for it.
func returning(t *testing.T, change func(*Config)) *Host {
	t.Helper()
	h, _ := follower(t)
	cfg := h.cfg
	cfg.Incarnation, cfg.Starts = 77, 3
	change(&cfg)
	h, err := NewHost(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// turns the host at a time, with what arrived, and reports whether it has promised something.
func turnAt(t *testing.T, h *Host, at time.Duration, ms ...Message) (promised bool, err error) {
	t.Helper()
	_, err = h.Turn(Now{Boot: time.Hour + at}, &Input{Tick: true, Messages: ms})
	return h.TakeJob() != nil, err
}

func remembers(from kv.NodeID, m Memory) Message {
	m.Nonce = 77
	return Message{Kind: Recalled, FromNode: from, Memory: &m}
}

// A node that starts again acknowledges nothing before the others have said what they remember.
func TestNothingIsPromisedBeforeTheOthersHaveVouched(t *testing.T) {
	t.Parallel()
	const timeout = ElectionTicks * DefaultTick
	for name, tc := range map[string]struct {
		moved    bool
		answers  []kv.NodeID
		after    time.Duration
		promises bool
	}{
		"its group is silent, and most members are not, for a while": {false, []kv.NodeID{4, 5, 6},
			DefaultTick, false},
		"its group is silent, and most members are not, for an election timeout": {false, []kv.NodeID{4, 5, 6}, timeout,
			false},
		"its group is silent, and most members are not, for several timeouts": {false, []kv.NodeID{4, 5, 6},
			6 * timeout, true},
		"its group is silent, and half of the members are not, however long": {false, []kv.NodeID{4, 5},
			100 * timeout, false},
		"nobody has answered":                        {false, nil, 2 * timeout, false},
		"all have":                                   {false, []kv.NodeID{1, 3}, DefaultTick, true},
		"one is silent, for a while":                 {false, []kv.NodeID{1}, DefaultTick, false},
		"one is silent, for an election timeout":     {false, []kv.NodeID{1}, timeout, true},
		"moved, and one is silent, however long":     {true, []kv.NodeID{1}, 100 * timeout, false},
		"moved, and all have answered":               {true, []kv.NodeID{1, 3}, DefaultTick, true},
		"moved, and a member without a voter is not": {true, []kv.NodeID{1, 2}, 100 * timeout, false},
	} {
		h := returning(t, func(c *Config) {
			c.Moved = tc.moved
			switch {
			case tc.moved:
				c.Policy = members{}
			case slices.Contains(tc.answers, 4):
				c.Policy = sixMembers{}
			}
		})
		if _, err := turnAt(t, h, 0); err != nil {
			t.Fatal(err)
		}
		var ms []Message
		for _, id := range tc.answers {
			ms = append(ms, remembers(id, Memory{Starts: 3, Incarnation: 77}))
		}
		if _, err := turnAt(t, h, 0, ms...); err != nil {
			t.Fatal(err)
		}
		if _, err := turnAt(t, h, tc.after); err != nil {
			t.Fatal(err)
		}
		if promised, err := turnAt(t, h, tc.after, appendTwo(1)); err != nil || promised != tc.promises {
			t.Errorf("%s: promised %v, %v", name, promised, err)
		}
	}
}

// sixMembers knows more than those of its group.
type sixMembers struct{ nowhere }

func (sixMembers) Members() []kv.NodeID { return []kv.NodeID{1, 2, 3, 4, 5, 6} }

// members knows three of them.
type members struct{ nowhere }

func (members) Members() []kv.NodeID { return []kv.NodeID{1, 2, 3} }

func TestWhatTheOthersRememberEndsAnOldCopy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		m    Memory
		want error
	}{
		"nothing":                       {Memory{}, nil},
		"this start":                    {Memory{Starts: 3, Incarnation: 77}, nil},
		"an earlier start":              {Memory{Starts: 2, Incarnation: 5}, nil},
		"a position that is here":       {Memory{Position: 1}, nil},
		"a position that is not":        {Memory{Position: 2}, ErrOutdated},
		"a later start":                 {Memory{Starts: 4, Incarnation: 5}, ErrOutdated},
		"this start of another process": {Memory{Starts: 3, Incarnation: 5}, ErrTwice},
		"that it was replaced":          {Memory{Removed: true}, ErrReplaced},
	} {
		h := returning(t, func(*Config) {})
		if _, err := turnAt(t, h, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := turnAt(t, h, 0, remembers(1, tc.m)); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	h := returning(t, func(*Config) {})
	m := remembers(1, Memory{Removed: true})
	m.Memory.Nonce = 5
	if _, err := turnAt(t, h, 0, m); err != nil {
		t.Errorf("the answer to an earlier process: %v", err)
	}
}

// A directory that was copied from under a process is refused by itself, unless it knows of nobody else.
func TestACopyIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		policy Policy
		want   error
	}{"of three": {members{}, ErrCopy}, "of one": {alone{}, nil}} {
		h := returning(t, func(c *Config) { c.Moved, c.Copied, c.Policy = true, true, tc.policy })
		if _, err := turnAt(t, h, 0); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type alone struct{ nowhere }

func (alone) Members() []kv.NodeID { return []kv.NodeID{2} }

// Every frame tells how far the disk is, and whoever hears it remembers the highest.
func TestPositionsAreTold(t *testing.T) {
	t.Parallel()
	h, _ := follower(t)
	if _, err := h.Turn(Now{Boot: time.Hour}, &Input{Messages: []Message{appendTwo(1)}}); err != nil {
		t.Fatal(err)
	}
	j := h.TakeJob()
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	ms, err := DecodeFrame(nil, 2, j.Frames()[0].Data)
	if err != nil || ms[0].Raft.GetType() != pb.MsgAppResp || ms[0].Position != h.cfg.DB.Position() ||
		ms[0].Position < 2 {
		t.Fatalf("the acknowledgement tells position %d of %d, %v", ms[0].Position, h.cfg.DB.Position(), err)
	}
	other, _ := follower(t)
	other.recall.answered[9] = true
	out, err := other.Turn(Now{Boot: time.Hour}, &Input{Messages: []Message{
		{Kind: Recall, FromNode: 9, Position: 7, Memory: &Memory{}},
		{Kind: Recall, FromNode: 9, Position: 6, Memory: &Memory{Nonce: 5}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ms, err = DecodeFrame(nil, 2, out.Frames[0].Data)
	if err != nil || len(ms) != 2 || !reflect.DeepEqual(*ms[1].Memory, Memory{Nonce: 5, Position: 7}) {
		t.Errorf("%+v, %v", ms, err)
	}
}

// What a node remembers of an earlier process counts as such, however late it says so: also when this
// one has been vouched for by others, and has written on.
func TestALateMemoryIsNotTakenForNews(t *testing.T) {
	t.Parallel()
	h := returning(t, func(*Config) {})
	const timeout = ElectionTicks * DefaultTick
	turn := func(at time.Duration, in *Input) error {
		_, err := h.Turn(Now{Boot: time.Hour + at}, in)
		return err
	}
	if err := turn(0, &Input{Tick: true}); err != nil {
		t.Fatal(err)
	}
	if err := turn(timeout, &Input{
		Tick: true, Messages: []Message{remembers(1, Memory{Starts: 3, Incarnation: 77})},
	}); err != nil {
		t.Fatal(err)
	}
	if err := turn(timeout+DefaultTick, &Input{Messages: []Message{appendTwo(1)}}); err != nil {
		t.Fatal(err)
	}
	j := h.TakeJob()
	if j == nil {
		t.Fatal("it was not vouched for")
	}
	if err := j.Commit(); err != nil {
		t.Fatal(err)
	}
	position := h.cfg.DB.Position()
	if position <= h.recall.disk {
		t.Fatalf("position %d, at the start %d", position, h.recall.disk)
	}
	told := map[kv.NodeID]uint64{}
	for _, f := range append(j.Frames(), h.frames.take(h.position())...) {
		told[f.To] = max(told[f.To], binary.BigEndian.Uint64(f.Data[1:]))
	}
	if told[1] != position || told[3] > h.recall.disk {
		t.Errorf("position %d, %d at the start; told %v, and 3 has not answered", position, h.recall.disk, told)
	}
	err := turn(timeout+2*DefaultTick, &Input{
		Finished: []*Job{j}, Messages: []Message{remembers(3, Memory{Position: position, Starts: 3, Incarnation: 77})},
	})
	if !errors.Is(err, ErrOutdated) {
		t.Errorf("node 3 remembers more than the disk had: %v", err)
	}
}

// Who was removed will never answer: another member stands in for it. Without one, or on nobody's word,
// as many are waited for as ever.
func TestWhoWasRemovedIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	const timeout = ElectionTicks * DefaultTick
	says := func(from kv.NodeID, removed ...kv.NodeID) Message { return remembers(from, Memory{Others: removed}) }
	for name, tc := range map[string]struct {
		moved    bool
		answers  []Message
		after    time.Duration
		promises bool
	}{
		"the other one was removed":                 {false, []Message{says(1, 3)}, DefaultTick, true},
		"both were, as another says":                {false, []Message{says(4, 1, 3)}, DefaultTick, true},
		"one was, and the other is silent":          {false, []Message{says(4, 3)}, DefaultTick, false},
		"so for an election timeout":                {false, []Message{says(4, 3)}, timeout, true},
		"two stand in for none":                     {false, []Message{says(4), says(5)}, 100 * timeout, false},
		"only nodes that it does not know were":     {false, []Message{says(4, 9, 10)}, 100 * timeout, false},
		"moved, and the other one was removed":      {true, []Message{says(1, 3)}, 100 * timeout, false},
		"moved, and another stands in for it":       {true, []Message{says(1, 3), says(4)}, DefaultTick, true},
		"moved, both were, and one stands in":       {true, []Message{says(4, 1, 3)}, 100 * timeout, false},
		"moved, both were, and two stand in":        {true, []Message{says(4, 1), says(5, 3)}, DefaultTick, true},
		"moved, one was, the other one is silent":   {true, []Message{says(4, 3), says(5)}, 100 * timeout, false},
		"moved, nobody was, and others have spoken": {true, []Message{says(1), says(4), says(5)}, 100 * timeout, false},
	} {
		h := returning(t, func(c *Config) { c.Moved, c.Policy = tc.moved, members{} })
		for _, ms := range [][]Message{nil, tc.answers} {
			if _, err := turnAt(t, h, 0, ms...); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := turnAt(t, h, tc.after); err != nil {
			t.Fatal(err)
		}
		if promised, err := turnAt(t, h, tc.after, appendTwo(1)); err != nil || promised != tc.promises {
			t.Errorf("%s: promised %v, %v", name, promised, err)
		}
	}
	h := returning(t, func(*Config) {})
	m := says(4, 1, 3)
	m.Memory.Position = 2
	if _, err := turnAt(t, h, 0, m); !errors.Is(err, ErrOutdated) {
		t.Errorf("who stands in for both remembers more than the disk has: %v", err)
	}
}

// inquiry is a Recall that leaves.
type inquiry struct {
	to     kv.NodeID
	others []kv.NodeID
}

func inquiries(t *testing.T, out Output) (asked []inquiry) {
	t.Helper()
	for _, f := range out.Frames {
		ms, err := DecodeFrame(nil, 2, f.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ms {
			if m.Kind == Recall {
				asked = append(asked, inquiry{f.To, m.Memory.Others})
			}
		}
	}
	return asked
}

// Those that have answered are asked again and again which of the silent ones were removed: they may be
// removed while this node waits.
func TestThoseThatAnsweredAreAskedWhoWasRemoved(t *testing.T) {
	t.Parallel()
	h := returning(t, func(*Config) {})
	if _, err := turnAt(t, h, 0, remembers(1, Memory{})); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for i := range time.Duration(ElectionTicks - 1) {
		out, err := h.Turn(Now{Boot: time.Hour + (i+1)*DefaultTick}, &Input{Tick: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range inquiries(t, out) {
			if q.to == 1 && reflect.DeepEqual(q.others, []kv.NodeID{3}) {
				asked++
			}
		}
	}
	if want := (ElectionTicks - 1) / removeTicks; asked != want {
		t.Errorf("asked %d times, want %d", asked, want)
	}

	other := returning(t, func(c *Config) { c.Policy = without{} })
	out, err := other.Turn(Now{Boot: time.Hour}, &Input{
		Messages: []Message{{Kind: Recall, FromNode: 9, Memory: &Memory{Nonce: 5, Others: []kv.NodeID{1, 3, 4}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range out.Frames {
		if f.To != 9 {
			continue
		}
		ms, err := DecodeFrame(nil, 2, f.Data)
		if err != nil || len(ms) != 1 || !reflect.DeepEqual(*ms[0].Memory, Memory{Nonce: 5, Others: []kv.NodeID{3}}) {
			t.Errorf("%+v, %v", ms, err)
		}
		return
	}
	t.Error("no answer")
}

// without is a cluster from which node 3 was removed.
type without struct{ nowhere }

func (without) Standing(n kv.NodeID) Standing { return Standing{Removed: n == 3} }

// A node that was removed is in the addresses of many groups still. It is asked for nothing: each question would be
// a connection that is tried in vain, for as long as the process lives.
func TestWhoWasRemovedIsAskedNothing(t *testing.T) {
	t.Parallel()
	h, _ := follower(t)
	h.cfg.Policy = without{}
	asked := map[kv.NodeID]bool{}
	for i := range time.Duration(recallTicks) {
		out, err := h.Turn(Now{Boot: time.Hour + (i+1)*DefaultTick}, &Input{Tick: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range inquiries(t, out) {
			asked[q.to] = true
		}
	}
	if want := map[kv.NodeID]bool{1: true}; !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
}

// A question holds so many nodes, and the next one is about others: each has its turn.
func TestAQuestionIsAboutAFewNodesAtATime(t *testing.T) {
	t.Parallel()
	h := returning(t, func(c *Config) { c.Policy = many{} })
	if _, err := turnAt(t, h, 0, remembers(4, Memory{})); err != nil {
		t.Fatal(err)
	}
	about := map[kv.NodeID]bool{}
	for i := range time.Duration(removeTicks * 5) {
		out, err := h.Turn(Now{Boot: time.Hour + (i+1)*DefaultTick}, &Input{Tick: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range inquiries(t, out) {
			for _, n := range q.others {
				about[n] = true
			}
		}
	}
	if len(about) != manyMembers-2 {
		t.Errorf("it asked about %d nodes, %d are silent", len(about), manyMembers-2)
	}
	long := appendMemory(nil, &Memory{Others: make([]kv.NodeID, maxOthers+1)})
	if d := kv.NewDecoder(long); readMemory(&d) != nil {
		t.Error("a longer list was read")
	}
}

const manyMembers = 3*maxOthers + 7

// many are more members than one question holds.
type many struct{ nowhere }

func (many) Members() (ids []kv.NodeID) {
	for id := range kv.NodeID(manyMembers) {
		ids = append(ids, id+1)
	}
	return ids
}

// Of a joint configuration a replica asks the half of which it is a voter. The other one has never needed
// its word, and may be gone, for the group may have left it behind long ago.
func TestWhoStartsInAJointConfigurationAsksItsOwnHalf(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in, out []uint64
		answers kv.NodeID
		vouched bool
	}{
		"it has just become a voter":                             {[]uint64{1, 2, 3}, []uint64{1, 3}, 1, true},
		"and of its own half nobody answers":                     {[]uint64{2, 3}, []uint64{1}, 1, false},
		"it is about to go":                                      {[]uint64{1, 3}, []uint64{1, 2, 3}, 1, true},
		"it is in both":                                          {[]uint64{1, 2, 3}, []uint64{2, 3}, 1, false},
		"it is in neither, and of those who stay nobody answers": {[]uint64{3}, []uint64{1}, 1, false},
		"it is in neither, and who stays is there":               {[]uint64{1}, []uint64{3}, 1, true},
		"it is in the one that is not answered":                  {[]uint64{1}, []uint64{2, 3}, 1, false},
	} {
		h := returning(t, func(*Config) {})
		g := h.groups.of[0]
		g.applied.Conf = &pb.ConfState{Voters: tc.in, VotersOutgoing: tc.out}
		for _, ms := range [][]Message{nil, {remembers(tc.answers, Memory{Starts: 3, Incarnation: 77})}} {
			if _, err := turnAt(t, h, 0, ms...); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := turnAt(t, h, 2*ElectionTicks*DefaultTick); err != nil {
			t.Fatal(err)
		}
		if g.trust.vouched != tc.vouched {
			t.Errorf("%s: vouched for %v", name, g.trust.vouched)
		}
	}
}
