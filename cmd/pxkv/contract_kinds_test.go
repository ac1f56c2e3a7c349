package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample is a value as each protocol has it.
type sample struct {
	data string // its bytes
	kind string // string, json or binary
	typ  string // of the list's meta
	text string // in JSON
}

func textSample(data string) sample {
	text, _ := json.Marshal(data)
	s := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(text))
	return sample{data, "string", "string", s}
}

// asText is what a value becomes when it is written by a protocol that has only bytes.
func (s sample) asText() sample {
	if s.kind == "json" {
		return textSample(s.data)
	}
	return s
}

// writer writes a value, and says what it must be from then on.
type writer struct {
	name  string
	write func(t *testing.T, c *trio, key string, s sample) (want sample, written bool)
}

// raw writes the bytes as a resource, with a content type for each kind; "" is none.
func raw(types map[string]string) func(*testing.T, *trio, string, sample) (sample, bool) {
	return func(t *testing.T, c *trio, key string, s sample) (sample, bool) {
		header, ok := types[s.kind]
		if !ok {
			return s, false
		}
		if header != "" {
			header = "Content-Type: " + header
		}
		a := c.ask(t, c.http[c.away(t, key)], "PUT /kv/"+key, s.data, header)
		if a.status != http.StatusCreated {
			t.Errorf("%d %s", a.status, a.body)
		}
		if !strings.HasPrefix(header, "Content-Type: application/json") {
			return s.asText(), true
		}
		return s, true
	}
}

// byRedis sends commands to nodes that do not lead the key, and what they are answered.
func byRedis(replies []any, commands func(key, value string) [][]string) func(*testing.T, *trio, string,
	sample) (sample, bool) {
	return func(t *testing.T, c *trio, key string, s sample) (sample, bool) {
		for i, words := range commands(key, s.data) {
			want := replies[i]
			if want == "length" {
				want = int64(len(s.data))
			}
			if got := c.do(t, key, words...); got != want {
				t.Errorf("%q: %v, want %v", words, got, want)
			}
		}
		return s.asText(), true
	}
}

// acquire is a script that takes a lock, as redlock for Node.js sends it.
const acquire = `
  for i, key in ipairs(KEYS) do
    if redis.call("exists", key) == 1 then
      return 0
    end
  end
  for i, key in ipairs(KEYS) do
    redis.call("set", key, ARGV[1], "PX", ARGV[2])
  end
  return #KEYS
`

