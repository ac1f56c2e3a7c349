package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
)

// leavingNode is a fake of node n1, whose cluster n2 leaves: it is gone when n1 was asked so often after the order, 0:
// never.
func leavingNode(t *testing.T, goneAt int) (*fakeNode, string) {
	n, url := newFakeNode(t)
	n.order = kv.OrderView{Node: "n2", State: kv.Leaving, Epoch: 4}
	looked := 0
	n.onAsked = func() {
		if len(n.orders) == 0 {
			return
		}
		m := &n.cluster.Members[len(n.cluster.Members)-1]
		if m.Name != "n2" {
			return
		}
		looked++
		m.State = n.order.State
		m.Departure = &kv.DepartureView{Cause: kv.CauseLeft, Left: 3, Moved: 45, LeftBytes: 3 << 20,
			BytesPerSecond: 1 << 20, SecondsLeft: 3,
			Waits: []kv.WaitView{{Partitions: []kv.PartitionID{1, 2}, Why: "its replica is about to move"}, {Why: "x"}}}
		if looked == goneAt {
			n.cluster.Members = n.cluster.Members[:1]
		}
	}
	return n, url
}

func TestLeave(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		args   string
		goneAt int
		change func(*fakeNode)
		code   int
		out    string
		errs   string
		order  string
	}{
		{name: "it is waited for, and what changes is told", args: "leave n2", goneAt: 3,
			out: "n2 has left the cluster\n",
			errs: "n2 is leaving: 3 of 48 partitions left, 3.0 MiB, 1.0 MiB/s, about 3s; waits: partitions 1, 2: " +
				"its replica is about to move (and 1 other reason)\n", order: "POST /cluster/leave node=n2"},
		{name: "it is not waited for", args: "leave n2 --wait=false", out: "n2 is leaving; pxkv members shows",
			order: "POST /cluster/leave node=n2"},
		{name: "the node asked", args: "leave --wait=false", out: "n2 is leaving",
			order: "POST /cluster/leave node=n1"},
		{name: "with all that can be said", args: "leave n2 --wait=false --replicas-after 1 --plan 12",
			out:   "n2 is leaving",
			order: "POST /cluster/leave node=n2&plan=12&replicas_after=1"},
		{name: "as JSON", args: "leave n2 -o json", goneAt: 1, out: `"gone": true`, order: "POST /cluster/leave node=n2"},
		{name: "refused", args: "leave n2", change: func(n *fakeNode) { n.order.Refused = []string{"one", "two"} },
			code: exitFailed, errs: "n2 does not leave:\n  one\n  two\n", order: "POST /cluster/leave node=n2"},
		{name: "refused as JSON", args: "leave n2 -o json",
			change: func(n *fakeNode) { n.order.Refused = []string{"one"} },
			code:   exitFailed, out: `"refused": [`, order: "POST /cluster/leave node=n2"},
		{name: "it stays after all", args: "leave n2 --cancel", change: func(n *fakeNode) { n.order.State = kv.Active },
			out: "n2 stays in the cluster\n", order: "DELETE /cluster/leave node=n2"},
		{name: "not within the time", args: "leave n2 --wait-timeout 1ms", code: exitFailed,
			errs: "is not gone after 1ms (3 of 48 partitions left", order: "POST /cluster/leave node=n2"},
		{name: "it stalls", args: "leave n2 --wait-timeout 1ms", code: exitFailed, errs: "no progress for 1m30s",
			change: func(n *fakeNode) {
				before := n.onAsked
				n.onAsked = func() {
					if before(); n.cluster.Members[1].Departure != nil {
						n.cluster.Members[1].Departure.StalledSeconds = 90
					}
				}
			}, order: "POST /cluster/leave node=n2"},
		{name: "somebody cancels it", args: "leave n2", code: exitFailed, errs: "n2 is active: it stays in the cluster",
			change: func(n *fakeNode) { n.onAsked = nil }, order: "POST /cluster/leave node=n2"},
		{name: "removed", args: "remove n2", goneAt: 2, out: "n2 is removed\n",
			change: func(n *fakeNode) { n.order.State = kv.Down }, errs: "n2 is down: 3 of 48",
			order: "DELETE /cluster/members/n2 "},
		{name: "removed by any name", args: "remove r/1?+ --wait=false --replicas-after 2", out: "n2 is given up",
			change: func(n *fakeNode) { n.order.State = kv.Down },
			order:  "DELETE /cluster/members/r%2F1%3F+ replicas_after=2"},
		{name: "alive", args: "remove n2", code: exitFailed, errs: "n2 is not removed:\n  it answers",
			change: func(n *fakeNode) { n.order.Refused = []string{"it answers"} },
			order:  "DELETE /cluster/members/n2 "},
		{name: "in no cluster", args: "leave", code: exitFailed, errs: "n1 is not ready: it waits",
			change: func(n *fakeNode) { n.cluster = kv.ClusterView{Node: "n1", NotReady: "it waits"} }},
		{name: "cancelled with a number", args: "leave n2 --cancel --plan 3", code: exitUsage,
			errs: "--cancel takes back"},
		{name: "no plan", args: "leave n2 --plan 0", code: exitUsage, errs: "--plan wants the epoch"},
		{name: "no replicas", args: "leave n2 --replicas-after 0", code: exitUsage, errs: "must be 1 or more"},
		{name: "two names", args: "leave n2 n3", code: exitUsage, errs: `unexpected argument "n3"`},
		{name: "an empty name", args: "leave EMPTY", code: exitUsage, errs: "NAME is empty"},
		{name: "another empty name", args: "remove EMPTY", code: exitUsage, errs: "NAME is empty"},
		{name: "no name", args: "remove", code: exitUsage, errs: "missing NAME"},
		{name: "a time for no wait", args: "leave n2 --wait=false --wait-timeout 1s", code: exitUsage,
			errs: "--wait-timeout goes with --wait only"},
		{name: "a time in the past", args: "remove n2 --wait-timeout -1s", code: exitUsage, errs: "--wait-timeout"},
		{name: "another output", args: "leave -o yaml", code: exitUsage, errs: "--output must be"},
		{name: "which one", args: "leave --server http://127.0.0.1:1", code: exitUsage, errs: "name the node"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n, url := leavingNode(t, tc.goneAt)
			if tc.change != nil {
				tc.change(n)
			}
			args := strings.Split(tc.args, " ")
			for i := range args {
				args[i] = strings.Replace(args[i], "EMPTY", "", 1)
			}
			command(t, url, nil, args...).expect(t, tc.code, tc.out, tc.errs)
			if got := strings.Join(n.orders, "; "); got != tc.order {
				t.Errorf("the node was asked %q, want %q", got, tc.order)
			}
		})
	}
}

