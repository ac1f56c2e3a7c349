package meta

import (
	"cmp"
	"slices"

	"pxkv/node/kv"
)

// maxMetaVoters is how many members vote in the meta group at most. Five survive two
// failures; more would make every command wait for more disks.
const maxMetaVoters = 5

// MetaReplicas returns the replicas that the meta group should have, in order of joining:
// the oldest active members vote, at most five and always an odd number (1, 1, 3, 3, 5 for
// 1 to 5 active members), since an even one needs one more for a majority and survives no
// more failures: with two voters the loss of either would stop the group. The first voter is
// the preferred leader. All other members are learners, whatever their state: every node
// holds the state, and a member that is down and comes back is still known to the group
// under its id.
func (s *State) MetaReplicas() (voters, learners []kv.Replica) {
	byAge := slices.SortedFunc(slices.Values(s.Members), func(a, b Member) int {
		return cmp.Compare(a.Joined, b.Joined)
	})
	want := min(len(s.ActiveIDs()), maxMetaVoters)
	if want%2 == 0 {
		want--
	}
	for _, m := range byAge {
		r := kv.Replica{ID: m.MetaReplica, Node: m.ID}
		if m.State == kv.Active && len(voters) < want {
			voters = append(voters, r)
		} else {
			learners = append(learners, r)
		}
	}
	return voters, learners
}
