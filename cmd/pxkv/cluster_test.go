package main

import (
	"encoding/json"
	"strings"
	"testing"

	"pxkv/node/kv"
)

func TestMembers(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	n.cluster.Members[1].Reachable = false
	got := command(t, url, nil, "members")
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if got.code != exitFine || len(lines) != 3 {
		t.Fatalf("want a heading and two members, got %+v", got)
	}
	for line, want := range map[int]string{
		0: "NAME ID STATE REACHABLE REPLICAS LEADERS HTTP PEER GOSSIP",
		1: "n1 0000000000000001 active yes 2 2 h1:8080 h1:7947 h1:7946",
		2: "n2 0000000000000002 active no 2 0 - - -",
	} {
		if got := strings.Join(strings.Fields(lines[line]), " "); got != want {
			t.Errorf("line %d is %q, want %q", line, got, want)
		}
	}
	var members []kv.MemberView
	got = command(t, url, nil, "members", "--output", "json")
	if err := json.Unmarshal([]byte(got.out), &members); err != nil || len(members) != 2 ||
		members[0] != n.cluster.Members[0] {
		t.Fatalf("%v: %s", err, got.out)
	}
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	n.partitions[1].Leader = ""
	got := command(t, url, nil, "partitions")
	var lines []string
	for line := range strings.Lines(got.out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	if strings.Join(lines, "|") != "PARTITION SLOTS LEADER REPLICAS|0 0-8191 n1 n1 n2|1 8192-16383 - n2 n1" {
		t.Fatalf("got %q", lines)
	}
	var view []kv.PartitionView
	got = command(t, url, nil, "partitions", "--output", "json")
	if err := json.Unmarshal([]byte(got.out), &view); err != nil || len(view) != 2 || view[1].Replicas[1].ID != 4 {
		t.Fatalf("%v: %s", err, got.out)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		change   func(*fakeNode)
		code     int
		problem  string
		warnings int
	}{
		{"all well, but that two members need each other", func(*fakeNode) {}, exitFine, "", 1},
		{"a newcomer waits", func(n *fakeNode) {
			n.cluster.Waiting = []kv.WaitingView{{Name: "n2", Why: "its vote is needed"}}
		}, exitFine, "", 2},
		{"the node warns", func(n *fakeNode) { n.cluster.Warnings = []string{"anybody may come in"} }, exitFine, "", 2},
		{"a member is gone", func(n *fakeNode) { n.cluster.Members[1].Reachable = false }, exitFine, "", 2},
		{"too few replicas", func(n *fakeNode) {
			n.partitions[0].Replicas = n.partitions[0].Replicas[:1]
		}, exitFine, "", 2},
		{"not ready", func(n *fakeNode) {
			n.cluster.Ready, n.cluster.NotReady = false, "partition 1 has no leader"
			n.cluster.Leaderless = []kv.PartitionID{1}
		}, exitFailed, "node n1 is not ready: partition 1 has no leader", 1},
		{"two replicas by choice", func(n *fakeNode) { n.cluster.Replicas = 2 }, exitFine, "", 1},
		{"three members", func(n *fakeNode) {
			n.cluster.Members = append(n.cluster.Members, kv.MemberView{
				ID: 3, Name: "n3", State: kv.Active, Reachable: true,
			})
			for i := range n.partitions {
				n.partitions[i].Replicas = append(n.partitions[i].Replicas,
					kv.ReplicaView{Node: "n3", ID: kv.ReplicaID(10 + i)})
			}
		}, exitFine, "", 0},
		{"one of three members is gone", func(n *fakeNode) {
			n.cluster.Members = append(n.cluster.Members, kv.MemberView{ID: 3, Name: "n3", State: kv.Active})
			for i := range n.partitions {
				n.partitions[i].Replicas = append(n.partitions[i].Replicas,
					kv.ReplicaView{Node: "n3", ID: kv.ReplicaID(10 + i)})
			}
		}, exitFine, "", 2},
		{"not placed", func(n *fakeNode) {
			n.partitions = n.partitions[:1]
		}, exitFailed, "1 of 2 partitions are placed", 1},
	} {
		n, url := newFakeNode(t)
		tc.change(n)
		got := command(t, url, nil, "status", "--output", "json")
		var s status
		if err := json.Unmarshal([]byte(got.out), &s); err != nil {
			t.Fatalf("%s: %v in %q", tc.name, err, got.out)
		}
		if got.code != tc.code || s.Healthy != (tc.code == exitFine) || strings.Join(s.Problems, ";") != tc.problem ||
			len(s.Warnings) != tc.warnings {
			t.Errorf("%s: code %d, %+v", tc.name, got.code, s)
		}
		if s.Cluster != 0xabc || s.Epoch != 4 || s.Members != len(n.cluster.Members) || s.Node != "n1" {
			t.Errorf("%s: got %+v", tc.name, s)
		}
		command(t, url, nil, "status").expect(t, tc.code, "cluster ", tc.problem)
		if quiet := command(t, url, nil, "status", "--quiet"); quiet.code != tc.code || quiet.out != "" ||
			!strings.Contains(quiet.errors, tc.problem) {
			t.Errorf("%s: --quiet gave %+v", tc.name, quiet)
		}
	}
}

func TestViewOfAnotherServer(t *testing.T) {
	t.Parallel()
	url := answering(t, 200, "<html>hello</html>")
	command(t, url, nil, "status").expect(t, exitFailed, "", "is this the HTTP address of one?")
	command(t, url, nil, "list").expect(t, exitFailed, "", "broke off")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	command(t, "", nil, "version").expect(t, exitFine, "pxkv ", "")
	var b build
	got := command(t, "", nil, "version", "--output", "json")
	if err := json.Unmarshal([]byte(got.out), &b); err != nil || b.Version == "" || b.Commit == "" ||
		!strings.HasPrefix(b.Go, "go1.") {
		t.Fatalf("%v: %s", err, got.out)
	}
}
