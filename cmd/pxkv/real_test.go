package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pxkv/cmd/pxkv/server"
	"pxkv/node/kv"
)

// inMemory are the flags of a node that keeps nothing.
func inMemory(name, cluster string) *serveFlags {
	return &serveFlags{store: "memory", reads: "lease", Options: server.Options{
		Name: name, DataDir: "none", HTTP: "127.0.0.1:0", Peer: "127.0.0.1:0", Gossip: "127.0.0.1:0",
		Advertise: "127.0.0.1", Cluster: cluster, Partitions: 4, Replicas: 1, MaxValueBytes: 8 << 20,
	}}
}

// realNode runs a node in this process until the test ends, or stop is called, and returns its HTTP
// address and what it logs.
func realNode(t *testing.T, edit func(*serveFlags)) (url string, log *logged, stop func()) {
	t.Helper()
	f := inMemory("n1", "test")
	if edit != nil {
		edit(f)
	}
	log = &logged{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	p, err := f.server(logger)
	if err != nil {
		t.Fatal(err)
	}
	warnOfVariables(logger, f.unknown)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	url = "http://" + p.HTTPAddr()
	for end := time.Now().Add(20 * time.Second); ; {
		if got := command(t, url, nil, "status", "--quiet"); got.code == exitFine {
			return url, log, stop
		} else if time.Now().After(end) {
			t.Fatalf("the node is not ready: %s", got.errors)
		}
	}
}

// logged is a log that is written and read by several goroutines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What has no effect, or another than one may think, is said at the start.
func TestWarningsAtTheStart(t *testing.T) {
	dir := t.TempDir()
	_, log, stop := realNode(t, func(f *serveFlags) { f.store, f.DataDir = "disk", dir })
	stop()
	for _, text := range []string{"has no effect", "whoever reaches", "--store memory"} {
		if strings.Contains(log.String(), text) {
			t.Errorf("a node that was told nothing odd warns: %s", log)
		}
	}
	if !strings.Contains(log.String(), dir) || !strings.Contains(log.String(), "Ctrl-C") {
		t.Errorf("the log does not tell where the data lies and how to stop: %s", log)
	}
	url, log, _ := realNode(t, func(f *serveFlags) {
		f.store, f.DataDir, f.Cluster, f.Partitions, f.HTTP = "disk", dir, "other", 8, ":0"
		f.Given = map[string]bool{"partitions": true, "cluster": true}
		f.unknown = map[string]string{"PXKV_DATADIR": "PXKV_DATA_DIR"}
	})
	for _, text := range []string{
		"flag=--partitions given=8 \"in force\"=4", "flag=--cluster given=other \"in force\"=test",
		"name=PXKV_DATADIR meant=PXKV_DATA_DIR", "whoever reaches :0 can read and write everything",
		"--http 127.0.0.1:0 keeps it to this machine",
	} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("the log lacks %q:\n%s", text, log)
		}
	}
	command(t, url, nil, "status").expect(t, exitFailed, "test (", "not any one node may fail")
	command(t, url, nil, "status").expect(t, exitFailed,
		"warning     node n1: whoever reaches :0 can read and write everything", "")
	url, log, _ = realNode(t, nil)
	if got := command(t, url, nil, "status"); strings.Contains(got.out, "whoever") {
		t.Errorf("a node that listens on the loopback address warns: %s", got.out)
	}
	if !strings.Contains(log.String(), "--store memory") {
		t.Errorf("the log lacks a warning about --store memory:\n%s", log)
	}
}