// Ctrl-C ends the command and not the departure, and the command says so.
func TestLeaveIsInterrupted(t *testing.T) {
	t.Parallel()
	n, url := leavingNode(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	before, seen := n.onAsked, 0
	n.onAsked = func() {
		before()
		if seen++; seen == 3 {
			cancel()
		}
	}
	commandContext(ctx, url, nil, "leave", "n2").expect(t, exitFailed, "", "interrupted: n2 goes on leaving; pxkv "+
		"members shows how far it is, and pxkv leave n2 --cancel keeps it")
	if !slices.Equal(n.orders, []string{"POST /cluster/leave node=n2"}) {
		t.Errorf("it was asked %q", n.orders)
	}
}

// Whether a node has left is asked of another one, since its own door closes at the end.
func TestWhoStaysIsAskedWhetherANodeHasLeft(t *testing.T) {
	t.Parallel()
	stays, address := leavingNode(t, 0)
	stays.orders = []string{"an order to n2"}
	leaver, url := leavingNode(t, 0)
	leaver.cluster.Node = "n2"
	leaver.cluster.Members[0].Addresses.HTTP = strings.TrimPrefix(address, "http://")
	atLeaver := leaver.onAsked
	leaver.onAsked = func() {
		if atLeaver(); len(leaver.orders) > 0 {
			stays.mu.Lock()
			defer stays.mu.Unlock()
			stays.cluster.Members = stays.cluster.Members[:1] // it is gone, and only the other one says so
		}
	}
	command(t, url, nil, "leave").expect(t, exitFine, "n2 has left the cluster", "")
	if len(leaver.orders) != 1 || len(stays.orders) != 1 {
		t.Errorf("asked were %q, and %q", leaver.orders, stays.orders)
	}
}

// A new node of the name may have the place before the former one has left: whoever wanted one member fewer hears that.
func TestANewNodeOfTheNameHasNotLeft(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		args      string
		state     kv.MemberState
		code      int
		out, errs string
	}{
		{"leave n2", kv.Leaving, exitFailed, "", "n2 is a member again, as a new node (00000000000000ff)"},
		{"remove n2", kv.Down, exitFine, "n2 is removed\n", ""},
	} {
		n, url := leavingNode(t, 0)
		n.order.State = tc.state
		n.onAsked = func() {
			if len(n.orders) > 0 {
				n.cluster.Members[1].ID = 0xff
			}
		}
		command(t, url, nil, strings.Split(tc.args, " ")...).expect(t, tc.code, tc.out, tc.errs)
	}
}

