package meta

import (
	"testing"

	"pxkv/node/kv"
)

// TestHowLargeAStateIs makes the table of docs/scaling.md, and bounds what a member and a replica take in it.
func TestHowLargeAStateIs(t *testing.T) {
	t.Parallel()
	for _, members := range []int{10, 100, 1000} {
		for _, partitions := range []int{64, 1024, MaxPartitions} {
			s := newCluster(t, partitions)
			for n := 2; n <= members; n++ {
				m := node(n)
				m.ID, m.State, m.Joined = kv.NodeID(uint64(n)<<48|0xfffffffffff), kv.Active, s.NextJoin
				m.Zone = "zone-a"
				m.MetaReplica = s.nextReplica()
				s.NextJoin++
				s.Members = append(s.Members, m)
			}
			rows := make([][]kv.NodeID, partitions)
			for p := range rows {
				for i := range 3 {
					rows[p] = append(rows[p], s.Members[(p+i)%members].ID)
				}
			}
			place := s.NewPlace(rows)
			s, _ = accept(t, s, place)
			state, command := len(s.Encode()), len(place.Encode())
			t.Logf("%4d members, %5d partitions: state %7d bytes, a placement in the log %7d", members, partitions,
				state, command)
			if most := 2000 + 400*members + 60*3*partitions; state > most {
				t.Errorf("the state of %d members and %d partitions has %d bytes, want at most %d", members, partitions,
					state, most)
			}
		}
	}
}
