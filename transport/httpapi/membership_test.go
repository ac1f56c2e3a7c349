package httpapi

import (
	"errors"
	"strings"
	"testing"

	"pxkv/node/kv"
)

func TestMembersLeaveAndAreRemoved(t *testing.T) {
	t.Parallel()
	run(t, handler(t), []step{
		{request: "POST /cluster/leave?node=n4", status: 200, want: `{"node":"n4","state":"leaving","epoch":7}`,
			has: "Content-Type: application/json"},
		{request: "POST /cluster/leave", status: 409,
			want: `{"error":"Refused: 3 members would remain; n2 does not answer","code":"refused","node":"n1",` +
				`"state":"active","epoch":7,"refused":["3 members would remain","n2 does not answer"]}`},
		{request: "POST /cluster/leave?node=n9", status: 400, want: `~no member is named \"n9\"`},
		{request: "DELETE /cluster/leave?node=n4", status: 200, want: `{"node":"n4","state":"active","epoch":7}`},
		{request: "DELETE /cluster/leave", status: 409, want: `~"refused":["n1 is down"`},
		{request: "DELETE /cluster/members/n4", status: 200, want: `{"node":"n4","state":"down","epoch":7}`},
		{request: "DELETE /cluster/members/n4?replicas_after=2", status: 200, want: `~"down"`},
		{request: "DELETE /cluster/members/n1", status: 409, want: `~"code":"refused"`},
		{request: "DELETE /cluster/members/n9", status: 400, want: `~no member is named`},
		{request: "DELETE /cluster/members/rack%201%2Fn5+6", status: 200, want: `~"node":"rack 1/n5+6"`},
		{request: "DELETE /cluster/members/", status: 400, want: `~Name one member`},
		{request: "DELETE /cluster/members", status: 404, want: `~Invalid path`},
		{request: "GET /cluster/members/n4", status: 405, want: `~use DELETE`, has: "Allow: DELETE"},
		{request: "GET /cluster/leave", status: 405, want: `~use POST, DELETE`},
		{request: "PUT /cluster/replicas?wanted=2", status: 200, want: `{"epoch":7,"replicas":2}`},
		{request: "PUT /cluster/replicas?wanted=10", status: 409,
			want: `{"error":"Refused: 10 replicas were asked for; 1 to 9 are possible","code":"refused","epoch":7,` +
				`"replicas":3,"refused":["10 replicas were asked for; 1 to 9 are possible"]}`},
		{request: "GET /cluster/replicas", status: 405, want: `~use PUT`},
		{request: "GET /cluster/plan?remove=n4&replicas_after=2", status: 200,
			want: `{"change":"remove","node":"n4","epoch":7,"moves":[{"partition":3,"from":["n4"],"to":["n2"],` +
				`"leader":"n2","bytes":1048576}],"bytes":1048576,"seconds":1,"at_risk":[3]}`},
		{request: "GET /cluster/plan?remove=n1", status: 200,
			want: `{"change":"remove","node":"n1","epoch":7,"refused":["n2 does not answer: start it again, or ` +
				`remove it first"],"moves":[],"bytes":0,"seconds":0}`},
		{request: "GET /cluster/plan?replace=n9", status: 400, want: `~no member is named`},
		{request: "GET /cluster/plan?add=a+b%2Fc", status: 200, want: `~"node":"a b/c"`},
		{request: "GET /metrics", status: 200, want: `~pxkv_http_requests_total{op="cluster",outcome="ok"} 9`},
		{request: "GET /metrics", status: 200, want: `~pxkv_http_requests_total{op="cluster",outcome="condition"} 4`},
	})
}