// Where nobody else can be asked, the end of the node's door is not taken for the end of its departure.
func TestAClosedDoorIsNoDeparture(t *testing.T) {
	t.Parallel()
	n, _ := leavingNode(t, 0)
	n.cluster.Node = "n2"
	n.cluster.Members[0].Addresses.HTTP = "127.0.0.1:1"
	n.orders = []string{"it leaves"}
	open := httptest.NewServer(n)
	base, err := parseServer(open.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{base: base, timeout: time.Second, http: &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
	}}
	c.bases = append(c.bases, base)
	var told strings.Builder
	f := follow(c, n.order, &n.cluster, &told)
	f.unheard = 0
	if m, err := f.look(t.Context()); err != nil || m == nil || m.Departure == nil {
		t.Fatalf("%+v, %v", m, err)
	}
	open.Close()
	err = f.untilGone(t.Context(), 0)
	if err == nil || exitCode(err) != exitFailed || !strings.Contains(err.Error(), "no other member could be asked") {
		t.Errorf("got %v", err)
	}
}

// A node that knows less than the one that took the order does not say that the member is gone.
func TestAnOlderAnswerDoesNotEndADeparture(t *testing.T) {
	t.Parallel()
	n, url := leavingNode(t, 1)
	n.cluster.Epoch, n.order.Epoch = 3, 4
	before := n.onAsked
	asked := 0
	n.onAsked = func() {
		if before(); len(n.orders) > 0 {
			if asked++; asked == 3 {
				n.cluster.Epoch = 5
			}
		}
	}
	command(t, url, nil, "leave", "n2").expect(t, exitFine, "n2 has left the cluster", "")
	if asked < 3 {
		t.Errorf("it asked %d times", asked)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	n.plan = kv.PlanView{Change: "remove", Node: "n2", Epoch: 12, Bytes: 3 << 20, Seconds: 70, Moves: []kv.MoveView{
		{Partition: 0, From: []string{"n2"}, To: []string{"n3", "n4"}, Leader: "n3", Bytes: 3 << 19},
		{Partition: 7, Leader: "n1"},
	}}
	got := command(t, url, nil, "plan", "remove", "n2", "--replicas-after", "2")
	var lines []string
	for line := range strings.Lines(got.out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := "PARTITION FROM TO NEW LEADER BYTES|0 n2 n3 n4 n3 1.5 MiB|7 - - n1 0 B|" +
		"to remove n2: replicas of 1 partition, new leaders of 2; about 3.0 MiB to receive, about 1m10s; epoch 12|" +
		"every partition could bear the failure of one more node meanwhile"
	if got.code != exitFine || strings.Join(lines, "|") != want {
		t.Errorf("%+v, want %s", got, want)
	}
	var v kv.PlanView
	got = command(t, url, nil, "plan", "remove", "n2", "-o", "json")
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || len(v.Moves) != 2 || v.Epoch != 12 {
		t.Errorf("%v: %+v", err, got)
	}
	n.plan.Refused, n.plan.AtRisk, n.plan.Moves = []string{"n1 does not answer"}, []kv.PartitionID{0, 7}, nil
	command(t, url, nil, "plan", "replace", "n2").expect(t, exitFailed,
		"2 partitions could not bear the failure of one more node meanwhile: 0, 7\n",
		"it would be refused now:\n  n1 does not answer\n")
	n.plan.AtRisk = nil
	got = command(t, url, nil, "plan", "remove", "n1")
	if got.code != exitFailed || strings.Contains(got.out, "meanwhile") {
		t.Errorf("nothing moves, and meanwhile something happens: %+v", got)
	}
	if want := []string{"GET /cluster/plan remove=n2&replicas_after=2", "GET /cluster/plan remove=n2",
		"GET /cluster/plan replace=n2", "GET /cluster/plan remove=n1"}; !slices.Equal(n.orders, want) {
		t.Errorf("asked was %q", n.orders)
	}
	for args, text := range map[string]string{
		"plan": "missing add, remove or replace", "plan move n2": `not to "move" it`, "plan add": "missing NAME",
		"plan add n5 --replicas-after 2": "goes with remove only", "plan remove n2 --replicas-after -1": "1 or more",
		"plan remove n2 -o xml": "--output",
	} {
		command(t, url, nil, strings.Split(args, " ")...).expect(t, exitUsage, "", text)
	}
}

func TestMembersShowWhoComesAndGoes(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	n.cluster.Members[0].Zone = "rack 1"
	n.cluster.Members[1].State = kv.Leaving
	n.cluster.Members[1].Departure = &kv.DepartureView{
		SinceMS: 1_767_225_600_000, Cause: kv.CauseLeft, Left: 1, Moved: 1,
	}
	n.cluster.Removed = []kv.RemovedView{
		{ID: 9, Name: "n9", AtMS: 1_767_225_600_000, Cause: kv.CauseLost}, {ID: 8, Name: "n8"},
	}
	got := command(t, url, nil, "members")
	for _, want := range []string{"LEADERS  ZONE", "2        rack 1", "leaving",
		"n2 is leaving since 2026-01-01T00:00:00Z, as it was asked to: 1 of 2 partitions left\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("it lacks %q:\n%s", want, got.out)
		}
	}
	got = command(t, url, nil, "members", "--removed")
	for _, want := range []string{"n9    0000000000000009  2026-01-01T00:00:00Z  it was silent for too long\n",
		"n8    0000000000000008  -                     it was removed\n"} {
		if got.code != exitFine || !strings.Contains(got.out, want) {
			t.Errorf("it lacks %q:\n%s", want, got.out)
		}
	}
	var removed []kv.RemovedView
	got = command(t, url, nil, "members", "--removed", "-o", "json")
	if err := json.Unmarshal([]byte(got.out), &removed); err != nil || len(removed) != 2 {
		t.Errorf("%v: %s", err, got.out)
	}
	n.cluster.Removed = nil
	command(t, url, nil, "members", "--removed", "-o", "json").expect(t, exitFine, "[]\n", "")
}

// A departure is no trouble while it gets further.
func TestStatusTellsOfDepartures(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	d := &kv.DepartureView{Cause: kv.CauseLost, Left: 1, Moved: 2}
	n.cluster.Members[1].State, n.cluster.Members[1].Departure = kv.Down, d
	command(t, url, nil, "status").expect(t, exitFine, "down        n2: 1 of 3 partitions left\n", "")
	d.StalledSeconds, d.Waits = 61, []kv.WaitView{{Why: "nobody has said yet what moves where"}}
	command(t, url, nil, "status").expect(t, exitFailed,
		"n2: 1 of 3 partitions left, no progress for 1m1s; waits: nobody has said", "n2 is down and gets no further")
	command(t, url, nil, "status", "-o", "json").expect(t, exitFailed, `"stalled_seconds": 61`, "gets no further")
}

func TestSizesAreShown(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 3 << 19: "1.5 MiB", 1 << 30: "1.0 GiB", 1 << 50: "1024.0 TiB",
	} {
		if got := sizeText(n); got != want {
			t.Errorf("%d bytes are shown as %s, want %s", n, got, want)
		}
	}
}
