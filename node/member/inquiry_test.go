package member

import (
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

func TestAMemberIsReplacedOnlyWhenNobodyNeedsOrHearsIt(t *testing.T) {
	t.Parallel()
	const quiet = time.Minute
	spares := func(ps ...kv.PartitionID) replica.Witness { return replica.Witness{Silence: quiet, Spares: ps} }
	for name, tc := range map[string]struct {
		said map[kv.NodeID]replica.Witness
		why  string // "" when it may be replaced
	}{
		"all groups do without it": {map[kv.NodeID]replica.Witness{1: spares(kv.Meta, 0), 2: spares(1)}, ""},
		"a group needs its vote": {map[kv.NodeID]replica.Witness{
			1: spares(kv.Meta, 0), 2: {Silence: quiet, Needs: []kv.PartitionID{1}},
		}, "partition 1 has no majority"},
		"a group has no leader": {map[kv.NodeID]replica.Witness{1: spares(kv.Meta, 0)},
			"partition 1 has no leader"},
		"the meta group is not sure": {map[kv.NodeID]replica.Witness{1: spares(0), 2: spares(1)}, "meta group"},
		"one member hears it": {map[kv.NodeID]replica.Witness{
			1: spares(kv.Meta, 0, 1), 2: {Silence: time.Second},
		}, "heard it 1s ago"},
		"it has said itself that it has ended": {map[kv.NodeID]replica.Witness{
			1: spares(kv.Meta, 0, 1), 2: {Silence: time.Second}, 4: {Silence: 0, Gone: true},
		}, ""},
		"it has said so, and a group needs its vote": {map[kv.NodeID]replica.Witness{
			1: {Silence: 0, Gone: true, Spares: []kv.PartitionID{kv.Meta, 0}, Needs: []kv.PartitionID{1}},
		}, "partition 1 has no majority"},
		"one that may lead soon has not answered": {map[kv.NodeID]replica.Witness{
			1: {Silence: quiet, Spares: []kv.PartitionID{kv.Meta, 0, 1}, Hears: []kv.NodeID{2, 3, 4}}, 2: spares(),
		}, "node 0000000000000004 is there"},
		"all that are there have answered": {map[kv.NodeID]replica.Witness{
			1: {Silence: quiet, Spares: []kv.PartitionID{kv.Meta, 0, 1}, Hears: []kv.NodeID{2}}, 2: spares(),
		}, ""},
		"nobody says anything": {nil, "meta group"},
		"two members alone, one is stopped": {map[kv.NodeID]replica.Witness{1: spares(kv.Meta)},
			"partition 0 has no leader"},
	} {
		q := Inquiry{Former: 3, Partitions: 2, Least: DefaultSilence}
		for id, w := range tc.said {
			q.Hear(id, w)
		}
		if why := q.Decide().Text; (why == "") != (tc.why == "") || !strings.Contains(why, tc.why) {
			t.Errorf("%s: %q, want %q", name, why, tc.why)
		}
	}
}

// What is logged when it changes is not logged again because a duration in it has.
func TestAnObjectionOfOneKindStaysOne(t *testing.T) {
	t.Parallel()
	ask := func(silence time.Duration, needs ...kv.PartitionID) Objection {
		q := Inquiry{Former: 3, Partitions: 2, Least: DefaultSilence}
		q.Hear(1, replica.Witness{Silence: silence, Spares: []kv.PartitionID{kv.Meta, 0, 1}, Needs: needs})
		return q.Decide()
	}
	now, later := ask(time.Second), ask(2*time.Second)
	if now.Text == later.Text || now.Kind != later.Kind {
		t.Errorf("heard a second later: %+v, then %+v", now, later)
	}
	one, other := ask(time.Minute, 0), ask(time.Minute, 1)
	if one.Text == other.Text || one.Kind != other.Kind || one.Kind == now.Kind {
		t.Errorf("heard: %+v; one vote is needed: %+v, then another one: %+v", now, one, other)
	}
	if none := ask(time.Minute); none != (Objection{}) {
		t.Errorf("nothing is in the way, and it says %+v", none)
	}
}