func TestChangesOfMembersAreUnderstoodOrRefused(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newTestServer(t, f, nil).Handler()
	for _, tc := range []struct {
		request, body, header string
		status                int
		text                  string // of what is refused
		ordered               string // of what is done
	}{
		{request: "POST /cluster/leave?node=n4", status: 200, ordered: "leave 0 0"},
		{request: "POST /cluster/leave?node=n4&replicas_after=2&plan=12&timeout=3", status: 200, ordered: "leave 2 12"},
		{request: "DELETE /cluster/leave?node=n4&timeout=500ms", status: 200, ordered: "stay"},
		{request: "DELETE /cluster/members/n4?replicas_after=1", status: 200, ordered: "remove 1"},
		{request: "GET /cluster/plan?add=n9", status: 200, ordered: "plan add 0"},
		{request: "GET /cluster/plan?replace=n4", status: 200, ordered: "plan replace 0"},
		{request: "HEAD /cluster/plan?remove=n4&replicas_after=2", status: 200, ordered: "plan remove 2"},

		{request: "POST /cluster/leave?nodes=n4", status: 400, text: `\"nodes\" is not known here: there are node, `},
		{request: "POST /cluster/leave?node=n4&node=n5", status: 400, text: "node is given twice"},
		{request: "POST /cluster/leave?node=", status: 400, text: "node is empty"},
		{request: "POST /cluster/leave?replicas_after=0", status: 400, text: `replicas_after: \"0\" is not a number`},
		{request: "POST /cluster/leave?replicas_after=two", status: 400, text: "is not a number of replicas"},
		{request: "POST /cluster/leave?plan=-1", status: 400, text: "is not an epoch"},
		{request: "POST /cluster/leave?plan=0", status: 400, text: "is not an epoch"},
		{request: "POST /cluster/leave?node=%zz", status: 400, text: "percent-encoding"},
		{request: "POST /cluster/leave?timeout=1h", status: 400, text: "timeout"},
		{request: "POST /cluster/leave", body: `{"node":"n4"}`, status: 400, text: "takes no body"},
		{request: "PUT /cluster/replicas?wanted=3&timeout=3", status: 200, ordered: "replicas 3"},
		{request: "PUT /cluster/replicas", status: 400, text: "Say how many"},
		{request: "PUT /cluster/replicas?wanted=0", status: 400, text: `wanted: \"0\" is not a number`},
		{request: "PUT /cluster/replicas?replicas_after=2", status: 400, text: "is not known here"},
		{request: "PUT /cluster/replicas?wanted=2", body: `2`, status: 400, text: "takes no body"},
		{request: "DELETE /cluster/leave?plan=3", status: 400, text: `\"plan\" is not known here`},
		{request: "DELETE /cluster/members/n4?node=n4", status: 400, text: `\"node\" is not known here`},
		{request: "DELETE /cluster/members/n4", body: `{}`, status: 400, text: "takes no body"},
		{request: "GET /cluster/plan", status: 400, text: "Name a change"},
		{request: "GET /cluster/plan?add=n5&remove=n4", status: 400, text: "add and remove are two changes"},
		{request: "GET /cluster/plan?add=n5&replicas_after=2", status: 400, text: "goes with remove=NAME only"},
		{request: "GET /cluster/plan?remove=n4&plan=2", status: 400, text: `\"plan\" is not known here`},

		// What a page of another site can make a browser send.
		{request: "POST /cluster/leave?node=n4", header: "Sec-Fetch-Site: cross-site", status: 403,
			text: "another site"},
		{request: "POST /cluster/leave?node=n4", header: "Origin: http://evil.example", status: 403,
			text: "another site"},
		{request: "DELETE /cluster/members/n4", header: "Sec-Fetch-Site: same-site", status: 403, text: "another site"},
		{request: "POST /cluster/leave?node=n4", header: "Sec-Fetch-Site: same-origin", status: 200,
			ordered: "leave 0 0"},
		{request: "POST /cluster/leave?node=n4", header: "Origin: http://x", status: 200, ordered: "leave 0 0"},
	} {
		f.ordered = ""
		var headers []string
		if tc.header != "" {
			headers = append(headers, tc.header)
		}
		w := do(t, h, tc.request, tc.body, headers...)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.text) || f.ordered != tc.ordered {
			t.Errorf("%s %s: %d %s, and %q was done; want %d, %q, %q", tc.request, tc.header, w.Code, w.Body, f.ordered,
				tc.status, tc.text, tc.ordered)
		}
	}
}

// An order is a write: what is not known to be undone is not called undone.
func TestTheOutcomeOfAnOrder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		fails  error
		status int
		text   string
	}{
		{kv.Errorf(kv.Unavailable, "no leader"), 503, "no leader"},
		{kv.ErrUnknown(), 504, "Outcome unknown"},
		{kv.Errorf(kv.Internal, "a bug"), 504, "Outcome unknown"},
		{errors.New("odd"), 504, "Outcome unknown"},
	} {
		f := newFake()
		f.failWrite = tc.fails
		for _, request := range []string{
			"POST /cluster/leave", "DELETE /cluster/leave?node=n4", "DELETE /cluster/members/n4",
			"PUT /cluster/replicas?wanted=3",
		} {
			w := do(t, newTestServer(t, f, nil).Handler(), request, "")
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.text) {
				t.Errorf("%s, %v: %d %s", request, tc.fails, w.Code, w.Body)
			}
		}
	}
}
