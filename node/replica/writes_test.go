package replica

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

// A leader that lost its leadership and won it again can have proposals of both terms waiting
// at the same index, and older ones above it. Each must get the answer of its own entry: to be
// told "certainly not done" for a write that was applied is worse than no answer.
func TestProposalsOfTwoTermsAtOneIndex(t *testing.T) {
	h := &Host{}
	g := &group{h: h}
	answers := map[string]entry.Reply{}
	flightOf := func(name string, index, term uint64) flight {
		return flight{index: index, term: term, ops: []Op{{Reply: func(r entry.Reply) { answers[name] = r }}}}
	}
	g.writes.flights = []flight{
		flightOf("old at 83", 83, 2), flightOf("old at 84", 84, 2), flightOf("old at 90", 90, 2),
		flightOf("new at 84", 84, 4), flightOf("new at 85", 85, 4),
	}
	apply := func(index, term uint64) {
		g.resolve(&pb.Entry{Index: new(index), Term: new(term)}, []entry.Reply{{Result: kv.Result{Outcome: kv.Done}}})
		h.answers.release()
	}
	apply(80, 2) // of their own term: they may come yet
	if len(answers) != 0 {
		t.Errorf("answered when nothing was decided: %v", answers)
	}
	apply(83, 4) // none of an older term can come behind this
	if _, ok := answers["old at 90"]; !ok || len(g.writes.flights) != 2 {
		t.Errorf("%d proposals wait, want the 2 of the new term", len(g.writes.flights))
	}
	apply(84, 4)
	apply(85, 4)
	for name, want := range map[string]kv.ErrorKind{"old at 83": kv.Unavailable, "old at 84": kv.Unavailable,
		"old at 90": kv.Unavailable, "new at 84": 0, "new at 85": 0} {
		r, ok := answers[name]
		var got kv.ErrorKind
		if r.Err != nil {
			got = r.Err.Kind
		}
		if !ok || got != want {
			t.Errorf("%s: answered %v with %q, want %q", name, ok, got, want)
		}
	}
	if len(g.writes.flights) != 0 || h.intake.uncommitted != 0 {
		t.Errorf("%d proposals are left, %d bytes of them counted", len(g.writes.flights), h.intake.uncommitted)
	}
}
