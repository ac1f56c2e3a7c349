package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestContract holds docs/api.md, row for row, against three real nodes: what is asked about a key is asked of a node
// that does not lead it, and what is asked of all keys is asked of each node.
func TestContract(t *testing.T) {
	c := newTrio(t)
	for _, part := range []struct {
		name string
		hold func(*testing.T, *trio)
	}{
		{"original", contractOfTheOriginal}, {"lists", contractOfLists}, {"kinds", contractOfKinds},
		{"numbers", contractOfNumbers}, {"commands", contractOfCommands}, {"data", contractOfData},
		{"members", contractOfMembers},
	} {
		c.empty(t)
		t.Run(part.name, func(t *testing.T) { part.hold(t, c) })
	}
}

const (
	notFound    = `{"error":"Key not found"}`
	invalidJSON = `{"error":"Invalid JSON"}`
	missing     = `{"error":"Missing key or value"}`
	missingKey  = `{"error":"Missing key"}`
	invalidPath = `{"error":"Invalid path"}`
	isDeleted   = `{"result":"Key deleted"}`
)

// The calls of the original, byte for byte. The keys lie in several partitions.
func contractOfTheOriginal(t *testing.T, c *trio) {
	c.hold(t, []row{
		{name: "list of nothing", request: "GET /kv", status: 200, want: `{}`, has: "Content-Type: application/json"},
		{name: "list of nothing, with a slash", request: "GET /kv/", status: 200, want: `{}`},
		{name: "put answers the pair", key: "a", request: "PUT /kv", body: `{"key":"a","value":"b"}`, status: 200,
			want: `{"a":"b"}`, has: "Content-Type: application/json|Content-Length: 9"},
		{name: "put of a number", key: "n", request: "PUT /kv", body: `{"key":"n","value":1.50}`, status: 200,
			want: `{"n":1.50}`},
		{name: "put of zero", key: "z", request: "PUT /kv", body: `{"key":"z","value":0}`, status: 200,
			want: `{"z":0}`},
		{name: "put of false", key: "f", request: "PUT /kv", body: `{"key":"f","value":false}`, status: 200,
			want: `{"f":false}`},
		{name: "put of an empty string", key: "e", request: "PUT /kv", body: `{"key":"e","value":""}`, status: 200,
			want: `{"e":""}`},
		{name: "put of an object", key: "o", request: "PUT /kv", status: 200,
			body: ` { "value" : { "z": [1, 2,{ }], "a" : null } , "key":"o" } `, want: `{"o":{"z":[1,2,{}],"a":null}}`},
		{name: "put over it", key: "o", request: "PUT /kv", body: `{"key":"o","value":[]}`, status: 200,
			want: `{"o":[]}`},
		{name: "get answers the pair", key: "a", request: "GET /kv?key=a", status: 200, want: `{"a":"b"}`},
		{name: "get of a number", key: "n", request: "GET /kv?key=n", status: 200, want: `{"n":1.50}`},
		{name: "get of an object", key: "o", request: "GET /kv?key=o", status: 200, want: `{"o":[]}`},
		{name: "get of no such key", key: "no", request: "GET /kv?key=no", status: 404, want: notFound,
			has: "Content-Type: application/json"},
		{name: "list of all pairs", request: "GET /kv", status: 200,
			want: `{"a":"b","e":"","f":false,"n":1.50,"o":[],"z":0}`},
		{name: "list of all pairs, with a slash", request: "GET /kv/", status: 200,
			want: `{"a":"b","e":"","f":false,"n":1.50,"o":[],"z":0}`},
		{name: "delete", key: "a", request: "DELETE /kv", body: `{"key":"a"}`, status: 200, want: isDeleted},
		{name: "delete again", key: "a", request: "DELETE /kv", body: `{"key":"a"}`, status: 404, want: notFound},
		{name: "get of what is deleted", key: "a", request: "GET /kv?key=a", status: 404, want: notFound},

		{name: "put of what is no JSON", request: "PUT /kv", body: `{"key":`, status: 400, want: invalidJSON},
		{name: "put of nothing", request: "PUT /kv", status: 400, want: invalidJSON},
		{name: "delete of what is no JSON", request: "DELETE /kv", body: `key`, status: 400, want: invalidJSON},
		{name: "delete of nothing", request: "DELETE /kv", status: 400, want: invalidJSON},
		{name: "put without a key", request: "PUT /kv", body: `{"value":1}`, status: 400, want: missing},
		{name: "put with an empty key", request: "PUT /kv", body: `{"key":"","value":1}`, status: 400, want: missing},
		{name: "put without a value", request: "PUT /kv", body: `{"key":"a"}`, status: 400, want: missing},
		{name: "put of null", request: "PUT /kv", body: `{"key":"a","value":null}`, status: 400, want: missing},
		{name: "delete without a key", request: "DELETE /kv", body: `{}`, status: 400, want: missingKey},
		{name: "delete of an empty key", request: "DELETE /kv", body: `{"key":""}`, status: 400, want: missingKey},
		{name: "get of another path", request: "GET /nope", status: 404, want: invalidPath},
		{name: "get of no path", request: "GET /", status: 404, want: invalidPath},
		{name: "put to another path", request: "PUT /kvs", body: `{"key":"a","value":1}`, status: 404,
			want: invalidPath},
		{name: "delete of another path", request: "DELETE /nope/kv", body: `{"key":"a"}`, status: 404,
			want: invalidPath},

		{name: "put of a toggle", key: "feature_toggle", request: "PUT /kv",
			body:   `{"key":"feature_toggle","value":true}`,
			status: 200, want: `{"feature_toggle":true}`},
		{name: "put of a text toggle", key: "text_toggle", request: "PUT /kv",
			body:   `{"key":"text_toggle","value":"true"}`,
			status: 200, want: `{"text_toggle":"true"}`},
		{name: "match of JSON true", key: "feature_toggle", request: "GET /kv?feature_toggle=true", status: 200,
			want: `{"feature_toggle":"true"}`},
		{name: "match of text", key: "text_toggle", request: "GET /kv?text_toggle=true", status: 200,
			want: `{"text_toggle":"true"}`},
		{name: "match of a number by its text", key: "n", request: "GET /kv?n=1.50", status: 200, want: `{"n":"1.50"}`},
		{name: "no match of a number by its amount", key: "n", request: "GET /kv?n=1.5", status: 404, want: notFound},
		{name: "no match", key: "feature_toggle", request: "GET /kv?feature_toggle=false", status: 404, want: notFound},
		{name: "no match of no such key", key: "no", request: "GET /kv?no=true", status: 404, want: notFound},
		{name: "match of several", request: "GET /kv?feature_toggle=true&text_toggle=true", status: 200,
			want: `{"feature_toggle":"true","text_toggle":"true"}`},
		{name: "no match of one of several", request: "GET /kv?feature_toggle=true&text_toggle=false", status: 404,
			want: notFound},
		{name: "put of a reserved name", key: "prefix", request: "PUT /kv", body: `{"key":"prefix","value":"x"}`,
			status: 200, want: `{"prefix":"x"}`},
		{name: "match of a reserved name", status: 200, want: `{"prefix":"x"}`,
			request: "GET /kv?where=" + url.QueryEscape(`key == "prefix" && value == "x"`)},
		{name: "put with seconds to live", key: "t", request: "PUT /kv", body: `{"key":"t","value":1,"ttl":300}`,
			status: 200, want: `{"t":1}`, has: "X-Pxkv-Expires: ~20"},
		{name: "put with a duration to live", key: "t", request: "PUT /kv", body: `{"key":"t","value":1,"ttl":"24h"}`,
			status: 200, want: `{"t":1}`, has: "X-Pxkv-Expires: ~20"},
	})
	const reserved = "key prefix glob regex from to where type limit cursor keys_only values_only meta format " +
		"consistency " +
		"min_index ttl incr timeout"
	for _, name := range strings.Fields(reserved) {
		t.Run("reserved "+name, func(t *testing.T) {
			c.put(t, name, `"4711"`)
			a := c.ask(t, c.http["n1"], "GET /kv?"+name+"=4711", "", "")
			if a.body == `{"`+name+`":"4711"}` {
				t.Errorf("it is taken for a pair to match: %s", a.body)
			}
		})
	}
}

