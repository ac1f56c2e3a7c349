package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pxkv/cmd/pxkv/transfer"
)

// store is what a node keeps for the test of a round trip: each kind of key and value, one a line.
const store = `{"key":"","value":"s"}
{"key":"a","value":"s","content_type":"text/html"}
{"key":"b\udcff \"\n","value":{"$binary":"AP8="},"content_type":"image/png"}
{"key":"c","value":{"n":[1.50,12345678901234567890.10],"z":null}}
{"key":"d","value":true,"expires":"2999-01-01T00:00:00.500Z"}
{"key":"e","value":"\u00fc\u0000\ud83d\ude00"}
{"key":"f","value":-0.0e10}
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What is exported and imported again is what it was, in every format.
func TestExportAndImportAgain(t *testing.T) {
	url, _, _ := realNode(t, nil)
	do := func(args ...string) outcome { return command(t, url, nil, args...) }
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	first := do("import", write(t, in("first"), store))
	first.expect(t, exitFailed, "imported 6 pairs, skipped 0, bad 1\n", "first: line 1, pair 1: Missing key")
	first.expect(t, exitFailed, "", "1 pair of "+in("first")+" could not be imported")
	all := do("list", "--meta", "-o", "json").out
	for _, kept := range []string{`"content_type":"text/html"`, "image/png", "12345678901234567890.10", "AP8=",
		"2999-01-01T00:00:00.500Z", "-0.0e10"} {
		if !strings.Contains(all, kept) {
			t.Errorf("%s was lost: %s", kept, all)
		}
	}
	plain := do("list", "-o", "json").out
	empty := func() { do("del", "--prefix", "", "--yes"); do("del", "a", "b\xff \"\n", "c", "d", "e", "f") }
	for _, name := range []string{"all.ndjson", "all.jsonl.gz", "all.ndjson.zst", "all.json", "all.json.gz", "all"} {
		got := do("export", in(name))
		got.expect(t, exitFine, "", "exported 6 pairs to "+in(name))
		keeps := strings.Contains(name, "ndjson") || strings.Contains(name, "jsonl")
		if said := strings.Contains(got.errors, "1 deadline, 2 content types"); said == keeps {
			t.Errorf("%s: what is not kept: %s", name, got.errors)
		}
		empty()
		do("list", "-o", "json").expect(t, exitFine, "{}\n", "")
		do("import", in(name), "-o", "json").expect(t, exitFine, `"imported": 6`, "")
		if again := do("list", "-o", "json").out; again != plain {
			t.Errorf("%s: got %s\nwant %s", name, again, plain)
		}
		if keeps {
			again := do("list", "--meta", "-o", "json").out
			if withoutHistory(again) != withoutHistory(all) {
				t.Errorf("%s: got %s\nwant %s", name, again, all)
			}
		} else {
			empty()
			do("import", in("first")).expect(t, exitFailed, "imported 6", "")
		}
	}
	out := do("export")
	out.expect(t, exitFine, "{\n\"a\": \"s\",\n", "exported 6 pairs\n")
	if !json.Valid([]byte(out.out)) {
		t.Errorf("standard output is no JSON: %s", out.out)
	}
	do("export", "-", "--format", "ndjson", "--from", "c", "--to", "e").expect(t, exitFine, `{"key":"c",`, "exported 2 pairs")
	do("export", "--type", "binary").expect(t, exitFine, `"AP8="`, "exported 1 pair\n")
	if left, _ := filepath.Glob(in("*pxkv*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// withoutHistory takes out of a list when and in which order it was written.
func withoutHistory(list string) string {
	var all map[string]map[string]any
	d := json.NewDecoder(strings.NewReader(list))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return err.Error()
	}
	for _, pair := range all {
		delete(pair, "version")
		delete(pair, "modified")
	}
	text, _ := json.Marshal(all)
	return string(text)
}

func TestImportOptions(t *testing.T) {
	url, _, _ := realNode(t, nil)
	do := func(args ...string) outcome { return command(t, url, nil, args...) }
	dir := t.TempDir()
	name := write(t, filepath.Join(dir, "store.json"), "{\"a\": 1,\n \"b\": NaN,\n \"c\": 3}")
	do("import", name, "--dry-run").expect(t, exitFailed, "could import 2 pairs, skipped 0, bad 1\n",
		"line 2, pair 2: it is no JSON")
	do("import", name, "--strict").expect(t, exitFailed, "could import 2 pairs", "nothing was written")
	command(t, url, strings.NewReader(`{"a":1,"b":null}`), "import", "-", "--strict").
		expect(t, exitFailed, "", "standard input: line 1, pair 2: its value is null")
	do("list", "-o", "json").expect(t, exitFine, "{}\n", "")
	command(t, "http://127.0.0.1:1", nil, "import", name, "--dry-run").expect(t, exitFailed, "could import 2", "")
	command(t, "http://127.0.0.1:1", nil, "import", name).expect(t, exitFailed, "", "refuses connections")
	command(t, url, strings.NewReader(`{"a":1,"b":2}`), "import", "-", "--strict").expect(t, exitFine, "imported 2 pairs", "")
	do("import", name, "--if-absent").expect(t, exitFailed, "imported 1 pair, skipped 1 (1 present), bad 1\n", "")
	do("import", name, "--prefix", "c").expect(t, exitFailed,
		"imported 1 pair, skipped 1 (1 with another prefix), bad 1\n", "")
	do("import", name, "--format", "ndjson").expect(t, exitFailed, "imported 0 pairs", "it is no JSON")
	old := write(t, filepath.Join(dir, "old"), `{"key":"x","value":1,"expires":"2020-01-01T00:00:00Z"}`)
	do("import", old).expect(t, exitFine, "imported 0 pairs, skipped 1 (1 expired), bad 0\n", "")
	do("import", dir).expect(t, exitFailed, "", "is a directory; nothing was written")
	do("import", name+"x").expect(t, exitFailed, "", "no such file")
	do("import", name, "--format", "xml").expect(t, exitUsage, "", "json, ndjson or rdb")
	do("import").expect(t, exitUsage, "", "missing FILE")
	do("export", "a", "b").expect(t, exitUsage, "", "unexpected argument")
	do("export", "--prefix", "").expect(t, exitUsage, "", "--prefix is empty")
	do("export", "--where", "value.").expect(t, exitFailed, "", "at character")
	do("export", filepath.Join(dir, "none", "x")).expect(t, exitFailed, "", "no such file")
	many := write(t, filepath.Join(dir, "many.json"), "{"+strings.Repeat("\"a\":null,\n", 30)+`"z":1}`)
	do("import", many).expect(t, exitFailed, "imported 1 pair, skipped 0, bad 30\n",
		"and 10 pairs more that cannot be imported")
	if left, _ := filepath.Glob(filepath.Join(dir, "*pxkv*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A value that this node does not take is found among those that it takes.
func TestImportOfWhatANodeRefuses(t *testing.T) {
	url, _, _ := realNode(t, func(f *serveFlags) { f.MaxValueBytes = 1000 })
	name := filepath.Join(t.TempDir(), "x")
	long := strings.Repeat("x", 1001)
	write(t, name, `{"key":"a","value":1}`+"\n"+`{"key":"b","value":"`+long+`"}`+"\n"+`{"key":"c","value":3}`)
	command(t, url, nil, "import", name).expect(t, exitFailed, "imported 2 pairs, skipped 0, bad 1\n",
		"line 2, pair 2: ")
}

// An import whose process is killed again and again goes on where it was, and ends with exactly the pairs.
func TestKilledImport(t *testing.T) {
	pairs := 100_000
	if testing.Short() {
		pairs = 20_000
	}
	nodeURL, _, _ := realNode(t, nil)
	file, err := os.Create(filepath.Join(t.TempDir(), "all.ndjson.gz"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := transfer.Compress(file, file.Name())
	if err != nil {
		t.Fatal(err)
	}
	for i := range pairs {
		fmt.Fprintf(w, "{\"key\":\"k%06d\",\"value\":%d}\n", i, i)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file.Close()
	door := newDoor(t, nodeURL)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	// Five times, and until it has kept how far it is: where it is killed early that may need some more.
	for kills := 0; kills < 5 || imported(t, file.Name()) == 0; kills++ {
		if kills == 100 {
			t.Fatal("killed a hundred times, it has not kept how far it is")
		}
		cmd := exec.Command(os.Args[0], "import", "--server="+door.url, file.Name())
		cmd.Env = append(os.Environ(), asCommand+"=1")
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		door.close(1+rng.IntN(pairs/1000/6), rng.IntN(2) == 0, func() { cmd.Process.Kill() })
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("it was not killed: %s", &said)
		}
	}
	door.open()
	other := command(t, door.url, nil, "import", file.Name(), "--if-absent")
	other.expect(t, exitFailed, "", "that had other options")
	got := command(t, door.url, nil, "import", file.Name(), "--output", "json")
	got.expect(t, exitFine, `"imported": `+strconv.Itoa(pairs), "going on behind pair ")
	expectNumbered(t, command(t, nodeURL, nil, "export", "--format", "ndjson"), pairs)
	if _, err := os.Stat(transfer.StateName(file.Name())); err == nil {
		t.Error("the state of an import that has ended is still there")
	}
}

// imported tells how far an import was that was killed, in pairs.
func imported(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(transfer.StateName(file))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	var was transfer.State
	if err := errors.Join(err, json.Unmarshal(text, &was)); err != nil {
		t.Fatal(err)
	}
	return was.Entries
}

// expectNumbered checks that an export has the pairs k000000, k000001 and so on.
func expectNumbered(t *testing.T, got outcome, pairs int) {
	t.Helper()
	got.expect(t, exitFine, "", "exported "+strconv.Itoa(pairs)+" pairs\n")
	i := 0
	for line := range strings.Lines(got.out) {
		if want := fmt.Sprintf("{\"key\":\"k%06d\",\"value\":%d,", i, i); !strings.HasPrefix(line, want) {
			t.Fatalf("line %d is %s", i, line)
		}
		i++
	}
	if i != pairs {
		t.Errorf("%d lines", i)
	}
}

// door stands before a node, and closes after some batches, until that number is set anew.
type door struct {
	url  string
	mu   sync.Mutex
	left int    // batches until it closes; below 0 it is open
	pass bool   // whether the last batch is passed on all the same
	shut func() // is called when it closes
}

func newDoor(t *testing.T, node string) *door {
	t.Helper()
	base, err := url.Parse(node)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{left: -1}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(base) }, Transport: transport,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/batch" {
			if closed, pass, shut := d.closes(); closed {
				if pass {
					proxy.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
				}
				shut()
				panic(http.ErrAbortHandler)
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	d.url = server.URL
	return d
}

func (d *door) close(after int, pass bool, shut func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.pass, d.shut = after, pass, shut
}

func (d *door) open() { d.close(-1, false, nil) }

// closes counts a batch, and says what to do with it.
func (d *door) closes() (closed, pass bool, shut func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left > 0 {
		d.left--
		return false, false, nil
	}
	return d.left == 0, d.pass, d.shut
}

// An export goes on at another node when the connection breaks, and leaves no file when it cannot.
func TestExportCutShort(t *testing.T) {
	const pairs = 20_000
	nodeURL, _, _ := realNode(t, nil)
	var text strings.Builder
	for i := range pairs {
		fmt.Fprintf(&text, "{\"key\":\"k%06d\",\"value\":%d}\n", i, i)
	}
	command(t, nodeURL, strings.NewReader(text.String()), "import", "-").expect(t, exitFine, "imported 20000 pairs", "")
	var lists atomic.Int32
	cutter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lists.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
		resp, err := http.Get(nodeURL + r.URL.String())
		if err != nil {
			t.Error(err)
			return
		}
		defer http.DefaultClient.CloseIdleConnections()
		defer resp.Body.Close()
		io.CopyN(w, resp.Body, 500_000)
		panic(http.ErrAbortHandler)
	}))
	defer cutter.Close()
	expectNumbered(t, command(t, cutter.URL+","+nodeURL, nil, "export", "--format", "ndjson"), pairs)

	lists.Store(0)
	name := filepath.Join(t.TempDir(), "all.json")
	got := command(t, cutter.URL, nil, "export", name)
	got.expect(t, exitFailed, "", " pairs, and could not be continued: ")
	got.expect(t, exitFailed, "", "nothing was left at "+name)
	if left, _ := filepath.Glob(name + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	lists.Store(0)
	got = command(t, cutter.URL, nil, "export")
	got.expect(t, exitFailed, "\"k000000\": 0,\n", "what was printed is not all of it")
	if json.Valid([]byte(got.out)) {
		t.Error("what was printed looks complete")
	}
}

// What docs/operations.md shows of export and import is what they do.
func TestDocumentedExportAndImport(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(doc), "\n## Data in and out\n")
	_, examples, _ := strings.Cut(section, "```console\n")
	examples, _, _ = strings.Cut(examples, "```")
	url, _, _ := realNode(t, nil)
	t.Chdir(t.TempDir())
	write(t, "store.json", `{"user:1": {"name":"Ada","balance":12345678901234567890.10}, "greeting": "hello"}`)
	var out strings.Builder
	commands := 0
	for line := range strings.Lines(examples) {
		if args, ok := strings.CutPrefix(line, "$ pxkv "); ok {
			got := command(t, url, nil, strings.Fields(args)...)
			out.WriteString(line + got.out + got.errors)
			commands++
		}
	}
	if out.String() != examples || commands < 4 {
		t.Errorf("the document shows\n%s\nand this is\n%s", examples, &out)
	}
}

// silentInput has a text, and then nothing that comes.
type silentInput struct {
	io.Reader
	silent func()        // called before nothing comes
	end    chan struct{} // ends it
}

func (s *silentInput) Read(p []byte) (int, error) {
	if n, err := s.Reader.Read(p); n > 0 || err == nil {
		return n, err
	}
	s.silent()
	<-s.end
	return 0, io.EOF
}

// An interrupted import of standard input ends, also when nothing comes from there, and leaves no file.
func TestInterruptedWhileWaitingForInput(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for want, args := range map[string][]string{
		"pxkv: interrupted while standard input was checked; nothing was written\n": {
			"import", "-", "--dry-run", "--format=ndjson"},
		"to read it twice: interrupted; nothing w": {"import", "-", "--strict", "--format=ndjson"},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		in := &silentInput{
			Reader: strings.NewReader("{\"key\":\"a\",\"value\":1}\n{\"key\":"),
			silent: func() { cancel(fmt.Errorf("interrupted")) }, end: make(chan struct{}),
		}
		got := commandContext(ctx, "http://127.0.0.1:1", in, args...)
		close(in.end)
		if got.code != 1 || !strings.Contains(got.errors, want) {
			t.Errorf("%v: %+v, want %q", args, got, want)
		}
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
