package ring

import (
	"reflect"
	"testing"

	"pxkv/node/kv"
)

func TestMovesSayWhatChanges(t *testing.T) {
	t.Parallel()
	from := Placement{{1, 2, 3}, {1, 2, 3}, {1, 2, 3}, {1, 2, 3}, {1, 2, 3}, nil, {1}}
	to := Placement{{1, 2, 3}, {1, 3, 2}, {2, 1, 3}, {1, 2, 4}, {4, 5, 2}, {6}}
	nodes := func(ids ...kv.NodeID) []kv.NodeID { return ids }
	want := []Move{
		{Partition: 2, OldLeader: 1, NewLeader: 2},
		{Partition: 3, From: nodes(3), To: nodes(4), OldLeader: 1, NewLeader: 1},
		{Partition: 4, From: nodes(1, 3), To: nodes(4, 5), OldLeader: 1, NewLeader: 4},
		{Partition: 5, To: nodes(6), NewLeader: 6},
		{Partition: 6, From: nodes(1), OldLeader: 1},
	}
	if got := Moves(from, to); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := Moves(from, from); got != nil {
		t.Errorf("nothing changes, and it says %+v", got)
	}
}
