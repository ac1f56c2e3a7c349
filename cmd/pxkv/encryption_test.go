package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pxkv/persist/crypt"
)

// A key comes from a file or from the environment, is read anew each time, and what is no key says so.
func TestKeysComeFromAFileOrTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	key, other := crypt.NewKey(), crypt.NewKey()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good", "# mine\n"+key.Text()+"\n")
	for _, tc := range []struct{ file, env, text string }{
		{good, "", ""},
		{"", key.Text(), ""},
		{"", key.Text() + "," + other.Text(), ""},
		{filepath.Join(dir, "missing"), "", "no such file"},
		{write("empty", ""), "", "there is no key"},
		{write("malformed", "secret words\n"), "", "line 1: this is no key"},
		{write("short", key.Text()[:60]), "", "has 30 bytes, it must have 32"},
		{write("long", strings.Repeat("#\n", maxKeyFileBytes)), "", "more than 65536 bytes"},
		{"", "nonsense", "the key in PXKV_ENCRYPTION_KEY"},
		{dir, "", "is a directory"},
	} {
		t.Setenv(keyEnv, tc.env)
		f := encryptionFlag{file: tc.file}
		keys, err := f.keys()
		switch {
		case !f.given(), f.check() != nil:
			t.Errorf("%+v: not given, or refused: %v", tc, f.check())
		case tc.text == "" && (err != nil || keys[0] != key):
			t.Errorf("%+v: %v, %v", tc, keys, err)
		case tc.text != "" && (err == nil || !strings.Contains(err.Error(), tc.text)):
			t.Errorf("%+v: want %q, got %v", tc, tc.text, err)
		case err != nil && strings.Contains(err.Error(), key.Text()[:20]):
			t.Errorf("an error shows a key: %v", err)
		}
	}
	t.Setenv(keyEnv, key.Text())
	if err := (&encryptionFlag{file: good}).check(); err == nil || !strings.Contains(err.Error(), "both given") {
		t.Errorf("a key in both places: %v", err)
	}
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	f := encryptionFlag{file: good}
	f.warn(log)
	if out.Len() > 0 {
		t.Errorf("of a file that nobody else can read: %s", &out)
	}
	if err := os.Chmod(good, 0o640); err != nil {
		t.Fatal(err)
	}
	f.warn(log)
	if !strings.Contains(out.String(), "chmod 600") {
		t.Errorf("of a file that others can read: %s", &out)
	}
}

// What a command line says about keys and cannot mean is wrong usage; a directory that does not fit is not.
func TestKeysOnTheCommandLine(t *testing.T) {
	t.Setenv(keyEnv, "")
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	made := command(t, "", nil, "keys", "new")
	made.expect(t, exitFine, "", "")
	if _, err := crypt.ParseKeys(made.out); err != nil {
		t.Fatalf("keys new prints %q: %v", made.out, err)
	}
	if err := os.WriteFile(key, []byte(made.out), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "", nil, "serve", "--store=memory", "--encryption-key-file="+key).
		expect(t, exitUsage, "", "--store memory keeps nothing on a disk")
	node := filepath.Join(dir, "node")
	if err := os.MkdirAll(filepath.Join(node, "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(node, "log", "1.log"), []byte("plain"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, of := range [][]string{
		{"serve", "--http=127.0.0.1:0", "--resp=", "--peer=127.0.0.1:0", "--gossip=127.0.0.1:0"}, {"rebuild", "7"},
	} {
		args := append(of, "--data-dir="+node, "--encryption-key-file="+key)
		command(t, "", nil, args...).expect(t, exitFailed, "", "is not encrypted, and a key is given")
	}
	if _, err := os.Stat(filepath.Join(node, "db")); err == nil {
		t.Error("the directory was changed")
	}
}

// The commands speak to one node, or to all.
func TestKeysOfANode(t *testing.T) {
	t.Parallel()
	posts := map[string]int{}
	var urls []string
	member := func(name string, fails bool) *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/cluster":
				fmt.Fprintf(w, `{"id":"00000000000000c1","node":"n1","members":[`+
					`{"name":"n1","addresses":{"http":%q}},{"name":"n2","addresses":{"http":%q}}]}`, urls[0], urls[1])
			case r.Method == http.MethodPost && fails:
				w.WriteHeader(http.StatusConflict)
				fmt.Fprint(w, `{"error":"The keys are not rotated: no key file","code":"encryption"}`)
			default:
				if r.Method == http.MethodPost {
					posts[name]++
				}
				fmt.Fprint(w, `{"encrypted":true,"wrapped_by":"5d2cb877beea6611","rotating":true,"rotations":1,`+
					`"data_keys":[{"id":1,"made":"2026-01-01T00:00:00Z","current":false,"files":6,"bytes":99},`+
					`{"id":2,"made":"2026-01-02T00:00:00Z","current":true,"files":1,"bytes":7}]}`)
			}
		}))
	}
	a, b := member("n1", false), member("n2", true)
	defer a.Close()
	defer b.Close()
	urls = []string{a.URL[len("http://"):], b.URL[len("http://"):]}
	command(t, a.URL, nil, "keys").expect(t, exitFine, "wrapped by key 5d2cb877beea6611", "")
	command(t, a.URL, nil, "keys").
		expect(t, exitFine, "1         2026-01-01T00:00:00Z  old, being replaced  6      99", "")
	var view map[string]any
	if err := json.Unmarshal([]byte(command(t, a.URL, nil, "keys", "--output=json").out), &view); err != nil ||
		view["rotating"] != true {
		t.Errorf("%v, %v", view, err)
	}
	rotate := func(url string, args ...string) outcome {
		return commandContext(t.Context(), "", nil, append([]string{"keys", "rotate", "--server=" + url}, args...)...)
	}
	rotate(a.URL).expect(t, exitFine, "current", "")
	rotate(b.URL).expect(t, exitFailed, "", "no key file")
	rotate(a.URL, "--all").expect(t, exitFailed, "n1: wrapped by", "n2: ")
	rotate(a.URL, "--all", "-o", "json").expect(t, exitFailed, `"error": `, "no key file")
	rotate(a.URL, "--output=xml").expect(t, exitUsage, "", "--output must be")
	if posts["n1"] != 3 {
		t.Errorf("%v rotations", posts)
	}
}
