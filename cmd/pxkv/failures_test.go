package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// answering returns the URL of a server that gives every request the same answer.
func answering(t *testing.T, status int, body string, headers ...string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range headers {
			w.Header().Set(name, "5")
		}
		w.Header().Set("Retry-After", "2")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestRefusalsOfTheNode(t *testing.T) {
	t.Parallel()
	const unavailable = `{"error":"partition 3 has no leader","code":"unavailable"}`
	for _, tc := range []struct {
		name     string
		status   int
		body     string
		get, put int
		text     string
	}{
		{"outcome unknown", 504, `{"error":"Outcome unknown","code":"unknown"}`, exitFailed, exitUnknown,
			"Outcome unknown"},
		{"proxy broke", 502, `<html>bad gateway</html>`, exitFailed, exitUnknown, "bad gateway"},
		{"bug", 500, ``, exitFailed, exitUnknown, "Internal Server Error"},
		{"unavailable", 503, unavailable, exitFailed, exitFailed,
			"partition 3 has no leader. It is safe to try again, in 2 s."},
		{"full", 507, `{"error":"disk is full","code":"full"}`, exitFailed, exitFailed, "disk is full"},
		{"too large", 413, `{"error":"too large","code":"too_large"}`, exitFailed, exitFailed, "413: too large"},
		{"another server", 404, `404 page not found`, exitFailed, exitFailed,
			"is this the HTTP address of a pxkv node?"},
		{"a redirect", 301, ``, exitFailed, exitFailed, `redirect to "/elsewhere"`},
	} {
		url := answering(t, tc.status, tc.body)
		t.Log(tc.name)
		command(t, url, nil, "get", "k").expect(t, tc.get, "", tc.text)
		command(t, url, nil, "put", "k", "v").expect(t, tc.put, "", tc.text)
		command(t, url, nil, "del", "k").expect(t, tc.put, "", tc.text)
	}
}

// A 404 of a partition is about the key, whatever it says; any other is about the path.
func TestAnAbsentKeyIsToldFromAnUnknownPathByItsPartition(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"error":"Key not found"}`, `{"error":"no such key"}`, ""} {
		url := answering(t, 404, body, headerPartition)
		command(t, url, nil, "get", "k").expect(t, exitNotFound, "", "key not found")
		command(t, url, nil, "del", "k").expect(t, exitNotFound, "", "key not found")
		url = answering(t, 404, body)
		command(t, url, nil, "get", "k").expect(t, exitFailed, "", "is this the HTTP address of a pxkv node?")
	}
}

func TestConnectionRefusedIsCertainlyNotDone(t *testing.T) {
	t.Parallel()
	const url = "http://127.0.0.1:1" // a port that nobody is given
	for _, args := range [][]string{
		{"get", "k"}, {"put", "k", "v"}, {"del", "k"}, {"list"}, {"members"}, {"partitions"}, {"status"},
	} {
		command(t, url, nil, args...).expect(t, exitFailed, "",
			url+" refuses connections: is pxkv serve running there?")
	}
}

func TestWriteWithoutAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	hangup := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(hangup.Close)
	command(t, hangup.URL, nil, "put", "k", "v").expect(t, exitUnknown, "", "may or may not have been applied")
	command(t, hangup.URL, nil, "del", "k").expect(t, exitUnknown, "", "the connection broke")
	command(t, hangup.URL, nil, "get", "k").expect(t, exitFailed, "", "no answer from "+hangup.URL)
}

// silent returns the URL of a server that takes requests and never answers, and a channel
// that gives a value for each request.
func silent(t *testing.T, first string) (string, <-chan struct{}) {
	t.Helper()
	arrived := make(chan struct{}, 10)
	var over sync.WaitGroup
	over.Add(1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if first != "" {
			io.WriteString(w, first)
			w.(http.Flusher).Flush()
		}
		arrived <- struct{}{}
		over.Wait()
	}))
	t.Cleanup(server.Close)
	t.Cleanup(over.Done) // runs before Close, which waits for the handlers
	return server.URL, arrived
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	// until makes a call with longer and longer timeouts, until one arrived: a busy machine may take long for that.
	until := func(
		timeout time.Duration, url string, arrived <-chan struct{}, code int, out, errors string, args ...string,
	) {
		t.Helper()
		for ; ; timeout *= 2 {
			got := command(t, url, nil, append(args, "--timeout", timeout.String())...)
			select {
			case <-arrived:
				got.expect(t, code, out, strings.ReplaceAll(errors, "TIMEOUT", timeout.String()))
				return
			default:
			}
			got.expect(t, exitFailed, "", "nothing came back for "+timeout.String())
		}
	}
	url, arrived := silent(t, "")
	until(20*time.Millisecond, url, arrived, exitFailed, "", "nothing came back for TIMEOUT", "get", "k")
	until(20*time.Millisecond, url, arrived, exitUnknown, "", "nothing came back for TIMEOUT", "put", "k", "v")
	stuck, arrived := silent(t, `{"a":"1",`)
	until(time.Second, stuck, arrived, exitFailed, "a\t\"1\"", "no answer in time", "list")
}

// A node hears how long it may take, so that it answers "not done" before nobody listens any more.
func TestTheNodeHearsTheTimeout(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query().Get("timeout")
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "No answer in time", "unavailable")
	}))
	t.Cleanup(server.Close)
	for _, args := range [][]string{
		{"get", "k"}, {"put", "k", "v"}, {"del", "k"}, {"del", "--prefix", "k", "--yes"},
		{"incr", "k"}, {"ttl", "k"}, {"expire", "k", "1m"}, {"list"},
	} {
		for given, want := range map[string]string{
			"10s": "9.5s", "3s": "2.5s", "1s": "750ms", "20ms": "15ms", "60s": "59.5s",
			"2m": "1m0s", "0": "1m0s", // the most that a node takes
		} {
			got := command(t, server.URL, nil, append(args, "--timeout", given)...)
			var sent string
			for heard := false; !heard; {
				select {
				case sent = <-asked:
					heard = true
				case <-time.After(time.Second): // on a busy machine 20 ms may be over before it is connected
					got = command(t, server.URL, nil, append(args, "--timeout", given)...)
				}
			}
			if got.code != exitFailed && given != "20ms" || sent != want {
				t.Errorf("%v --timeout %s: the node heard %q, exit %d: %s", args, given, sent, got.code, got.errors)
			}
		}
	}
	// What is told of the cluster is there at once, and takes no parameters.
	command(t, server.URL, nil, "members")
	if sent := <-asked; sent != "" {
		t.Errorf("members: %q", sent)
	}
}

func TestInterruption(t *testing.T) {
	t.Parallel()
	url, arrived := silent(t, "")
	for _, tc := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"get", "k"}, exitFailed, "interrupted while asking"},
		{[]string{"put", "k", "v"}, exitUnknown, "interrupted before the answer came"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan outcome, 1)
		go func() { ended <- commandContext(ctx, url, nil, tc.args...) }()
		<-arrived
		cancel()
		(<-ended).expect(t, tc.code, "", tc.text)
	}
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"nonsense", "gett k", "get", "get a b", "put k", "put k v w", "del", "list extra", "members extra",
		"version extra",
		"get k --nonsense", "get k --timeout soon", "get k --timeout -1s", "get k --output yaml", "list --limit -1",
		"list --limit many",
		"get k --server ftp://x", "get k --server http://", "get k --server http://x?y",
		"get " + strings.Repeat("k", 5000),
		"put k v --if-absent --if-match 3", "put k v --if-match -3",
		"bench nonsense", "bench put get", "bench --target redis", "bench --api grpc", "bench --api json --target etcd",
		"bench --keys 0",
		"bench put --target raw", "bench --dist normal", "bench --servers ftp://x", "bench fsync --count 0",
		"bench serve-bare --size -1",
		"serve --replace-after 5s", "serve --replace-after -10m", "serve --replace-after soon",
		"serve --zone " + strings.Repeat("z", 5000), "serve --zone \xff",
		"serve --name \xff", "serve --name a\x01", "serve --name " + strings.Repeat("n", 129),
		"serve --cluster \xff", "serve --cluster " + strings.Repeat("c", 256),
		"serve --advertise 192.0.2.1:7946", "serve --advertise a:7946", "serve --advertise [2001:db8::1]",
		"serve --advertise http://a",
		"help nonsense", "completion nonsense", "completion bash extra",
	} {
		got := command(t, "", nil, strings.Fields(line)...)
		if got.code != exitUsage || !strings.HasPrefix(got.errors, "pxkv: ") ||
			!strings.Contains(got.errors, "--help") {
			t.Errorf("%q: want code %d and where to read on, got %+v", line, exitUsage, got)
		}
	}
	command(t, "", nil, "get", "").expect(t, exitUsage, "", "Missing key")
	command(t, "", nil, "gett").expect(t, exitUsage, "", `did you mean "get"?`)
	command(t, "", nil, "help", "gett").expect(t, exitUsage, "", `did you mean "get"?`)
	command(t, "", nil, "help", "bench", "serve-bare").expect(t, exitFine, "pxkv bench serve-bare", "")
	command(t, "", nil, "help").expect(t, exitFine, "Exit codes", "")
	command(t, "", nil, "completion").expect(t, exitFine, "zsh", "")
	command(t, "", nil, "completion", "bash").expect(t, exitFine, "__start_pxkv", "")
}

func TestAValueThatAFlagCannotHaveIsNamed(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"leave n1 --plan -1":                            `--plan is "-1"; it must be a whole number, 0 or more`,
		"leave n1 --plan 18446744073709551616":          `--plan is "18446744073709551616", which is out of range`,
		"leave n1 --wait=perhaps":                       `--wait is "perhaps"; it must be true or false`,
		"leave n1 --wait-timeout 5":                     `--wait-timeout is "5"; it must be a duration, as 90s`,
		"put k v --ttl soon":                            `--ttl: "soon" is neither seconds nor`,
		"leave n1 --plan":                               "flag needs an argument: --plan",
		"get k --timeout " + strings.Repeat("9x", 1000): `9x9x"; it must be a duration`,
	} {
		got := command(t, "", nil, strings.Fields(line)...)
		if got.expect(t, exitUsage, "", want); strings.Contains(got.errors, "strconv") || len(got.errors) > 300 {
			t.Errorf("%s: %s", line, got.errors)
		}
	}
}

