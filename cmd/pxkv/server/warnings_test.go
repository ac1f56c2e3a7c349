package server

import (
	"fmt"
	"strings"
	"testing"

	"pxkv/node/kv"
)

// Status says with which nodes no connection comes about, and why; of very many, the first.
func TestRefusedPeersAreShown(t *testing.T) {
	t.Parallel()
	names := kv.Names(func(id kv.NodeID) string { return fmt.Sprintf("n%d", id) })
	got := refused(map[kv.NodeID]string{
		3: "the peer refused the connection: of a newer release", 2: "refused the peer: of an older release",
	}, names)
	if len(got) != 2 || !strings.HasPrefix(got[0], "no connection with node n2 (") ||
		!strings.HasSuffix(got[0], "): refused the peer: of an older release") || !strings.Contains(got[1], "n3") {
		t.Errorf("got %q", got)
	}
	many := map[kv.NodeID]string{}
	for i := range kv.NodeID(100) {
		many[i+1] = "refused"
	}
	if n := len(refused(many, names)); n != 10 || len(refused(nil, names)) != 0 {
		t.Errorf("%d lines of 100 nodes", n)
	}
}

// Whether a loss is tolerated follows from how many members and replicas there are.
func TestIntolerance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		members, replicas int
		want              string
	}{{1, 3, ""}, {2, 3, "add a third"}, {3, 3, ""}, {2, 2, "add a third"}, {2, 1, "add a third"},
		{5, 2, "two replicas"}, {5, 1, "one replica"}, {1, 1, ""}, {4, 3, ""}} {
		if got := Intolerance(tc.members, tc.replicas); tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
			t.Errorf("%d members, %d replicas: %q, want %q", tc.members, tc.replicas, got, tc.want)
		}
	}
}

type differs struct{ inDoubt, void []kv.PartitionID }

func (d differs) Differing() (inDoubt, void []kv.PartitionID) { return d.inDoubt, d.void }

func TestStatusWarnsOfReplicasThatDiffer(t *testing.T) {
	t.Parallel()
	if got := differing("n1", differs{}); len(got) != 0 {
		t.Errorf("nothing differs: %q", got)
	}
	got := differing("n1", differs{[]kv.PartitionID{3, kv.Meta}, []kv.PartitionID{7}})
	if len(got) != 2 || !strings.Contains(got[0], "partitions 3, meta differ") ||
		!strings.Contains(got[1], "partitions 7 on node n1 are wrong") {
		t.Errorf("warnings: %q", got)
	}
}
