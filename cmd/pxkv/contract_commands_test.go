package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// commandRow is a command line and how it ends.
type commandRow struct {
	name string
	key  string // it is sent to a node that does not lead this key; without one, to n2
	args string // separated by blanks
	in   string // what it reads from standard input
	code int
	out  string // the whole standard output; behind ~ a part of it
	errs string // a part of standard error
}

// contractOfCommands: what the command line says to a node and prints.
func contractOfCommands(t *testing.T, c *trio) {
	for _, r := range []commandRow{
		{name: "get of no key", key: "a", args: "get a", code: exitNotFound, errs: "not found"},
		{name: "put", key: "a", args: "put a hello", out: "~created"},
		{name: "put again", key: "a", args: "put a hello", out: "~updated"},
		{name: "put from standard input", key: "b", args: "put b -", in: "\xff\x00", out: "~created"},
		{name: "put as JSON", key: "j", args: "put j [1.0] --content-type application/json", out: "~created"},
		{name: "put --if-absent", key: "a", args: "put a x --if-absent", code: exitFailed, errs: "ondition"},
		{name: "put --if-match", key: "a", args: "put a x --if-match 9999999", code: exitFailed, errs: "ondition"},
		{name: "put --output json", key: "a", args: "put a hello -o json", out: `~"version": `},
		{name: "put without a value", args: "put a", code: exitUsage, errs: "VALUE"},
		{name: "get", key: "a", args: "get a", out: "hello"},
		{name: "get of bytes", key: "b", args: "get b", out: "\xff\x00"},
		{name: "get --output json", key: "j", args: "get j --output json", out: `~"type": "json"`},
		{name: "get --stale", key: "a", args: "get a --stale", out: "hello"},
		{name: "get without a key", args: "get", code: exitUsage, errs: "KEY"},
		{name: "get of an empty key", args: "get EMPTY", code: exitUsage, errs: "key"},
		{name: "incr", key: "n", args: "incr n", out: "1\n"},
		{name: "incr --by", key: "n", args: "incr n --by -3", out: "-2\n"},
		{name: "incr --output json", key: "n", args: "incr n -o json", out: `~"value": -1`},
		{name: "incr of a text", key: "a", args: "incr a", code: exitFailed, errs: "integer"},
		{name: "ttl of what lives for ever", key: "a", args: "ttl a", out: "~forever"},
		{name: "expire", key: "a", args: "expire a 1h", out: "~updated until"},
		{name: "ttl", key: "a", args: "ttl a", out: "~m"},
		{name: "ttl --output json", key: "a", args: "ttl a --output json", out: `~"ttl_ms": 3`},
		{name: "expire never", key: "a", args: "expire a never", out: "~updated"},
		{name: "expire of no key", key: "no", args: "expire no 5", code: exitNotFound, errs: "not found"},
		{name: "ttl of no key", key: "no", args: "ttl no", code: exitNotFound, errs: "not found"},
		{name: "list", args: "list", out: "a\t\"hello\"\nb\t{\"$binary\":\"/wA=\"}\nj\t[1.0]\nn\t-1\n"},
		{name: "list --keys-only", args: "list --keys-only", out: "a\nb\nj\nn\n"},
		{name: "list --values-only", args: "list --values-only --prefix j", out: "[1.0]\n"},
		{name: "list --meta", args: "list --meta --prefix a", out: `~a	{"value":"hello","type":"string","version":`},
		{name: "list --output json", args: "list --output json --from j",
			out: "{\n  \"j\": [1.0],\n  \"n\": -1\n}\n"},
		{name: "list --limit", args: "list --keys-only --limit 2", out: "a\nb\n"},
		{name: "list --to", args: "list --keys-only --to b", out: "a\n"},
		{name: "list --glob", args: "list --keys-only --glob [jn]", out: "j\nn\n"},
		{name: "list --regex", args: "list --keys-only --regex ^[jn]", out: "j\nn\n"},
		{name: "list --type", args: "list --keys-only --type number", out: "n\n"},
		{name: "list --where", args: "list --keys-only --where value[0]==1", out: "j\n"},
		{name: "list with a bad expression", args: "list --where value.", code: exitFailed, errs: "at character"},
		{name: "members", args: "members", out: "~n3 "},
		{name: "members --output json", args: "members --output json", out: `~"name": "n3"`},
		{name: "partitions", args: "partitions", out: "~PARTITION"},
		{name: "partitions --output json", args: "partitions -o json", out: `~"partition": 7`},
		{name: "status --wait", args: "status --wait 60s", out: "~test ("},
		{name: "status --output json", args: "status --wait 60s --output json",
			out: "~\"may_fail\": {\n    \"yes\": true"},
		{name: "status --safe-to-stop", args: "status --wait 60s --safe-to-stop n1", out: "node n1 may be stopped\n"},
		{name: "status --safe-to-stop of nobody", args: "status --safe-to-stop n9", code: exitFailed, errs: "n9"},
		{name: "status --quiet", args: "status --quiet --wait 60s"},
		{name: "plan", args: "plan replace n3", code: exitFailed, out: "~to replace n3: replicas of 8 partitions",
			errs: "it would be refused now:\n  n3 cannot be replaced: "},
		{name: "plan --output json", args: "plan add n4 --output json", out: `~"change": "add"`},
		{name: "plan --replicas-after", args: "plan remove n3 --replicas-after 2",
			out: "~to remove n3: replicas of 8 partitions"},
		{name: "plan of nobody", args: "plan remove n9", code: exitFailed, errs: `no member is named "n9"`},
		{name: "plan of nothing", args: "plan move n3", code: exitUsage, errs: `"move"`},
		{name: "leave", args: "leave n3", code: exitFailed, errs: "n3 does not leave:\n  2 members would remain"},
		{name: "leave of the node asked", args: "leave", code: exitFailed, errs: "n2 does not leave:"},
		{name: "leave --output json", args: "leave n3 -o json", code: exitFailed, out: `~"refused": [`},
		{name: "leave --cancel", args: "leave n3 --cancel", out: "n3 stays in the cluster\n"},
		{name: "leave --plan", args: "leave n3 --plan 999 --replicas-after 2", code: exitFailed,
			errs: "the plan is of epoch 999"},
		{name: "leave of nobody", args: "leave n9", code: exitFailed, errs: `no member is named "n9"`},
		{name: "remove of who lives", args: "remove n3 --replicas-after 2", code: exitFailed,
			errs: "n3 is not removed:"},
		{name: "remove of nobody", args: "remove n9", code: exitFailed, errs: `no member is named "n9"`},
		{name: "remove of no name", args: "remove", code: exitUsage, errs: "missing NAME"},
		{name: "replicas", args: "replicas 3",
			out: "3 replicas of each partition wanted; pxkv status shows when they are there\n"},
		{name: "replicas --output json", args: "replicas 3 -o json", out: `~"replicas": 3`},
		{name: "replicas of too many", args: "replicas 10", code: exitFailed,
			errs: "the number of replicas stays 3:\n  10 replicas were asked for; 1 to 9 are possible"},
		{name: "replicas of none", args: "replicas 0", code: exitUsage, errs: "is not a number of replicas"},
		{name: "replicas without a number", args: "replicas", code: exitUsage, errs: "missing N"},
		{name: "members --removed", args: "members --removed", out: "NAME  ID  REMOVED  WHY\n"},
		{name: "export", args: "export",
			out: "{\n\"a\": \"hello\",\n\"b\": {\"$binary\":\"/wA=\"},\n\"j\": [1.0],\n\"n\": -1\n}\n"},
		{name: "export --format ndjson", args: "export --format ndjson --prefix n",
			out: `~{"key":"n","value":-1,"type":"number","version":`},
		{name: "export --where", args: "export --where value==-1", out: "{\n\"n\": -1\n}\n"},
		{name: "import of the original's file", args: "import -", in: `{"i": "x", "k": {"deep": [1.50]}}`,
			out: "~imported 2 pairs"},
		{name: "import of lines", args: "import - --format ndjson", in: "{\"key\":\"l\",\"value\":true}\n",
			out: "~imported 1 pair"},
		{name: "import with bad lines", args: "import - --format ndjson", code: exitFailed, out: "~bad 1",
			errs: "line 2",
			in:   "{\"key\":\"l\",\"value\":true}\n{\"value\":1}\n"},
		{name: "what was imported", key: "k", args: "get k", out: `{"deep":[1.50]}`},
		{name: "del", key: "a", args: "del a", out: "~deleted"},
		{name: "del of no key", key: "a", args: "del a", code: exitNotFound, errs: "not "},
		{name: "del of several", args: "del b j n i k l", out: "deleted 6 of 6\n"},
		{name: "version", args: "version", out: "~pxkv "},
		{name: "version --output json", args: "version --output json", out: `~"go": "go1.`},
		{name: "bench", args: "bench mix --requests 20 --keys 3 --connections 2 --warmup 0s --output json",
			out: `~"succeeded": 20`},
		{name: "rebuild of no partition", args: "rebuild", code: exitUsage},
		{name: "an unknown command", args: "gett a", code: exitUsage, errs: `did you mean "get"`},
		{name: "an unknown flag", args: "get a --nope", code: exitUsage, errs: "nope"},
		{name: "no server", args: "get a --server http://127.0.0.1:1", code: exitFailed, errs: "refuses connections"},
	} {
		t.Run(r.name, func(t *testing.T) {
			url := c.http["n2"]
			if r.key != "" {
				url = c.http[c.away(t, r.key)]
			}
			args := strings.Split(r.args, " ")
			for i := range args {
				args[i] = strings.Replace(args[i], "EMPTY", "", 1)
			}
			var in io.Reader
			if r.in != "" {
				in = strings.NewReader(r.in)
			}
			if strings.Contains(r.args, "--server") || args[0] == "version" || args[0] == "rebuild" ||
				args[0] == "gett" {
				url = ""
			}
			got := command(t, url, in, args...)
			part, some := strings.CutPrefix(r.out, "~")
			if got.code != r.code || !strings.Contains(got.errors, r.errs) || some && !strings.Contains(got.out,
				part) ||
				!some && got.out != r.out {
				t.Errorf("want code %d, %q, %q; got %+v", r.code, r.out, r.errs, got)
			}
		})
	}
	t.Run("import and export of files", func(t *testing.T) { c.files(t) })
	t.Run("PXKV_SERVER", func(t *testing.T) {
		t.Setenv("PXKV_SERVER", c.http["n3"])
		command(t, "", nil, "status", "--wait", "60s", "--output", "json").expect(t, exitFine, `"node": "n3"`, "")
	})
}

