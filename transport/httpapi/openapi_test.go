package httpapi

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pxkv/node/kv"
)

// allRoutes are those that are matched by hand, and the others, by their paths.
func allRoutes(debug bool) map[string]*route {
	routes := map[string]*route{collection.path: collection, resource.path: resource, profiles.path: profiles,
		member.path: member}
	maps.Copy(routes, fixedRoutes(debug))
	return routes
}

// TestOpenAPINamesEveryRoute holds the document and the routes together, both ways.
func TestOpenAPINamesEveryRoute(t *testing.T) {
	t.Parallel()
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("OpenAPI version %q", doc.OpenAPI)
	}
	routes := allRoutes(false)
	for path, r := range routes {
		var want, got []string
		for _, m := range r.methods {
			want = append(want, strings.ToLower(m.name))
			if safe := m.name == "GET" || m.name == "HEAD"; !safe && !strings.Contains(
				string(doc.Paths[path][strings.ToLower(m.name)]), "#/components/responses/CrossSite") {
				t.Errorf("%s %s: the document does not say that a page of another site is refused", m.name, path)
			}
		}
		for m := range doc.Paths[path] {
			if m != "parameters" && m != "description" && m != "summary" {
				got = append(got, m)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			t.Errorf("%s: the document has %v, the server %v", path, got, want)
		}
	}
	for path := range doc.Paths {
		if routes[path] == nil {
			t.Errorf("the document has %s, which the server has not", path)
		}
	}
	for p, name := range map[param]string{paramKey: "key", paramPrefix: "prefix", paramLimit: "limit",
		paramCursor: "cursor", paramKeysOnly: "keys_only", paramConsistency: "consistency", paramMinIndex: "min_index",
		paramTimeout: "timeout", paramFrom: "from", paramTo: "to", paramGlob: "glob", paramRegex: "regex",
		paramType: "type", paramWhere: "where", paramValuesOnly: "values_only", paramMeta: "meta",
		paramFormat: "format",
		paramTTL:    "ttl", paramIncr: "incr"} {
		if paramOf(name) != p || !strings.Contains(string(openAPI), `"name": "`+name+`"`) {
			t.Errorf("parameter %s is not in the document", name)
		}
	}
}

// What an answer may hold is in the document, and nothing else is.
func TestOpenAPINamesEveryFieldOfTheViews(t *testing.T) {
	t.Parallel()
	type schema struct {
		Properties map[string]schema
		Items      *schema
	}
	var doc struct {
		Components struct{ Schemas map[string]schema }
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	cluster := doc.Components.Schemas["Cluster"]
	member := *cluster.Properties["members"].Items
	for _, tc := range []struct {
		view any
		is   schema
	}{
		{kv.ClusterView{}, cluster}, {kv.MemberView{}, member},
		{kv.DepartureView{}, member.Properties["departure"]},
		{kv.WaitView{}, *member.Properties["departure"].Properties["waits"].Items},
		{kv.RemovedView{}, *cluster.Properties["removed"].Items},
		{kv.OrderView{}, doc.Components.Schemas["Order"]}, {kv.PlanView{}, doc.Components.Schemas["Plan"]},
		{kv.MoveView{}, *doc.Components.Schemas["Plan"].Properties["moves"].Items},
		{kv.WaitingView{}, *cluster.Properties["waiting"].Items},
		{kv.PartitionView{}, doc.Components.Schemas["Partition"]}, {kv.OwnerView{}, doc.Components.Schemas["Owner"]},
		{kv.ReplicaView{}, doc.Components.Schemas["Replica"]}, {kv.PlacedView{}, doc.Components.Schemas["Placed"]},
		{kv.HealthView{}, doc.Components.Schemas["Health"]}, {kv.YesNo{}, doc.Components.Schemas["YesNo"]},
		{kv.SafeView{}, doc.Components.Schemas["Safe"]},
		{kv.EncryptionView{}, doc.Components.Schemas["Encryption"]},
		{kv.DataKeyView{}, *doc.Components.Schemas["Encryption"].Properties["data_keys"].Items},
	} {
		var fields []string
		for f := range reflect.TypeOf(tc.view).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			fields = append(fields, name)
		}
		slices.Sort(fields)
		if got := slices.Sorted(maps.Keys(tc.is.Properties)); !slices.Equal(got, fields) {
			t.Errorf("%T has the fields %v, the document %v", tc.view, fields, got)
		}
	}
}
