package node

import (
	"testing"

	"pxkv/node/member"
)

// Why a silent member is not given up is logged when it changes, and not each second because a duration in it has.
func TestASilentMemberIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var st steering
	for i, c := range []struct {
		why  member.Objection
		news bool
	}{
		{member.Objection{}, false},
		{member.Objection{Text: "n2 heard it 1s ago", Kind: "heard"}, true},
		{member.Objection{Text: "n2 heard it 2s ago", Kind: "heard"}, false},
		{member.Objection{Text: "partition 3 needs its vote", Kind: "needed"}, true},
		{member.Objection{Text: "partition 4 needs its vote", Kind: "needed"}, false},
		{member.Objection{}, false},
		{member.Objection{Text: "partition 4 needs its vote", Kind: "needed"}, true},
	} {
		if got := st.news(c.why); got != c.news {
			t.Errorf("%d: %q is news: %v, want %v", i, c.why.Text, got, c.news)
		}
	}
}
