package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pxkv/cmd/pxkv/load"
)

func TestBench(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]load.Result{
		"bench put":             {Target: load.PxkvRaw, Mode: load.Put},
		"bench get":             {Target: load.PxkvRaw, Mode: load.Get},
		"bench mix --dist zipf": {Target: load.PxkvRaw, Mode: load.Mix},
		"bench":                 {Target: load.PxkvRaw, Mode: load.Mix},
	} {
		n, url := newFakeNode(t)
		args := append(strings.Fields(line), "--requests", "200", "--keys", "20", "--connections", "3", "--warmup", "0",
			"--output", "json")
		got := command(t, url, nil, args...)
		var r load.Result
		if err := json.Unmarshal([]byte(got.out), &r); err != nil {
			t.Fatalf("%s: %v in %+v", line, err, got)
		}
		if got.code != exitFine || r.Target != want.Target || r.Mode != want.Mode || r.Succeeded != 200 ||
			r.NotFound != 0 {
			t.Errorf("%s: code %d, %+v", line, got.code, r)
		}
		if want.Mode != load.Put && len(n.items) != 20 {
			t.Errorf("%s prepared %d keys, want 20", line, len(n.items))
		}
	}
}

func TestBenchThatReachesNobodyFails(t *testing.T) {
	t.Parallel()
	url := answering(t, 503, `{"error":"x","code":"unavailable"}`)
	command(t, url, nil, "bench", "put", "--requests", "3", "--connections", "1", "--warmup", "0").
		expect(t, exitFailed, "503 unavailable", "no request succeeded")
}

func TestProgressLine(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := &progressLine{w: &b}
	l.report(load.Progress{Phase: "measure", Elapsed: time.Second, Done: 100})
	l.report(load.Progress{Phase: "measure", Elapsed: 2 * time.Second, Done: 350, Failed: 7})
	l.clear()
	for _, want := range []string{"100/s", "250/s", "7 errors"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in %q", want, b.String())
		}
	}
	if !strings.HasSuffix(b.String(), eraseLine) {
		t.Error("the line must be erased in the end")
	}
	quiet := newProgressLine(&b)
	before := b.Len()
	quiet.report(load.Progress{Phase: "measure", Elapsed: time.Second})
	quiet.clear()
	if b.Len() != before {
		t.Error("there must be no progress line where nobody watches")
	}
}

func TestBenchFsync(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	command(t, "", nil, "bench", "fsync", "--dir", dir, "--count", "3").expect(t, exitFine, "fdatasync", "")
	var r load.FsyncResult
	got := command(t, "", nil, "bench", "fsync", "--dir", dir, "--count", "3", "--output", "json")
	if err := json.Unmarshal([]byte(got.out), &r); err != nil || r.Fsync.Count != 3 {
		t.Fatalf("%v: %s", err, got.out)
	}
}

func TestServeBareServesUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"bench", "serve-bare", "--size", "100"}, nil, writer, io.Discard)
	}()
	url, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	command(t, "", nil, "bench", "--target", "raw", "--servers", strings.TrimSpace(url), "--requests", "50",
		"--connections", "2", "--warmup", "0").
		expect(t, exitFine, "raw get", "")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(strings.TrimSpace(url))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); len(body) != 100 {
		t.Fatalf("%d bytes", len(body))
	}
	cancel()
	if code := <-ended; code != exitFine {
		t.Fatalf("ended with %d", code)
	}
}