var writers = []writer{
	{"PUT kv", func(t *testing.T, c *trio, key string, s sample) (sample, bool) {
		a := c.ask(t, c.http[c.away(t, key)], "PUT /kv", `{"key":"`+key+`","value":`+s.text+`}`, "")
		if want := `{"` + key + `":` + s.text + `}`; a.status != http.StatusOK || a.body != want {
			t.Errorf("%d %s, want %s", a.status, a.body, want)
		}
		return s, true
	}},
	{"PUT resource without a type", raw(map[string]string{"string": "", "binary": "", "json": ""})},
	{"PUT resource as its type", raw(map[string]string{
		"string": "text/plain", "json": "application/json", "binary": "application/octet-stream",
	})},
	{"PUT resource as another type", raw(map[string]string{
		"string": "application/octet-stream", "json": "application/json; charset=utf-8", "binary": "application/json",
	})},
	{"PUT resource as a picture", raw(map[string]string{"string": "image/png", "json": "image/png",
		"binary": "image/png"})},
	{"POST batch", func(t *testing.T, c *trio, key string, s sample) (sample, bool) {
		a := c.ask(t, c.http[c.away(t, key)], "POST /batch",
			`{"ops":[{"op":"put","key":"`+key+`","value":`+s.text+`}]}`, "")
		if a.status != http.StatusOK || !strings.HasPrefix(a.body, `{"results":[{"status":200,"version":`) {
			t.Errorf("%d %s", a.status, a.body)
		}
		return s, true
	}},
	{"SET", byRedis([]any{"OK"}, func(key, value string) [][]string { return [][]string{{"SET", key, value}} })},
	{"APPEND", byRedis([]any{"length"}, func(key, value string) [][]string {
		return [][]string{{"APPEND", key,
			value}}
	})},
	{"APPEND in two", byRedis([]any{"OK", "length"}, func(key, value string) [][]string {
		return [][]string{{"SET", key, value[:len(value)/2]}, {"APPEND", key, value[len(value)/2:]}}
	})},
	{"SETRANGE", func(t *testing.T, c *trio, key string, s sample) (sample, bool) {
		if s.data == "" {
			return s, false // it makes no key
		}
		return byRedis([]any{"length"}, func(key, value string) [][]string {
			return [][]string{{"SETRANGE", key, "0", value}}
		})(t, c, key, s)
	}},
	{"MSET", byRedis([]any{"OK"}, func(key, value string) [][]string {
		return [][]string{{"MSET", "other-" + key, "x", key, value}}
	})},
	{"EVAL", byRedis([]any{int64(1)}, func(key, value string) [][]string {
		return [][]string{{"EVAL", acquire, "1", key, value, "3600000"}}
	})},
	{"pxkv put", func(t *testing.T, c *trio, key string, s sample) (sample, bool) {
		args := []string{"put", key, "-"}
		if s.kind == "json" {
			args = append(args, "--content-type", "application/json")
		}
		command(t, c.http[c.away(t, key)], strings.NewReader(s.data), args...).expect(t, exitFine, "created", "")
		return s, true
	}},
	{"pxkv import json", importing("json", `{"%s":%s}`)},
	{"pxkv import ndjson", importing("ndjson", `{"key":"%s","value":%s}`)},
}

func importing(format, line string) func(t *testing.T, c *trio, key string, s sample) (sample, bool) {
	return func(t *testing.T, c *trio, key string, s sample) (sample, bool) {
		file := strings.NewReader(fmt.Sprintf(line, key, s.text))
		command(t, c.http[c.away(t, key)], file, "import", "-", "--format", format).expect(t, exitFine, "imported 1",
			"")
		return s, true
	}
}

// readers look at a value, and report what it is not.
var readers = []struct {
	name string
	read func(t *testing.T, c *trio, key string) (got string)
	want func(key string, s sample) string
}{
	{"GET kv", get("GET /kv?key=%s"), func(key string, s sample) string { return `{"` + key + `":` + s.text + `}` }},
	{"GET resource", get("GET /kv/%s"), func(_ string, s sample) string { return s.data }},
	{"list", get("GET /kv?prefix=%s&limit=1"),
		func(key string, s sample) string { return `{"` + key + `":` + s.text + `}` }},
	{"list of values", get("GET /kv?values_only&prefix=%s&limit=1"),
		func(_ string, s sample) string { return `[` + s.text + `]` }},
	{"list as ndjson", get("GET /kv?format=ndjson&prefix=%s&limit=1"),
		func(key string, s sample) string { return `{"key":"` + key + `","value":` + s.text + "}\n" }},
	{"list with meta", func(t *testing.T, c *trio, key string) string {
		got := get("GET /kv?meta&prefix=%s&limit=1")(t, c, key)
		before, _, _ := strings.Cut(got, `,"version":`)
		before, _, _ = strings.Cut(before, `,"content_type":`)
		return before
	}, func(key string, s sample) string {
		return `{"` + key + `":{"value":` + s.text + `,"type":"` + s.typ + `"`
	}},
	{"list by type", get("GET /kv?keys_only&type=string&prefix=%s&limit=1"), func(key string, s sample) string {
		if s.typ == "string" {
			return `["` + key + `"]`
		}
		return `[]`
	}},
	{"batch", func(t *testing.T, c *trio, key string) string {
		a := c.ask(t, c.http[c.away(t, key)], "POST /batch", `{"ops":[{"op":"get","key":"`+key+`"}]}`, "")
		before, _, _ := strings.Cut(a.body, `,"version":`)
		return before
	}, func(_ string, s sample) string { return `{"results":[{"status":200,"value":` + s.text }},
	{"Redis GET", redis("GET", "%s"), bytesOf},
	{"Redis MGET", redis("MGET", "%s"), func(_ string, s sample) string { return fmt.Sprint([]any{s.data}) }},
	{"Redis GETRANGE", redis("GETRANGE", "%s", "0", "-1"), bytesOf},
	{"Redis STRLEN", redis("STRLEN", "%s"), func(_ string, s sample) string { return fmt.Sprint(len(s.data)) }},
	{"pxkv get", func(t *testing.T, c *trio, key string) string {
		return command(t, c.http[c.away(t, key)], nil, "get", key).out
	}, bytesOf},
	{"pxkv get as JSON", func(t *testing.T, c *trio, key string) string {
		var it struct {
			Value json.RawMessage
			Type  string
		}
		got := command(t, c.http[c.away(t, key)], nil, "get", key, "-o", "json")
		if err := json.Unmarshal([]byte(got.out), &it); err != nil {
			t.Errorf("%v: %s", err, got.out)
		}
		return it.Type
	}, func(_ string, s sample) string { return s.kind }},
}