// What holds of keys and values in every protocol.
func contractOfData(t *testing.T, c *trio) {
	long := strings.Repeat("k", 4096)
	big := strings.Repeat("v", 8<<20)
	c.hold(t, []row{
		{name: "key of one byte", key: "k", request: "PUT /kv/k", body: "v", status: 201},
		{name: "key of 4096 bytes", key: long, request: "PUT /kv/" + long, body: "v", status: 201},
		{name: "key of 4096 bytes is read", key: long, request: "GET /kv?key=" + long, status: 200,
			want: `{"` + long + `":"v"}`},
		{name: "key of 4097 bytes", request: "PUT /kv/k" + long, body: "v", status: 400, want: "~4096"},
		{name: "key of 4097 bytes is not read", request: "GET /kv?key=k" + long, status: 400, want: "~4096"},
		{name: "key of any bytes", key: "\xff\x00/\"", request: "PUT /kv/%FF%00%2F%22", body: "v", status: 201},
		{name: "key of any bytes is read", key: "\xff\x00/\"", request: "GET /kv?key=%FF%00%2F%22", status: 200,
			want: `{"\udcff\u0000/\"":"v"}`},
		{name: "key of any bytes as JSON", key: "\xff\x00/\"", request: "PUT /kv",
			body: `{"key":"\udcff\u0000/\"","value":"w"}`, status: 200, want: `{"\udcff\u0000/\"":"w"}`},
		{name: "key of UTF-8", key: "ü 😀", request: "PUT /kv/%C3%BC%20%F0%9F%98%80", body: "v", status: 201},
		{name: "key of UTF-8 is read", key: "ü 😀", request: "GET /kv?key=%C3%BC%20%F0%9F%98%80", status: 200,
			want: `{"ü 😀":"v"}`},
		{name: "empty key", request: "GET /kv?key=", status: 400, want: missingKey},
		{name: "empty key is not written", request: "PUT /kv/", body: "v", status: 400, want: missingKey},
		{name: "empty key is not deleted", request: "DELETE /kv/", status: 400, want: missingKey},

		{name: "value of no bytes", key: "none", request: "PUT /kv/none", status: 201},
		{name: "value of no bytes is read", key: "none", request: "GET /kv/none", status: 200},
		{name: "value of no bytes as JSON", key: "none", request: "GET /kv?key=none", status: 200, want: `{"none":""}`},
		{name: "value of 8 MiB", key: "big", request: "PUT /kv/big", body: big, status: 201},
		{name: "value of 8 MiB is read", key: "big", request: "GET /kv/big", status: 200, want: big},
		{name: "value of a byte more", key: "big", request: "PUT /kv/big", body: big + "v", status: 413,
			want: "~too_large"},
		{name: "value of a byte more as JSON", key: "big", request: "PUT /kv", status: 413, want: "~too_large",
			body: `{"key":"big","value":"` + big + `v"}`},
		{name: "value that was too large was not written", key: "big", request: "GET /kv/big", status: 200, want: big},
		{name: "delete of 8 MiB", key: "big", request: "DELETE /kv/big", status: 200, want: isDeleted},

		{name: "content type is kept", key: "page", request: "PUT /kv/page",
			header: "Content-Type: text/html; charset=utf-8",
			body:   "<p>", status: 201},
		{name: "content type is given back", key: "page", request: "GET /kv/page", status: 200, want: "<p>",
			has: "Content-Type: text/html; charset=utf-8"},
		{name: "content type does not outlive its value", key: "page", request: "PUT /kv",
			body:   `{"key":"page","value":"x"}`,
			status: 200, want: `{"page":"x"}`},
		{name: "content type of a text", key: "page", request: "GET /kv/page", status: 200, want: "x",
			has: "Content-Type: text/plain; charset=utf-8"},
	})
	t.Run("place follows from the tag, in every protocol", func(t *testing.T) {
		_, first := c.owner(t, "{user1}.cart")
		for _, key := range []string{"{user1}.name", "user1", "a{user1}b{c}"} {
			if _, p := c.owner(t, key); p != first {
				t.Errorf("%s is in partition %d, and {user1}.cart in %d", key, p, first)
			}
		}
		slot := c.do(t, "user1", "CLUSTER", "KEYSLOT", "{user1}.cart")
		a := c.ask(t, c.http["n1"], "GET /cluster/owner?key=%7Buser1%7D.cart", "", "")
		if want := fmt.Sprintf(`"slot":%v,`, slot); !strings.Contains(a.body, want) {
			t.Errorf("Redis says slot %v, and HTTP %s", slot, a.body)
		}
	})
	t.Run("version grows and never comes back", func(t *testing.T) {
		last := 0
		grow := func(a answer) {
			t.Helper()
			tag := a.header.Get("ETag")
			v, err := strconv.Atoi(strings.Trim(tag, `"`))
			if err != nil || v <= last || tag != fmt.Sprintf(`"%d"`, v) {
				t.Errorf("ETag %s after %d", tag, last)
			}
			last = v
		}
		for range 3 {
			grow(c.ask(t, c.http[c.away(t, "v")], "PUT /kv/v", "x", ""))
			grow(c.ask(t, c.http[c.away(t, "v")], "PUT /kv", `{"key":"v","value":1}`, ""))
			c.do(t, "v", "SET", "v", "y")
			grow(c.ask(t, c.http[c.away(t, "v")], "GET /kv/v", "", ""))
			grow(c.ask(t, c.http[c.away(t, "v")], "PUT /kv/v", "x", ""))
			c.ask(t, c.http[c.away(t, "v")], "DELETE /kv/v", "", "")
		}
	})
	t.Run("what has expired is gone everywhere at once", func(t *testing.T) {
		base := c.http[c.away(t, "t")]
		a := c.ask(t, base, "PUT /kv/t?ttl=150ms", "x", "")
		if a.status != 201 || a.header.Get("X-Pxkv-Expires") == "" {
			t.Fatalf("%d, %v", a.status, a.header)
		}
		for end := time.Now().Add(20 * time.Second); c.ask(t, base, "GET /kv/t", "", "").status != 404; {
			if time.Now().After(end) {
				t.Fatal("it does not expire")
			}
		}
		for _, name := range c.names {
			for _, request := range []string{"GET /kv?key=t", "GET /kv?t=x"} {
				if a := c.ask(t, c.http[name], request, "", ""); a.status != 404 || a.body != notFound {
					t.Errorf("%s at %s: %d %s", request, name, a.status, a.body)
				}
			}
			for _, request := range []string{"GET /kv?prefix=t&to=u", "GET /kv?where=key%3D%3D%22t%22"} {
				if a := c.ask(t, c.http[name], request, "", ""); a.body != `{}` {
					t.Errorf("%s at %s: %d %s", request, name, a.status, a.body)
				}
			}
		}
		if a := c.ask(t, base, "PUT /kv/t", "y", "If-Match: *"); a.status != 412 {
			t.Errorf("the condition that it is there: %d", a.status)
		}
		if got := c.do(t, "t", "EXISTS", "t"); got != int64(0) {
			t.Errorf("EXISTS: %v", got)
		}
		if a := c.ask(t, base, "PUT /kv/t", "y", "If-None-Match: *"); a.status != 201 {
			t.Errorf("the condition that it is not there: %d %s", a.status, a.body)
		}
	})
}

