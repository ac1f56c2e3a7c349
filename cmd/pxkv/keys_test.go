package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
)

func TestPutGetDelete(t *testing.T) {
	t.Parallel()
	_, url := newFakeNode(t)
	command(t, url, nil, "put", "greeting", "hello").expect(t, exitFine, "created, version 1\n", "")
	command(t, url, nil, "put", "greeting", "hello!").expect(t, exitFine, "updated, version 2\n", "")
	if got := command(t, url, nil, "get", "greeting"); got.code != exitFine || got.out != "hello!" {
		t.Fatalf("get must print the bytes and nothing else, got %+v", got)
	}
	command(t, url, nil, "del", "greeting").expect(t, exitFine, "deleted\n", "")
	command(t, url, nil, "get", "greeting").expect(t, exitNotFound, "", "key not found")
	command(t, url, nil, "del", "greeting").expect(t, exitNotFound, "", "key not found")
}

func TestIncr(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	command(t, url, nil, "incr", "visits").expect(t, exitFine, "1\n", "")
	command(t, url, nil, "incr", "visits", "--by", "41").expect(t, exitFine, "42\n", "")
	command(t, url, nil, "incr", "visits", "--by=-50").expect(t, exitFine, "-8\n", "")
	n.set("text", kv.RawValue([]byte("x"), ""))
	command(t, url, nil, "incr", "text").expect(t, exitFailed, "", "Value is not an integer")
	command(t, url, nil, "incr", "text", "--by", "x").expect(t, exitUsage, "",
		`--by is "x"; it must be a whole number`)
	command(t, url, nil, "incr", "other", "--output", "json").expect(t, exitFine, `"value": 1`, "")
}

func TestPutWithTTL(t *testing.T) {
	t.Parallel()
	_, url := newFakeNode(t)
	command(t, url, nil, "put", "session", "x", "--ttl", "90s").expect(t, exitFine,
		"created until 1970-01-01T00:01:30Z, version 1\n", "")
	command(t, url, nil, "put", "session", "x", "--ttl", "90s", "--output", "json").expect(t, exitFine,
		`"expires": "1970-01-01T00:01:30Z"`, "")
	command(t, url, nil, "put", "session", "x", "--ttl", "0").expect(t, exitUsage, "", "at least 1ms")
	command(t, url, nil, "put", "session", "x", "--ttl", "soon").expect(t, exitUsage, "",
		`--ttl: "soon" is neither seconds nor`)
}

// Every byte that a key may have reaches the node as it is.
// A key never lives longer than it was given, whatever part of a second its node's Date leaves out.
func TestTTLIsOfTheMoment(t *testing.T) {
	t.Parallel()
	given := time.Date(2026, 1, 2, 3, 4, 5, 900e6, time.UTC)
	h := http.Header{"Date": {given.Format(http.TimeFormat)}}
	for skew, left := range map[time.Duration]time.Duration{
		0: time.Minute, 50 * time.Millisecond: time.Minute - 50*time.Millisecond, // as the call takes
		// Of another clock only the half second is known.
		time.Hour: time.Minute + 400*time.Millisecond, -time.Hour: time.Minute + 400*time.Millisecond,
	} {
		got := given.Add(time.Minute).Sub(nodeTime(h, given.Add(skew)))
		if got != left || got.Round(time.Second) != time.Minute {
			t.Errorf("clock %v ahead: %v are left, want %v", skew, got, left)
		}
	}
}

// Redis clients may give a key a deadline that is further off than a Duration is long.
func TestTTLOfAnyLength(t *testing.T) {
	t.Parallel()
	for expires, want := range map[string]string{
		"9999-12-31T23:59:59.999Z": "69898604h0m0s\n", "2026-01-02T03:05:05.000Z": "1m0s\n",
		"2026-01-01T00:00:00.000Z": "0s\n",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", "Fri, 02 Jan 2026 03:04:05 GMT")
			w.Header().Set("X-Pxkv-Expires", expires)
		}))
		t.Cleanup(server.Close)
		if got := command(t, server.URL, nil, "ttl", "k"); got.code != exitFine || got.out != want {
			t.Errorf("%s: %+v", expires, got)
		}
	}
}