func bytesOf(_ string, s sample) string { return s.data }

func get(request string) func(t *testing.T, c *trio, key string) string {
	return func(t *testing.T, c *trio, key string) string {
		return c.ask(t, c.http[c.away(t, key)], fmt.Sprintf(request, url.QueryEscape(key)), "", "").body
	}
}

func redis(words ...string) func(t *testing.T, c *trio, key string) string {
	return func(t *testing.T, c *trio, key string) string {
		sent := make([]string, len(words))
		for i, w := range words {
			sent[i] = strings.Replace(w, "%s", key, 1)
		}
		return fmt.Sprint(c.do(t, key, sent...))
	}
}

// crossed writes each sample in every way, and reads it back in every way.
func crossed(t *testing.T, c *trio, samples []sample) {
	wants := map[string]sample{}
	for w, writer := range writers {
		t.Run(writer.name, func(t *testing.T) {
			for i, s := range samples {
				key := fmt.Sprintf("w%02d-%02d", w, i)
				want, written := writer.write(t, c, key, s)
				if !written {
					continue
				}
				wants[key] = want
				for _, r := range readers {
					if got, want := r.read(t, c, key), r.want(key, want); got != want {
						t.Errorf("%q, a %s, by %s: got %q, want %q", s.data, s.kind, r.name, got, want)
					}
				}
			}
		})
	}
	for _, format := range []string{"json", "ndjson"} {
		t.Run("pxkv export "+format, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "all."+format)
			command(t, c.http["n2"], nil, "export", "--prefix", "w", file).expect(t, exitFine, "", "exported")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for key, s := range wants {
				part := map[string]string{
					"json": `"` + key + `": ` + s.text, "ndjson": `{"key":"` + key + `","value":` + s.text +
						`,"type":"` + s.typ + `"`,
				}[format]
				if !strings.Contains(string(text), part) {
					t.Errorf("no %s in\n%.3000s", part, text)
				}
			}
			// It can be brought back, through another node, and is what it was.
			before := c.ask(t, c.http["n1"], "GET /kv?prefix=w", "", "").body
			c.empty(t)
			command(t, c.http["n3"], nil, "import", file).expect(t, exitFine, "imported", "")
			after := c.ask(t, c.http["n1"], "GET /kv?prefix=w", "", "").body
			if after != before {
				t.Errorf("brought back:\n%.3000s\nwas\n%.3000s", after, before)
			}
		})
	}
}