// files carries pairs through files of every kind.
func (c *trio) files(t *testing.T) {
	c.empty(t)
	dir := t.TempDir()
	store := filepath.Join(dir, "store.json")
	if err := os.WriteFile(store, []byte(`{"a": "x", "b": [1.0, null], "c": {"$binary": "/wA="}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, c.http["n1"], nil, "import", store).expect(t, exitFine, "imported 3 pairs", "")
	all := c.ask(t, c.http["n1"], "GET /kv", "", "").body
	for _, name := range []string{"all.json", "all.ndjson", "all.json.gz", "all.ndjson.zst"} {
		file := filepath.Join(dir, name)
		command(t, c.http["n2"], nil, "export", file).expect(t, exitFine, "", "exported 3 pairs")
		c.empty(t)
		command(t, c.http["n3"], nil, "import", file).expect(t, exitFine, "imported 3 pairs", "")
		if got := c.ask(t, c.http["n1"], "GET /kv", "", "").body; got != all {
			t.Errorf("%s: %s, want %s", name, got, all)
		}
	}
	var made map[string]any
	text, err := os.ReadFile(filepath.Join(dir, "all.json"))
	if err == nil {
		err = json.Unmarshal(text, &made)
	}
	if err != nil || len(made) != 3 {
		t.Errorf("the file is no object of 3 pairs: %v\n%s", err, text)
	}
}

// The flags of serve, their defaults and their environment variables.
func TestContractOfServe(t *testing.T) {
	flags := newServeCommand().Flags()
	for name, def := range map[string]string{
		"data-dir": "./pxkv-data", "store": "disk", "http": ":8080", "resp": ":6379", "peer": ":7947",
		"gossip":    ":7946",
		"advertise": "", "join": "[]", "cluster": "pxkv", "bootstrap-expect": "0", "partitions": "64", "replicas": "3",
		"cache-entries": "65536", "reads": "lease", "log-format": "text", "log-level": "info",
		"replace-after": "10m0s", "zone": "",
		"max-value-bytes": "8388608",
		"allow-flush":     "false", "debug": "false", "move-rate": "0",
	} {
		f := flags.Lookup(name)
		if f == nil || f.DefValue != def {
			t.Errorf("--%s: %+v, want the default %q", name, f, def)
		}
	}
	host, err := os.Hostname()
	if f := flags.Lookup("name"); err != nil || f == nil || f.DefValue != host {
		t.Errorf("--name: %+v, want %q", f, host)
	}
	for name, value := range map[string]string{
		"name": "other", "data-dir": "elsewhere", "store": "memory", "resp": "", "join": "a:1,b:2", "partitions": "5",
		"allow-flush": "true",
	} {
		t.Setenv(variable(name), value)
	}
	t.Setenv("PXKV_REPLICAS", "1")
	if err := flags.Set("replicas", "5"); err != nil { // what is given goes before the environment
		t.Fatal(err)
	}
	if err := fromEnvironment(flags); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"name": "other", "data-dir": "elsewhere", "store": "memory", "resp": "", "join": "[a:1,b:2]", "partitions": "5",
		"allow-flush": "true", "replicas": "5",
	} {
		if got := flags.Lookup(name).Value.String(); got != want {
			t.Errorf("--%s is %q by its variable, want %q", name, got, want)
		}
	}
}