func TestKeysOfEveryShape(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	for _, key := range []string{"a/b", "a//b/", "/", ".", "..", "a?b=c#d", "a b+c%20", "{user1}.cart", "Grüße",
		"\x00\x01\n", "-", strings.Repeat("k", kv.MaxKeyBytes)} {
		command(t, url, nil, "put", "--", key, "v").expect(t, exitFine, "created", "")
		if _, ok := n.items[key]; !ok {
			t.Errorf("key %q arrived as something else", key)
		}
		command(t, url, nil, "get", "--", key).expect(t, exitFine, "v", "")
	}
}

func TestPutReadsStandardInput(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	command(t, url, strings.NewReader("a\x00\xffb"), "put", "raw", "-").expect(t, exitFine, "created", "")
	if got := n.items["raw"].Value; string(got.Data) != "a\x00\xffb" || got.Kind != kv.Binary {
		t.Fatalf("node holds %+v", got)
	}
	broken := strings.NewReader("")
	command(t, url, readerFunc(func([]byte) (int, error) { return 0, fmt.Errorf("pipe is gone") }), "put", "raw", "-").
		expect(t, exitFailed, "", "pipe is gone; nothing was written")
	command(t, url, broken, "put", "empty", "-").expect(t, exitFine, "created", "")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestConditions(t *testing.T) {
	t.Parallel()
	_, url := newFakeNode(t)
	command(t, url, nil, "put", "lock", "me", "--if-absent").expect(t, exitFine, "created, version 1", "")
	command(t, url, nil, "put", "lock", "me", "--if-absent").expect(t, exitFailed, "",
		"condition not met, nothing was changed: the key is at version 1")
	command(t, url, nil, "put", "lock", "you", "--if-match", "1").expect(t, exitFine, "version 2", "")
	command(t, url, nil, "put", "lock", "him", "--if-match", "1").expect(t, exitFailed, "", "the key is at version 2")
	command(t, url, nil, "put", "absent", "x", "--if-match", "1").expect(t, exitFailed, "", "the key does not exist")
	command(t, url, nil, "del", "lock", "--if-match", "1").expect(t, exitFailed, "", "the key is at version 2")
	command(t, url, nil, "del", "lock", "--if-match", "2").expect(t, exitFine, "deleted", "")
}

func TestGetAsJSONShowsEveryKind(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	n.set("text", kv.RawValue([]byte("<hi>"), ""))
	n.set("object", kv.RawValue([]byte(`{"a":[1,2.50]}`), "application/json"))
	n.set("bytes", kv.RawValue([]byte{0xff, 0}, "image/png"))
	for _, tc := range []struct{ key, kind, value string }{
		{"text", "string", `"<hi>"`},
		{"object", "json", `{"a":[1,2.50]}`},
		{"bytes", "binary", `{"$binary":"/wA="}`},
	} {
		got := command(t, url, nil, "get", tc.key, "--output", "json")
		got.expect(t, exitFine, "", "")
		var it struct {
			Key, Type, Modified, Node string
			Partition                 *int
			Version, Index            uint64
			Value                     json.RawMessage
		}
		if err := json.Unmarshal([]byte(got.out), &it); err != nil {
			t.Fatalf("%v in %s", err, got.out)
		}
		value := strings.Join(strings.Fields(string(it.Value)), "")
		if it.Key != tc.key || it.Type != tc.kind || value != tc.value || it.Version == 0 ||
			it.Index != 77 || it.Partition == nil || *it.Partition != 5 || it.Node != "n1" ||
			it.Modified != "2006-01-02T15:04:05Z" {
			t.Errorf("got %s", got.out)
		}
	}
}

func TestPutAsJSON(t *testing.T) {
	t.Parallel()
	_, url := newFakeNode(t)
	var w written
	got := command(t, url, nil, "put", "k", "v", "-o", "json")
	if err := json.Unmarshal([]byte(got.out), &w); err != nil || !w.Created || w.Version != 1 || w.Index != 77 {
		t.Fatalf("%v: %s", err, got.out)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	command(t, url, nil, "list", "--output", "json").expect(t, exitFine, "{}\n", "")
	command(t, url, nil, "list", "--output", "json", "--keys-only").expect(t, exitFine, "[]\n", "")
	n.set("b:1", kv.RawValue([]byte("line one\nline two"), ""))
	n.set("b:2", kv.RawValue([]byte("17"), "application/json"))
	n.set("a\nb", kv.RawValue([]byte("x"), ""))
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "\"a\\nb\"\t\"x\"\nb:1\t\"line one\\nline two\"\nb:2\t17\n"},
		{[]string{"--prefix", "b:", "--keys-only"}, "b:1\nb:2\n"},
		{[]string{"--prefix", "b:", "--limit", "1", "--keys-only"}, "b:1\n"},
		{[]string{"--keys-only", "-o", "json"}, "[\n  \"a\\nb\",\n  \"b:1\",\n  \"b:2\"\n]\n"},
		{[]string{"-o", "json", "--prefix", "b:"}, "{\n  \"b:1\": \"line one\\nline two\",\n  \"b:2\": 17\n}\n"},
	} {
		got := command(t, url, nil, append([]string{"list"}, tc.args...)...)
		if got.code != exitFine || got.out != tc.want {
			t.Errorf("list %v: code %d, got %q, want %q", tc.args, got.code, got.out, tc.want)
		}
	}
}