// Lists and filters, over all partitions.
func contractOfLists(t *testing.T, c *trio) {
	for i := range 20 { // the keys lie in all partitions
		c.put(t, fmt.Sprintf("user:%02d", i), fmt.Sprintf(`{"age":%d}`, i*5))
	}
	c.put(t, "s", `"text"`)
	c.put(t, "n", `12.50`)
	c.put(t, "b", `true`)
	c.put(t, "l", `[1,2]`)
	c.put(t, "x", `{"$binary":"/wA="}`)
	where := func(expression string) string { return "GET /kv?keys_only&where=" + url.QueryEscape(expression) }
	c.hold(t, []row{
		{name: "byte order over all partitions", request: "GET /kv?keys_only", status: 200,
			want: `["b","l","n","s","user:00","user:01","user:02","user:03","user:04","user:05","user:06","user:07",` +
				`"user:08","user:09","user:10","user:11","user:12","user:13","user:14","user:15","user:16","user:17",` +
				`"user:18","user:19","x"]`},
		{name: "prefix", request: "GET /kv?prefix=user:0&to=user:02", status: 200,
			want: `{"user:00":{"age":0},"user:01":{"age":5}}`},
		{name: "prefix of nothing", request: "GET /kv?prefix=zz", status: 200, want: `{}`},
		{name: "glob", request: "GET /kv?keys_only&glob=user:?7", status: 200, want: `["user:07","user:17"]`},
		{name: "glob of a class", request: "GET /kv?keys_only&glob=[bl]", status: 200, want: `["b","l"]`},
		{name: "glob: ** is not special", request: "GET /kv?keys_only&glob=u**:19", status: 200, want: `["user:19"]`},
		{name: "regex", request: "GET /kv?keys_only&regex=" + url.QueryEscape("^user:0[12]$"), status: 200,
			want: `["user:01","user:02"]`},
		{name: "from is inclusive", request: "GET /kv?keys_only&from=user:18", status: 200,
			want: `["user:18","user:19","x"]`},
		{name: "to is exclusive", request: "GET /kv?keys_only&to=n", status: 200, want: `["b","l"]`},
		{name: "from and to", request: "GET /kv?keys_only&from=n&to=user:01", status: 200, want: `["n","s","user:00"]`},
		{name: "type string", request: "GET /kv?type=string", status: 200, want: `{"s":"text"}`},
		{name: "type number", request: "GET /kv?type=number", status: 200, want: `{"n":12.50}`},
		{name: "type bool", request: "GET /kv?type=bool", status: 200, want: `{"b":true}`},
		{name: "type array", request: "GET /kv?type=array", status: 200, want: `{"l":[1,2]}`},
		{name: "type object", request: "GET /kv?type=object&keys_only&to=user:01", status: 200, want: `["user:00"]`},
		{name: "type json", request: "GET /kv?type=json&keys_only&to=user:01", status: 200,
			want: `["b","l","n","user:00"]`},
		{name: "type binary", request: "GET /kv?type=binary", status: 200, want: `{"x":{"$binary":"/wA="}}`},
		{name: "where", request: where(`value.age > 85 && key startsWith "user:"`), status: 200,
			want: `["user:18","user:19"]`},
		{name: "where: key", request: where(`key == "s"`), status: 200, want: `["s"]`},
		{name: "where: value", request: where(`value == 12.5`), status: 200, want: `["n"]`},
		{name: "where: version", request: where(`version > 0 && key < "c"`), status: 200, want: `["b"]`},
		{name: "where: ttl", request: where(`ttl != nil`), status: 200, want: `[]`},
		{name: "where: type", request: where(`type == "array"`), status: 200, want: `["l"]`},
		{name: "where: size", request: where(`size == 4`), status: 200, want: `["b","s"]`},
		{name: "where: what is not there does not match", request: where(`value.age < 5`), status: 200,
			want: `["user:00"]`},
		{name: "where: nor does its opposite", request: where(`not (value.age >= 5)`), status: 200,
			want: `["user:00"]`},
		{name: "where: it spoils no or", request: where(`value.a.b > 1 || len(value) < 0 || key == "s"`), status: 200,
			want: `["s"]`},
		{name: "all filters together", request: "GET /kv?keys_only&prefix=user&glob=*9&regex=1&type=object&where=" +
			url.QueryEscape("value.age == 95"), status: 200, want: `["user:19"]`},
		{name: "limit", request: "GET /kv?limit=2", status: 200, want: `{"b":true,"l":[1,2]}`,
			has: "X-Pxkv-Cursor: ~A"},
		{name: "limit of all has no cursor", request: "GET /kv?limit=25&keys_only", status: 200, want: `~"x"]`,
			has: "X-Pxkv-Cursor: "},
		{name: "keys_only", request: "GET /kv?keys_only&to=n", status: 200, want: `["b","l"]`},
		{name: "keys_only=true", request: "GET /kv?keys_only=true&to=n", status: 200, want: `["b","l"]`},
		{name: "values_only", request: "GET /kv?values_only&to=user:01", status: 200,
			want: `[true,[1,2],12.50,"text",{"age":0}]`},
		{name: "meta", request: "GET /kv?meta&type=string", status: 200,
			want: `~{"s":{"value":"text","type":"string","version":`},
		{name: "meta: modified", request: "GET /kv?meta&type=string", status: 200, want: `~,"modified":"20`},
		{name: "format=json", request: "GET /kv?format=json&to=n", status: 200, want: `{"b":true,"l":[1,2]}`,
			has: "Content-Type: application/json"},
		{name: "format=ndjson", request: "GET /kv?format=ndjson&to=n", status: 200,
			want: "{\"key\":\"b\",\"value\":true}\n{\"key\":\"l\",\"value\":[1,2]}\n",
			has:  "Content-Type: application/x-ndjson"},
		{name: "format=ndjson with keys_only", request: "GET /kv?format=ndjson&keys_only&to=n", status: 200,
			want: "\"b\"\n\"l\"\n"},
		{name: "format=ndjson with values_only", request: "GET /kv?format=ndjson&values_only&to=n", status: 200,
			want: "true\n[1,2]\n"},
		{name: "format=ndjson with meta", request: "GET /kv?format=ndjson&meta&to=c", status: 200,
			want: `~{"key":"b","value":true,"type":"bool","version":`},
		{name: "stale", request: "GET /kv?keys_only&to=n&consistency=stale", status: 200, want: `["b","l"]`},

		{name: "bad limit", request: "GET /kv?limit=0", status: 400, want: "~Parameter limit"},
		{name: "bad cursor", request: "GET /kv?cursor=!", status: 400, want: "~Parameter cursor"},
		{name: "bad regex", request: "GET /kv?regex=(", status: 400, want: "~Parameter regex"},
		{name: "bad type", request: "GET /kv?type=int", status: 400, want: "~Parameter type"},
		{name: "bad format", request: "GET /kv?format=xml", status: 400, want: "~Parameter format"},
		{name: "bad keys_only", request: "GET /kv?keys_only=perhaps", status: 400, want: "~Parameter keys_only"},
		{name: "bad values_only", request: "GET /kv?values_only=2", status: 400, want: "~Parameter values_only"},
		{name: "bad meta", request: "GET /kv?meta=2", status: 400, want: "~Parameter meta"},
		{name: "bad consistency", request: "GET /kv?consistency=most", status: 400, want: "~Parameter consistency"},
		{name: "bad timeout", request: "GET /kv?timeout=soon", status: 400, want: "~Parameter timeout"},
		{name: "bad prefix", request: "GET /kv?prefix=" + strings.Repeat("k", 4097), status: 400,
			want: "~Parameter prefix"},
		{name: "bad from", request: "GET /kv?from=" + strings.Repeat("k", 4097), status: 400, want: "~Parameter from"},
		{name: "bad to", request: "GET /kv?to=" + strings.Repeat("k", 4097), status: 400, want: "~Parameter to"},
		{name: "bad glob", request: "GET /kv?glob=", status: 400, want: "~Parameter glob"},
		{name: "bad where names its place", request: "GET /kv?where=" + url.QueryEscape("value.age >"), status: 400,
			want: `{"error":"Parameter where: unexpected token EOF at character 11 of 11","code":"invalid"}`},
		{name: "where of an unknown function", request: "GET /kv?where=" + url.QueryEscape("sum(value) > 1"),
			status: 400,
			want:   `{"error":"Parameter where: there is no function sum at character 1 of 14","code":"invalid"}`},
		{name: "where of an unknown name", request: "GET /kv?where=" + url.QueryEscape("val == 1"), status: 400,
			want: `{"error":"Parameter where: unknown name val at character 1 of 8","code":"invalid"}`},
	})
	t.Run("pages, each at another node, are the list", func(t *testing.T) {
		var got strings.Builder
		cursor, pages := "", 0
		for ; pages == 0 || cursor != ""; pages++ {
			a := c.ask(t, c.http[c.names[pages%3]], "GET /kv?format=ndjson&keys_only&limit=3&cursor="+cursor, "", "")
			if pages == 0 {
				a = c.ask(t, c.http["n1"], "GET /kv?format=ndjson&keys_only&limit=3", "", "")
			}
			got.WriteString(a.body)
			cursor = a.header.Get("X-Pxkv-Cursor")
		}
		if all := c.ask(t, c.http["n2"], "GET /kv?format=ndjson&keys_only", "", "").body; got.String() != all ||
			pages != 9 {
			t.Errorf("%d pages:\n%s\nwant\n%s", pages, &got, all)
		}
	})
	t.Run("meta: expires", func(t *testing.T) {
		c.ask(t, c.http["n1"], "PUT /kv", `{"key":"t","value":1,"ttl":"1h"}`, "")
		a := c.ask(t, c.http["n3"], "GET /kv?meta&prefix=t", "", "")
		if !strings.Contains(a.body, `,"expires":"20`) {
			t.Errorf("got %s", a.body)
		}
		if a := c.ask(t, c.http["n3"], where(`ttl > 3000 && ttl <= 3600`), "", ""); a.body != `["t"]` {
			t.Errorf("by its time to live: %s", a.body)
		}
	})
}