// contractOfKinds: a value that one protocol wrote is the same value in every other.
func contractOfKinds(t *testing.T, c *trio) {
	crossed(t, c, []sample{
		textSample("plain"), textSample(""), textSample("ü😀 \"q\"\n\t\\ <&>"), textSample(`{"a":1}`), textSample("12"),
		textSample("true"), textSample(" 1 "),
		{"true", "json", "bool", "true"}, {`{"a":[1,null,"ü"],"$binary":"x"}`, "json", "object",
			`{"a":[1,null,"ü"],"$binary":"x"}`},
		{"[]", "json", "array", "[]"},
		{"\xff\x00\x01", "binary", "binary", `{"$binary":"/wAB"}`}, {"a\xc3", "binary", "binary", `{"$binary":"YcM="}`},
		{"{\"a\":\"\xff\"}", "binary", "binary", `{"$binary":"eyJhIjoi/yJ9"}`},
	})
	t.Run("INCR makes a JSON number of nothing", func(t *testing.T) {
		if got := c.do(t, "count", "INCR", "count"); got != int64(1) {
			t.Errorf("got %v", got)
		}
		for _, r := range readers {
			if got, want := r.read(t, c, "count"), r.want("count", sample{"1", "json", "number", "1"}); got != want {
				t.Errorf("by %s: got %q, want %q", r.name, got, want)
			}
		}
	})
	t.Run("INCR leaves a text one", func(t *testing.T) {
		c.do(t, "text", "SET", "text", "41")
		if got := c.do(t, "text", "INCR", "text"); got != int64(42) {
			t.Errorf("got %v", got)
		}
		for _, r := range readers {
			if got, want := r.read(t, c, "text"), r.want("text", textSample("42")); got != want {
				t.Errorf("by %s: got %q, want %q", r.name, got, want)
			}
		}
	})
	c.hold(t, []row{
		{name: "binary that is not canonical is refused", key: "q", request: "PUT /kv", status: 400, want: "~$binary",
			body: `{"key":"q","value":{"$binary":"QR=="}}`},
		{name: "binary without padding is refused", key: "q", request: "PUT /kv", status: 400, want: "~$binary",
			body: `{"key":"q","value":{"$binary":"QQ"}}`},
		{name: "binary with a line break is refused", key: "q", request: "PUT /kv", status: 400, want: "~$binary",
			body: `{"key":"q","value":{"$binary":"QQ==\n"}}`},
		{name: "binary that is no text is refused", key: "q", request: "PUT /kv", status: 400, want: "~$binary",
			body: `{"key":"q","value":{"$binary":5}}`},
		{name: "binary that is not canonical is refused in a batch", key: "q", request: "POST /batch", status: 400,
			want: "~$binary", body: `{"ops":[{"op":"put","key":"q","value":{"$binary":"QR=="}}]}`},
		{name: "canonical binary comes back", key: "q", request: "PUT /kv", status: 200,
			want: `{"q":{"$binary":"QQ=="}}`,
			body: `{"key":"q","value":{"$binary":"QQ=="}}`},
		{name: "an escaped one comes back plain", key: "q", request: "PUT /kv", status: 200,
			want: `{"q":{"$binary":"QQ=="}}`,
			body: `{"key":"q","value":{"\u0024binary":"\u0051Q=="}}`},
	})
	t.Run("import of binary that is not canonical", func(t *testing.T) {
		got := command(t, c.http["n1"], strings.NewReader(`{"q2":{"$binary":"QR=="}}`), "import", "-")
		got.expect(t, exitFailed, "bad 1", "$binary")
	})
}

// contractOfNumbers: the text of a number stays what the client sent, digit for digit.
func contractOfNumbers(t *testing.T, c *trio) {
	var samples []sample
	for _, n := range []string{"1.0", "1e400", "-0", "12345678901234567890123", "0.1000", "1E+5", "-0.0e-10", "0"} {
		samples = append(samples, sample{n, "json", "number", n})
	}
	samples = append(samples, sample{`[1.0,{"n":1e400}]`, "json", "array", `[1.0,{"n":1e400}]`})
	crossed(t, c, samples)
}
