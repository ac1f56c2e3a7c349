package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// aNode is a node in a process of its own, on a directory, until it is killed.
func aNode(t *testing.T, dir string, more ...string) (url string, kill func()) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(os.Args[0], append([]string{"serve", "--data-dir", dir, "--partitions", "8", "--replicas", "1",
		"--http", "127.0.0.1:0", "--resp", "", "--peer", "127.0.0.1:0", "--gossip", "127.0.0.1:0", "--advertise",
		"127.0.0.1"}, more...)...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	kill = func() {
		if !ended {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			ended = true
		}
	}
	t.Cleanup(kill)
	address := regexp.MustCompile(` http="?(127\.0\.0\.1:[0-9]+)`)
	for end := time.Now().Add(20 * time.Second); ; {
		said, _ := os.ReadFile(log.Name())
		if found := address.FindSubmatch(said); found != nil {
			url = "http://" + string(found[1])
			if command(t, url, nil, "status", "--quiet").code == exitFine {
				return url, kill
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the node is not ready: %s", said)
		}
	}
}

// The directory of a node that encrypts and compresses is read with the node's key, and not without.
func TestExportOfAnEncryptedDirectory(t *testing.T) {
	temp := t.TempDir()
	key := func(name string) string {
		made := command(t, "", nil, "keys", "new")
		made.expect(t, exitFine, "", "")
		return write(t, filepath.Join(temp, name), made.out)
	}
	dir, right, wrong := filepath.Join(temp, "node"), key("right"), key("wrong")
	url, kill := aNode(t, dir, "--encryption-key-file", right, "--compression", "zstd")
	var many strings.Builder
	for i := range 500 {
		fmt.Fprintf(&many, "{\"key\":\"k%04d\",\"value\":\"%s\"}\n", i, strings.Repeat("v", 10*i))
	}
	command(t, url, strings.NewReader(many.String()), "import", "-").expect(t, exitFine, "imported 500 pairs", "")
	want := command(t, url, nil, "export", "--format", "ndjson")
	want.expect(t, exitFine, "", "exported 500 pairs")
	kill()
	before := printOf(t, dir)
	offline := func(args ...string) outcome {
		return command(t, "", nil, append([]string{"export", "--data-dir", dir, "--format", "ndjson"}, args...)...)
	}
	if got := offline("--encryption-key-file", right); got.out != want.out {
		got.expect(t, exitFine, "", "exported 500 pairs")
		t.Error("the directory has other pairs than the node had")
	}
	offline().expect(t, exitFailed, "", "--encryption-key-file or PXKV_ENCRYPTION_KEY")
	offline("--encryption-key-file", wrong).expect(t, exitFailed, "", "add the key that it was encrypted with")
	offline("--encryption-key-file", filepath.Join(temp, "none")).expect(t, exitFailed, "", "no such file")
	command(t, "", nil, "export", "--encryption-key-file", right).expect(t, exitUsage, "", "goes with --data-dir only")
	if printOf(t, dir) != before {
		t.Error("the directory was changed")
	}
}

// printOf tells all files of a directory: their names, contents and when they were changed.
func printOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := []byte("directory")
		if !d.IsDir() {
			content, err = os.ReadFile(name)
		}
		fmt.Fprintf(&all, "%s %v %v %x\n", name, info.Mode(), info.ModTime(), sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// What a node held that was killed is in its directory, which is not changed by a look at it.
func TestExportOfADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	url, kill := aNode(t, dir)
	do := func(args ...string) outcome { return command(t, url, nil, args...) }
	do("import", write(t, filepath.Join(t.TempDir(), "store"), store)).expect(t, exitFailed, "imported 6 pairs", "")
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, "{\"key\":\"k%04d\",\"value\":\"%s\"}\n", i, strings.Repeat("v", i%2000))
	}
	command(t, url, strings.NewReader(many.String()), "import", "-").expect(t, exitFine, "imported 5000 pairs", "")
	do("del", "k0001", "k0002").expect(t, exitFine, "", "")
	do("put", "gone", "x", "--ttl", "1ms").expect(t, exitFine, "", "")
	do("put", "last", "x").expect(t, exitFine, "", "")
	want := do("export", "--format", "ndjson")
	want.expect(t, exitFine, "", "exported 5005 pairs")
	offline := func(args ...string) outcome { return command(t, "", nil, append([]string{"export"}, args...)...) }
	offline("--data-dir", dir).expect(t, exitFailed, "", "in use by another process")
	kill()
	before := printOf(t, dir)
	name := filepath.Join(t.TempDir(), "all.ndjson.gz")
	offline("--data-dir", dir, name).expect(t, exitFine, "", "exported 5005 pairs to "+name)
	got := offline("--data-dir", dir, "--format", "ndjson")
	got.expect(t, exitFine, "", "exported 5005 pairs")
	if got.out != want.out {
		t.Errorf("the directory has other pairs than the node had, of %d and %d bytes", len(got.out), len(want.out))
	}
	offline("--data-dir", dir, "--prefix", "k000", "--where", "size < 5").
		expect(t, exitFine, `"k0003": "vvv"`, "exported 3 pairs")
	if printOf(t, dir) != before {
		t.Error("the directory was changed")
	}
	offline("--data-dir", dir, "--data-dir", dir).expect(t, exitFailed, "", "are of one node")
	offline("--data-dir", t.TempDir()).expect(t, exitFailed, "", "no data directory of a node")
	offline("--data-dir", dir, "--server", "x").expect(t, exitUsage, "", "--data-dir asks no node")
	offline("--partial").expect(t, exitUsage, "", "go with --data-dir only")
	offline("--data-dir", dir, "--with-uncommitted").expect(t, exitUsage, "", "goes with --partial only")
	offline("--data-dir", dir, "--where", "value.").expect(t, exitFailed, "", "at character")

	// It goes on as if nobody had looked.
	url, kill = aNode(t, dir)
	if again := do("export", "--format", "ndjson"); again.out != want.out {
		t.Error("the node has other pairs than before")
	}
	kill()

	// What is damaged is no half export.
	damaged := 0
	_ = filepath.WalkDir(filepath.Join(dir, "db"), func(name string, _ fs.DirEntry, _ error) error {
		if strings.HasSuffix(name, ".sst") {
			content, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if at := bytes.LastIndex(content, []byte("k")); at > 0 {
				content[len(content)/3] ^= 0xff
				damaged++
			}
			write(t, name, string(content))
		}
		return nil
	})
	if damaged == 0 {
		t.Skip("nothing was in a table yet")
	}
	os.Remove(name)
	// In a process of its own: a store that is damaged leaves its goroutines where they are.
	cmd := exec.Command(os.Args[0], "export", "--data-dir", dir, name)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	said, _ := cmd.CombinedOutput()
	got = outcome{code: cmd.ProcessState.ExitCode(), errors: string(said)}
	if _, err := os.Stat(name); err == nil || got.code != exitFailed {
		t.Errorf("a damaged directory: %+v, %v", got, err)
	}
	if left, _ := filepath.Glob(name + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	t.Log(got.errors)
}