func TestHelpNamesEveryCommandAndCode(t *testing.T) {
	t.Parallel()
	got := command(t, "", nil)
	for _, want := range []string{"serve", "get", "put", "del", "list", "export", "import", "members", "partitions",
		"status", "plan", "leave", "remove", "bench", "version", "Exit codes", "PXKV_SERVER"} {
		got.expect(t, exitFine, want, "")
	}
	for _, unbuilt := range []string{"watch", "backup", "serve-bare"} {
		if strings.Contains(got.out, unbuilt) {
			t.Errorf("help offers %s", unbuilt)
		}
	}
}

func TestServerComesFromTheEnvironment(t *testing.T) {
	n, url := newFakeNode(t)
	t.Setenv(serverEnv, strings.TrimPrefix(url, "http://")) // without a scheme: http
	command(t, "", nil, "put", "k", "v").expect(t, exitFine, "created", "")
	if len(n.items) != 1 {
		t.Fatal("the put went elsewhere")
	}
	command(t, url+"/", nil, "get", "k").expect(t, exitFine, "v", "")
}

func Example_parseServer() {
	for _, s := range []string{"127.0.0.1:8080", "https://kv.example.com/store/", "ftp://x"} {
		fmt.Println(parseServer(s))
	}
	// Output:
	// http://127.0.0.1:8080 <nil>
	// https://kv.example.com/store <nil>
	// <nil> server "ftp://x" is not an address like http://127.0.0.1:8080
}