// A node that is asked to stop says what the others cannot serve without it, before it goes.
func TestANodeThatIsNeededSaysSoWhenItStops(t *testing.T) {
	url, log, stop := realNode(t, func(f *serveFlags) { f.Replicas = 3 })
	_, gossip, _ := strings.Cut(log.String(), " gossip=")
	other, log2, stop2 := realNode(t, func(f *serveFlags) {
		f.Name, f.Replicas, f.Join = "n2", 3, []string{strings.Fields(gossip)[0]}
	})
	var members []kv.MemberView
	for end := time.Now().Add(20 * time.Second); ; { // who leads has a vote
		got := command(t, other, nil, "members", "-o", "json")
		if err := json.Unmarshal([]byte(got.out), &members); err == nil && len(members) == 2 &&
			members[0].Leaders*members[1].Leaders > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the second node leads nothing: %s", got.out)
		}
	}
	command(t, url, nil, "status").expect(t, exitFailed, "two members tolerate no loss", "not any one node may fail")
	if line, all := `pxkv_peer_connected{name="n2",peer="`+members[1].ID.String()+`"}`, metricsOf(t,
		url); !strings.Contains(all, line) {
		t.Errorf("the metrics lack %s", line)
	}
	stop2()
	said := strings.Index(log2.String(), "the others cannot serve without this node")
	if said < 0 || said > strings.Index(log2.String(), "msg=stopped") {
		t.Errorf("the log does not say before its end that the node is needed:\n%s", log2)
	}
	// Whoever is told of the other one is told its name.
	for i := range 20 {
		res, err := http.Get(url + "/kv/k" + fmt.Sprint(i) + "?timeout=200ms")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if id := members[1].ID.String(); strings.Contains(strings.ReplaceAll(string(body), "n2 ("+id+")", ""), id) {
			t.Errorf("the id comes without the name: %s", body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if log := log.String(); !strings.Contains(log, `peer="n2 (`+members[1].ID.String()+`)"`) {
		t.Errorf("the log does not name the other node:\n%s", log)
	}
	stop()
}

// Which program runs, and what is missing and moves, is among the metrics.
func TestMetricsOfTheProcess(t *testing.T) {
	url, _, _ := realNode(t, nil)
	all := metricsOf(t, url)
	b := thisBuild()
	for _, line := range []string{
		fmt.Sprintf("pxkv_build_info{commit=%q,go=%q,version=%q} 1\n", b.Commit, b.Go, b.Version),
		"\npxkv_moves 0\n", "\npxkv_partitions_incomplete 0\n",
		"\npxkv_partitions_under_replicated 0\n", "\npxkv_partitions_leaderless 0\n",
	} {
		if !strings.Contains(all, line) {
			t.Errorf("the metrics lack %q", line)
		}
	}
}

func metricsOf(t *testing.T, url string) string {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	res, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestUnknownVariablesAreFound(t *testing.T) {
	t.Parallel()
	got := unknownVariables(newServeCommand().Flags(), []string{
		"PXKV_DATADIR=x", "PXKV_NAME=x", "PXKV_SERVER=x", "PXKV_NONSENSE=1", "HOME=/", "PXKV_DATA_DIR=y",
	})
	if want := map[string]string{"PXKV_DATADIR": "PXKV_DATA_DIR", "PXKV_NONSENSE": ""}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What commands say to a node is understood by a real one.
func TestCommandsWithARealNode(t *testing.T) {
	url, _, _ := realNode(t, nil)
	do := func(args ...string) outcome { return command(t, url, nil, args...) }

	t.Run("a value above the limit is refused, not unknown", func(t *testing.T) {
		for _, size := range []int{8<<20 + 1, 20 << 20} {
			got := command(t, url, bytes.NewReader(make([]byte, size)), "put", "large", "-")
			got.expect(t, exitFailed, "", "413")
		}
		command(t, url, bytes.NewReader(make([]byte, 8<<20)), "put", "large", "-").expect(t, exitFine, "created", "")
		do("del", "large").expect(t, exitFine, "deleted", "")
	})

	t.Run("keys that are no text stay what they are", func(t *testing.T) {
		const key = "a\xffb\xc3\xbc\xed\xa0\x80 \"\\\n\U0001F600"
		do("put", key, "v").expect(t, exitFine, "created", "")
		got := do("get", key, "-o", "json")
		got.expect(t, exitFine, `\udcff`, "")
		all := do("list", "--output", "json")
		all.expect(t, exitFine, `\udcff`, "")
		do("list", "--keys-only").expect(t, exitFine, `"a\xffb`, "")
		// The list is what was there: each of its pairs can be written again.
		_, err := decodeList(strings.NewReader(all.out), func(name, value json.RawMessage) error {
			body := `{"key":` + string(name) + `,"value":` + string(value) + `}`
			r, _ := http.NewRequest(http.MethodPut, url+"/kv", strings.NewReader(body))
			res, err := http.DefaultClient.Do(r)
			if err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			if name, _ := parseKeyText(name); name != key {
				t.Errorf("listed as %q", name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		do("list", "--keys-only", "-o", "json").expect(t, exitFine, "", "")
		do("del", key).expect(t, exitFine, "deleted", "")
		do("list", "-o", "json").expect(t, exitFine, "{}\n", "")
		http.DefaultClient.CloseIdleConnections()
	})

	t.Run("deadlines", func(t *testing.T) {
		do("put", "session", "x", "--ttl", "300").expect(t, exitFine, "until", "")
		do("ttl", "session").expect(t, exitFine, "m", "")
		do("expire", "session", "never").expect(t, exitFine, "updated", "")
		do("ttl", "session").expect(t, exitFine, "forever", "")
		do("ttl", "nothing").expect(t, exitNotFound, "", "not found")
		do("expire", "nothing", "5").expect(t, exitNotFound, "", "not found")
		do("expire", "session", "0").expect(t, exitUsage, "", "1ms")
		do("expire", "session", "soon").expect(t, exitUsage, "", "neither seconds")
		r, _ := http.NewRequest(http.MethodPut, url+"/kv", strings.NewReader(`{"key":"pair","value":{"a":[1.50,"x"]}}`))
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(res, err)
		}
		res.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		do("put", "page", "{}", "--content-type", "application/json").expect(t, exitFine, "created", "")
		for _, key := range []string{"session", "pair", "page"} {
			before := do("get", key, "-o", "json")
			do("expire", key, "1h").expect(t, exitFine, "updated until", "")
			after := do("get", key, "-o", "json")
			if was, is := valueAndType(t, before.out), valueAndType(t, after.out); was != is {
				t.Errorf("%s was %s, and is %s", key, was, is)
			}
			do("ttl", key, "-o", "json").expect(t, exitFine, `"ttl_ms": 3`, "")
		}
		do("list", "--prefix", "pa").expect(t, exitFine, "page\t{}\npair\t{\"a\":[1.50,\"x\"]}\n", "")
		const onlyPair = "pair\t{\"a\":[1.50,\"x\"]}\n"
		do("list", "--where", `"x" in value.a`).expect(t, exitFine, onlyPair, "")
		do("list", "--glob", "pa*", "--type", "object", "--from", "pai", "--to", "pb").expect(t, exitFine, onlyPair, "")
		do("list", "--regex", "^pair$", "--values-only").expect(t, exitFine, "{\"a\":[1.50,\"x\"]}\n", "")
		do("list", "--regex", "^pair$", "--values-only", "-o", "json").
			expect(t, exitFine, "[\n  {\"a\":[1.50,\"x\"]}\n]\n", "")
		do("list", "--regex", "^pair$", "--meta").expect(t, exitFine, `"type":"object"`, "")
		do("list", "--where", "value.").expect(t, exitFailed, "", "at character")
		do("list", "--where", "").expect(t, exitUsage, "", "--where is empty")
		do("list", "--keys-only", "--meta").expect(t, exitUsage, "", "--keys-only does not go with")
		do("del", "session", "pair", "page").expect(t, exitFine, "deleted 3 of 3\n", "")
	})

	t.Run("several keys", func(t *testing.T) {
		for _, key := range []string{"s:1", "s:2", "s:\xff", "other"} {
			do("put", key, "v").expect(t, exitFine, "created", "")
		}
		command(t, url, strings.NewReader("y\n"), "del", "--prefix", "s:").expect(t, exitUsage, "", "there are 3 keys")
		do("del", "--prefix", "s:", "--yes").expect(t, exitFine, "deleted 3\n", "")
		do("del", "--prefix", "s:", "--yes").expect(t, exitNotFound, "", "no key begins")
		do("del", "other", "nothing").expect(t, exitNotFound, "deleted 1 of 2\n", "1 of 2 keys were not there")
		do("del").expect(t, exitUsage, "", "missing KEY")
		do("del", "a", "--prefix", "b").expect(t, exitUsage, "", "not both")
	})

	t.Run("files and other servers", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "value")
		if err := os.WriteFile(name, []byte("from a file"), 0o600); err != nil {
			t.Fatal(err)
		}
		do("put", "f", "--file", name).expect(t, exitFine, "created", "")
		do("put", "f", "--file", name+"x").expect(t, exitFailed, "", "nothing was written")
		do("put", "f", "--file", "").expect(t, exitFailed, "", "nothing was written")
		do("get", "f", "--stale").expect(t, exitFine, "from a file", "")
		do("get", "f", "--stale", "-o", "json").expect(t, exitFine, `"staleness_ms": `, "")
		const nobody = "http://127.0.0.1:1"
		command(t, nobody, nil, "get", "f").expect(t, exitFailed, "", "refuses connections")
		command(t, nobody, nil, "get", "f", "--server", url).expect(t, exitFine, "from a file", "")
		command(t, nobody+","+url, nil, "put", "f", "x").expect(t, exitFine, "updated", "")
		command(t, url, nil, "get", "nothing", "--server", nobody).expect(t, exitNotFound, "", "not found")
	})
}

func valueAndType(t *testing.T, text string) string {
	t.Helper()
	var it struct {
		Value             json.RawMessage
		Type, ContentType string `json:",omitempty"`
	}
	if err := json.Unmarshal([]byte(text), &it); err != nil {
		t.Fatal(err, text)
	}
	return string(it.Value) + it.Type + it.ContentType
}

// A node that the nodes at --join refuse, since their cluster has another name, says so, and no command shows an empty
// cluster for it.
func TestANodeOfAnotherClusterIsTold(t *testing.T) {
	_, log, _ := realNode(t, func(f *serveFlags) { f.Cluster = "one" })
	_, gossip, _ := strings.Cut(log.String(), " gossip=")
	gossip = strings.Fields(gossip)[0]
	for _, expect := range []int{0, 3} {
		var newcomer logged
		f := inMemory("n2", "two")
		f.Join, f.Expect = []string{gossip}, expect
		p, err := f.server(slog.New(slog.NewTextHandler(&newcomer, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		url := "http://" + p.HTTPAddr()
		reason := `a node of cluster "one" answers at ` + gossip + " of --join"
		for _, args := range [][]string{{"status"}, {"members"}, {"partitions"}, {"members", "-o", "json"}} {
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				got := command(t, url, nil, args...)
				if got.code == exitFailed && strings.Contains(got.out+got.errors, reason) &&
					(args[0] == "status" || got.out == "") {
					break
				} else if time.Now().After(end) {
					t.Fatalf("expect %d, %v: %+v", expect, args, got)
				}
			}
		}
		const told = `a node of cluster \"one\" answers`
		for end := time.Now().Add(20 * time.Second); !strings.Contains(newcomer.String(), told); {
			if time.Now().After(end) {
				t.Fatalf("the log does not tell: %s", newcomer.String())
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
