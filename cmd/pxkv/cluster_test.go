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
		0: "NAME ID STATE REACHABLE REPLICAS WANTED LEADERS HTTP PEER GOSSIP",
		1: "n1 0000000000000001 active yes 2 2 2 h1:8080 h1:7947 h1:7946",
		2: "n2 0000000000000002 active no 1 2 0 - - -",
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
	if strings.Join(lines, "|") != "PARTITION SLOTS LEADER REPLICAS WANTED LACKS|0 0-8191 n1 n1 n2 n1 n2 -|"+
		"1 8192-16383 - n1 n2(learner, 7 behind) n2 n1 the replica on node n2 is being filled "+
		"(the replica on node n2 has not caught up)" {
		t.Fatalf("got %q", lines)
	}
	var view []kv.PartitionView
	got = command(t, url, nil, "partitions", "--output", "json")
	if err := json.Unmarshal([]byte(got.out), &view); err != nil || len(view) != 2 || view[1].Wanted[1].ID != 4 ||
		view[1].Replicas[1].Role != kv.RoleLearner {
		t.Fatalf("%v: %s", err, got.out)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	no := func(why string) kv.YesNo { return kv.YesNo{Why: []string{why}} }
	for _, tc := range []struct {
		name     string
		change   func(*fakeNode)
		code     int
		reason   string
		warnings int
	}{
		{"all well, by the word of the leaders", func(*fakeNode) {}, exitFine, "", 1},
		{"a newcomer waits", func(n *fakeNode) {
			n.cluster.Waiting = []kv.WaitingView{{Name: "n2", Why: "its vote is needed"}}
		}, exitFine, "", 2},
		{"the node warns", func(n *fakeNode) { n.cluster.Warnings = []string{"anybody may come in"} }, exitFine, "", 2},
		{"gossip misses a member", func(n *fakeNode) { n.cluster.Members[1].Reachable = false }, exitFine, "", 2},
		{"not served", func(n *fakeNode) { n.cluster.Health.Served = no("partition 1: no leader answers") },
			exitFailed, "partition 1: no leader answers", 1},
		{"not complete", func(n *fakeNode) { n.cluster.Health.Complete = no("n2 is being filled") }, exitFailed,
			"n2 is being filled", 1},
		{"a node is needed", func(n *fakeNode) { n.cluster.Health.MayFail = no("not n1") }, exitFailed,
			"not n1", 1},
		{"in no cluster", func(n *fakeNode) {
			n.cluster = kv.ClusterView{ID: 0xabc, Epoch: 4, Node: "n1", NotReady: "it waits"}
		}, exitFailed, "node n1 is not ready: it waits", 0},
	} {
		n, url := newFakeNode(t)
		tc.change(n)
		got := command(t, url, nil, "status", "--output", "json")
		var s status
		if err := json.Unmarshal([]byte(got.out), &s); err != nil {
			t.Fatalf("%s: %v in %q", tc.name, err, got.out)
		}
		well := s.Served.Yes && s.Complete.Yes && s.MayFail.Yes
		if got.code != tc.code || well != (tc.code == exitFine) || !strings.Contains(got.out, tc.reason) ||
			len(s.Warnings) != tc.warnings {
			t.Errorf("%s: code %d, %+v, %s", tc.name, got.code, s, got.errors)
		}
		if s.Cluster != 0xabc || s.Epoch != 4 || s.Members != len(n.cluster.Members) || s.Node != "n1" {
			t.Errorf("%s: got %+v", tc.name, s)
		}
		command(t, url, nil, "status").expect(t, tc.code, tc.reason, "")
	}
}

// The check of containers asks the node alone, whatever the others lack.
func TestQuietStatusIsReadiness(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	n.cluster.Health.MayFail = kv.YesNo{}
	if got := command(t, url, nil, "status", "--quiet"); got != (outcome{}) {
		t.Errorf("got %+v", got)
	}
	n.cluster.Ready, n.cluster.NotReady = false, "partition 1 has no leader"
	got := command(t, url, nil, "status", "--quiet")
	if got.code != exitFailed || got.out != "" || !strings.Contains(got.errors, "partition 1 has no leader") {
		t.Errorf("got %+v", got)
	}
}

func TestStatusWaits(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	n.cluster.Health.Complete, n.wellAt = kv.YesNo{Why: []string{"n2 is being filled"}}, 3
	command(t, url, nil, "status", "--wait", "60s").expect(t, exitFine, "complete", "")
	if n.asked != 3 {
		t.Errorf("it asked %d times", n.asked)
	}
	n.cluster.Health.Complete = kv.YesNo{Why: []string{"n2 is being filled"}}
	command(t, url, nil, "status", "--wait", "600ms").expect(t, exitFailed, "n2 is being filled", "not complete")
	command(t, url, nil, "status", "--wait", "-1s").expect(t, exitUsage, "", "--wait")
	command(t, url, nil, "status", "--quiet", "--safe-to-stop", "n1").expect(t, exitUsage, "", "ask one")
}

func TestSafeToStop(t *testing.T) {
	t.Parallel()
	_, url := newFakeNode(t)
	command(t, url, nil, "status", "--safe-to-stop", "n1").expect(t, exitFailed, "",
		"without it 2 partitions (0, 1) and the cluster's own group would not be served")
	command(t, url, nil, "status", "--safe-to-stop", "").expect(t, exitUsage, "", "wants the name of a node")
	command(t, url, nil, "status", "--safe-to-stop", "n2").expect(t, exitFine, "node n2 may be stopped", "")
	got := command(t, url, nil, "status", "--safe-to-stop", "n1", "--output", "json")
	var v kv.SafeView
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || v.Safe || len(v.Partitions) != 2 {
		t.Errorf("%v: %+v", err, got)
	}
}

// Who waits until a node may be stopped is told at once that there is no such member, once a node knows that.
func TestNobodyWaitsForANodeThatIsNone(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	n.joinedAt = 3
	for _, asked := range []int{3, 4} {
		command(t, url, nil, "status", "--wait", "60s", "--safe-to-stop", "n22").expect(t, exitFailed, "",
			`no member is named "n22"`)
		if n.asked != asked {
			t.Errorf("it has asked %d times, want %d", n.asked, asked)
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