// A node may end a page before the limit; the list goes on at the cursor.
func TestListFollowsPages(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	n.pageSize = 3
	for i := range 10 {
		n.set(fmt.Sprintf("k%d", i), kv.RawValue([]byte("v"), ""))
	}
	for limit, want := range map[string]int{"2": 2, "3": 3, "7": 7, "9": 9, "10": 10, "100": 10} {
		for _, format := range []string{"text", "json"} {
			got := command(t, url, nil, "list", "--limit", limit, "-o", format)
			if n := strings.Count(got.out, `"v"`); got.code != exitFine || n != want {
				t.Errorf("limit %s as %s: %d pairs, want %d:\n%s", limit, format, n, want, got.out)
			}
			if format == "json" && !json.Valid([]byte(got.out)) {
				t.Errorf("limit %s is not JSON: %s", limit, got.out)
			}
		}
	}
}

func TestListThatBreaksOffFails(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"connection broken": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"a":"1","b":"2"`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
		"no closing bracket": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"a":"1","b":"2"`) },
	} {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		got := command(t, server.URL, nil, "list")
		t.Log(name)
		got.expect(t, exitFailed, "a\t\"1\"\n", "broke off")
	}
}

// Where the output takes nothing, no node is to blame.
func TestAnOutputThatFailsIsToldFromTheNode(t *testing.T) {
	t.Parallel()
	n, url := newFakeNode(t)
	n.set("k", kv.RawValue(bytes.Repeat([]byte("v"), 100<<10), ""))
	for _, args := range [][]string{{"get", "k"}, {"list"}, {"list", "-o", "json"}} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		t.Cleanup(func() { full.Close() })
		var errors bytes.Buffer
		code := run(t.Context(), append(args, "--server="+url), nil, full, &errors)
		got := outcome{code: code, errors: errors.String()}
		got.expect(t, exitFailed, "", "cannot print what the node sends: write /dev/full")
		if strings.Contains(errors.String(), url) {
			t.Errorf("%v blames the node: %s", args, errors.String())
		}
	}
}
