package main

import (
	"strings"
	"testing"

	"pxkv/node/kv"
)

// The calls about members, on a cluster of three nodes and three replicas, of which none can go: whichever node is
// asked, it answers the same, and nothing changes.
func contractOfMembers(t *testing.T, c *trio) {
	c.hold(t, []row{
		{name: "leave", request: "POST /cluster/leave?node=n3", status: 409,
			want: `~"code":"refused","node":"n3","state":"active"`, has: "Content-Type: application/json"},
		{name: "leave says all reasons", request: "POST /cluster/leave?node=n3", status: 409,
			want: `~"refused":["2 members would remain, fewer than the 3 replicas`},
		{name: "leave of the node asked", request: "POST /cluster/leave", status: 409, want: `~"refused":[`},
		{name: "leave by a plan", request: "POST /cluster/leave?node=n3&replicas_after=2&plan=999", status: 409,
			want: "~the plan is of epoch 999"},
		{name: "leave with more replicas", request: "POST /cluster/leave?node=n3&replicas_after=4", status: 409,
			want: "~4 replicas were asked for"},
		{name: "leave of nobody", request: "POST /cluster/leave?node=n9", status: 400, want: `~no member is named \"n9\"`},
		{name: "leave of an empty name", request: "POST /cluster/leave?node=", status: 400, want: "~node is empty"},
		{name: "leave with a number that is none", request: "POST /cluster/leave?replicas_after=x", status: 400,
			want: "~replicas_after"},
		{name: "leave with an unknown parameter", request: "POST /cluster/leave?force=true", status: 400,
			want: `~\"force\" is not known here`},
		{name: "leave twice named", request: "POST /cluster/leave?node=n1&node=n2", status: 400, want: "~given twice"},
		{name: "leave with a body", request: "POST /cluster/leave", body: `{"node":"n3"}`, status: 400,
			want: "~takes no body"},
		{name: "cancel of what is not leaving", request: "DELETE /cluster/leave?node=n3", status: 200,
			want: `~{"node":"n3","state":"active","epoch":`},
		{name: "cancel at the node", request: "DELETE /cluster/leave", status: 200, want: `~"state":"active"`},
		{name: "remove of who lives", request: "DELETE /cluster/members/n3?replicas_after=2", status: 409,
			want: `~"code":"refused","node":"n3"`},
		{name: "remove of nobody", request: "DELETE /cluster/members/n%209", status: 400,
			want: `~no member is named \"n 9\"`},
		{name: "remove of no name", request: "DELETE /cluster/members/", status: 400, want: "~Name one member"},
		{name: "replicas as they are", request: "PUT /cluster/replicas?wanted=3", status: 200,
			want: `~,"replicas":3}`},
		{name: "too many replicas", request: "PUT /cluster/replicas?wanted=10", status: 409,
			want: `~"replicas":3,"refused":["10 replicas were asked for; 1 to 9 are possible"]`},
		{name: "replicas of no number", request: "PUT /cluster/replicas", status: 400, want: "~Say how many"},
		{name: "another method", request: "PUT /cluster/members/n3", status: 405, want: "~use DELETE",
			has: "Allow: DELETE"},
		{name: "plan of who comes", request: "GET /cluster/plan?add=n4", status: 200,
			want: `~{"change":"add","node":"n4","epoch":`},
		{name: "plan of who goes", request: "GET /cluster/plan?remove=n3&replicas_after=2", status: 200,
			want: `~"moves":[{"partition":0,"from":["n3"]`},
		{name: "plan of what is refused", request: "GET /cluster/plan?remove=n3", status: 200,
			want: `~"refused":["2 members would remain`},
		{name: "plan of who is replaced", request: "GET /cluster/plan?replace=n3", status: 200,
			want: `~"to":["n3"]`},
		{name: "plan of nobody", request: "GET /cluster/plan?replace=n9", status: 400, want: `~no member is named`},
		{name: "plan of nothing", request: "GET /cluster/plan", status: 400, want: "~Name a change"},
		{name: "plan of two changes", request: "GET /cluster/plan?add=n4&remove=n3", status: 400, want: "~two changes"},
	})
	members := c.members()
	if len(members) != 3 {
		t.Errorf("there are %d members", len(members))
	}
	for _, m := range members {
		if m.State != kv.Active || m.Departure != nil {
			t.Errorf("%s is %s, %+v", m.Name, m.State, m.Departure)
		}
	}
	if got := c.ask(t, c.http["n1"], "GET /cluster", "", ""); strings.Contains(got.body, `"removed":`) {
		t.Errorf("somebody was removed: %s", got.body)
	}
}
