//go:build processes

package processes

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// importPairs is how many pairs TestMillionPairs has, unless IMPORT_PAIRS says so: make million has a million, which
// takes minutes on a small machine.
const importPairs = 200_000

// kills is how often its import is killed.
const kills = 5

// pxkv runs the program under test as a command to its end, and returns what it said.
func pxkv(t *testing.T, args ...string) (said string, code int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = cleanEnvironment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// mustDo is pxkv, and fails the test unless the command ends well.
func mustDo(t *testing.T, args ...string) string {
	t.Helper()
	said, code := pxkv(t, args...)
	if code != 0 {
		t.Fatalf("pxkv %s: exit code %d\n%s", strings.Join(args, " "), code, said)
	}
	return said
}

func servers(nodes []*node) string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.url())
	}
	return "--server=" + strings.Join(all, ",")
}

// pairLine is how line i of the file begins, and its pair in an export.
func pairLine(i int) string { return fmt.Sprintf(`{"key":"k%08d","value":"value of %d"`, i, i) }

// writePairs writes a file of pairs, in the order of their keys.
func writePairs(t *testing.T, name string, pairs int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range pairs {
		w.WriteString(pairLine(i) + "}\n")
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// comparePairs requires that an export has exactly these pairs.
func comparePairs(t *testing.T, name string, pairs int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, i := bufio.NewScanner(f), 0
	for ; lines.Scan(); i++ {
		if !strings.HasPrefix(lines.Text(), pairLine(i)+",") {
			t.Fatalf("line %d of %s is %s", i+1, name, lines.Text())
		}
	}
	if err := lines.Err(); err != nil || i != pairs {
		t.Fatalf("%s has %d pairs (%v), want %d", name, i, err, pairs)
	}
}

// TestMillionPairs imports many pairs. The import is killed five times, at random points, and run again: in the end
// there are exactly these pairs, and an export has them as they were. It prints how fast that was beside batches that
// somebody sends who has them ready.
func TestMillionPairs(t *testing.T) {
	pairs := importPairs
	if text := os.Getenv("IMPORT_PAIRS"); text != "" {
		var err error
		if pairs, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	c := startThree(t)
	dir := t.TempDir()
	file, all := filepath.Join(dir, "pairs.ndjson"), servers(c.nodes)
	writePairs(t, file, pairs)
	rng := draw(t, "kills")
	begin := time.Now()
	for i := range kills {
		// In its first half: it must not end before that is seen and it is killed.
		killImport(t, file, c.nodes, pairs/(2*kills)*i+rng.IntN(pairs/(2*kills)))
	}
	said := mustDo(t, "import", file, all)
	if !strings.Contains(said, "going on behind pair ") || !strings.Contains(said,
		fmt.Sprintf("imported %d pairs, skipped 0, bad 0",
			pairs)) {
		t.Errorf("the last import said %s", said)
	}
	t.Logf("imported %d pairs in %v, killed %d times", pairs, round(time.Since(begin)), kills)
	begin = time.Now()
	out := filepath.Join(dir, "out.ndjson")
	mustDo(t, "export", out, all)
	t.Logf("exported them in %v", round(time.Since(begin)))
	comparePairs(t, out, pairs)

	measured := pairs / 10
	rate := ratesOfBatches(t, c.nodes, measured)
	short := filepath.Join(dir, "short.ndjson")
	writePairs(t, short, measured)
	begin = time.Now()
	mustDo(t, "import", short, all)
	imported := float64(measured) / time.Since(begin).Seconds()
	t.Logf("over pairs that are there: import %.0f pairs/s, batches of 1,000 that were ready %.0f pairs/s: %.0f %%",
		imported,
		rate, 100*imported/rate)
}

// killImport runs an import, and kills it when a pair is there. How far it is by its own word it writes down once a
// second, in which it may end.
func killImport(t *testing.T, file string, nodes []*node, pair int) {
	t.Helper()
	cmd := exec.Command(program, "import", file, servers(nodes))
	cmd.Env = cleanEnvironment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	defer func() {
		_ = cmd.Process.Kill()
		<-ended
	}()
	for end := time.Now().Add(5 * time.Minute); ; {
		select {
		case <-ended:
			t.Fatalf("the import ended before pair %d was seen and it was killed: %s", pair, &said)
		case <-time.After(5 * time.Millisecond):
		}
		resp, err := http.Get(fmt.Sprintf("%s/kv/k%08d", nodes[0].url(), pair))
		if err == nil {
			resp.Body.Close()
		}
		switch {
		case err == nil && resp.StatusCode == http.StatusOK:
			return
		case time.Now().After(end):
			t.Fatalf("the import does not come to pair %d: %v", pair, err)
		}
	}
}

// ratesOfBatches sends batches of the first pairs, four at a time, and returns how many pairs a second are written.
func ratesOfBatches(t *testing.T, nodes []*node, pairs int) float64 {
	t.Helper()
	var bodies [][]byte
	for at := 0; at < pairs; at += 1000 {
		body := []byte(`{"ops":[`)
		for i := at; i < min(at+1000, pairs); i++ {
			if i > at {
				body = append(body, ',')
			}
			body = append(append(body, `{"op":"put",`...), pairLine(i)[1:]...)
			body = append(body, '}')
		}
		bodies = append(bodies, append(body, "]}"...))
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	begin := time.Now()
	var next atomic.Int64
	var senders sync.WaitGroup
	for s := range 4 {
		senders.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(bodies) {
					return
				}
				resp, err := client.Post(nodes[s%len(nodes)].url()+"/batch", "application/json",
					bytes.NewReader(bodies[i]))
				if err != nil {
					t.Error(err)
					return
				}
				answer, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || bytes.Contains(answer, []byte(`"error"`)) {
					t.Errorf("a batch: %s, %v, %.200s", resp.Status, err, answer)
				}
			}
		})
	}
	senders.Wait()
	return float64(pairs) / time.Since(begin).Seconds()
}

// TestExportOfDirectories kills three nodes while they are written to. The directories of any two of them have all that
// was acknowledged, and one alone says what it may lack. Nothing in them is changed by that.
func TestExportOfDirectories(t *testing.T) {
	c := startThree(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "pairs.ndjson")
	const pairs = 20_000
	writePairs(t, file, pairs)
	mustDo(t, "import", file, servers(c.nodes))
	acknowledged, maybe := writeUntilKilled(t, c)
	t.Logf("%d writes were acknowledged, %d keys have a write that may or may not be done", len(acknowledged),
		len(maybe))
	before := printOf(t, c.nodes)

	for _, nodes := range [][]*node{c.nodes[:2], c.nodes[1:], {c.nodes[2], c.nodes[0]}, c.nodes} {
		out := filepath.Join(dir, "out.ndjson")
		args := []string{"export", out}
		var names []string
		for _, n := range nodes {
			args, names = append(args, "--data-dir", n.dir), append(names, n.name)
		}
		begin := time.Now()
		said := mustDo(t, args...)
		t.Logf("%v, in %v: %s", names, round(time.Since(begin)), said)
		if strings.Contains(said, "missing") || strings.Contains(said, "not used") {
			t.Errorf("%v: something is missing: %s", names, said)
		}
		checkExport(t, out, pairs, acknowledged, maybe)
	}
	for _, n := range c.nodes {
		out := filepath.Join(dir, n.name+".ndjson")
		said, code := pxkv(t, "export", out, "--data-dir", n.dir)
		if _, err := os.Stat(out); code != 1 || err == nil || !strings.Contains(said,
			"acknowledged writes of partitions 0-63 may be "+
				"missing") {
			t.Errorf("%s alone: %d, %v, %s", n.name, code, err, said)
		}
		said = mustDo(t, "export", out, "--data-dir", n.dir, "--partial")
		t.Logf("%s alone: %s", n.name, said)
		left := exportOf(t, out)
		said = mustDo(t, "export", out, "--data-dir", n.dir, "--partial", "--with-uncommitted")
		t.Logf("%s alone, with what may not be acknowledged: %s", n.name, said)
		if taken := exportOf(t, out); len(taken) < len(left) || len(left) < pairs {
			t.Errorf("%s alone has %d pairs, and %d with what may not be acknowledged", n.name, len(left), len(taken))
		}
	}
	if after := printOf(t, c.nodes); after != before {
		t.Error("the directories were changed")
	}
	// And the nodes are as they were.
	for _, n := range c.nodes {
		n.start()
	}
	c.awaitReady()
	out := filepath.Join(dir, "again.ndjson")
	mustDo(t, "export", out, servers(c.nodes))
	checkExport(t, out, pairs, acknowledged, maybe)
	said, code := pxkv(t, "export", out, "--data-dir", c.nodes[0].dir)
	if code != 1 || !strings.Contains(said, "in use by another process") {
		t.Errorf("a directory in use: %d, %s", code, said)
	}
}

// writeUntilKilled writes numbers to keys through all nodes until these are killed, all at once. It returns the last
// number of each key that was acknowledged, and the keys that were being written.
func writeUntilKilled(t *testing.T, c *cluster) (acknowledged map[string]int, maybe map[string][]int) {
	t.Helper()
	var mu sync.Mutex
	acknowledged, maybe = map[string]int{}, map[string][]int{}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	var writers sync.WaitGroup
	var written atomic.Int64
	for w := range 12 {
		writers.Go(func() {
			for i := 1; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("w%02d-%02d", w, i%40)
				req, err := http.NewRequest(http.MethodPut, c.nodes[w%3].url()+"/kv/"+key,
					strings.NewReader(strconv.Itoa(i)))
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := client.Do(req)
				mu.Lock()
				if err == nil && resp.StatusCode < 300 {
					acknowledged[key] = i
					written.Add(1)
				} else {
					maybe[key] = append(maybe[key], i)
				}
				mu.Unlock()
				if err != nil {
					return
				}
				resp.Body.Close()
			}
		})
	}
	await(t, "much is written", time.Minute, func() error {
		if n := written.Load(); n < 3000 {
			return fmt.Errorf("only %d writes", n)
		}
		return nil
	})
	for _, n := range c.nodes {
		n.process.signal(syscall.SIGKILL)
	}
	stop()
	writers.Wait()
	for _, n := range c.nodes {
		n.process.kill()
	}
	return acknowledged, maybe
}

// exportOf reads an export.
func exportOf(t *testing.T, name string) map[string]string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string]string{}
	for d := json.NewDecoder(f); ; {
		var pair struct{ Key, Value string }
		if err := d.Decode(&pair); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[pair.Key] = pair.Value
	}
}

// checkExport requires that an export has what was imported, of each key the last write that was acknowledged, or one
// after it that may have been done, and nothing else.
func checkExport(t *testing.T, name string, pairs int, acknowledged map[string]int, maybe map[string][]int) {
	t.Helper()
	all := exportOf(t, name)
	for i := range pairs {
		key := fmt.Sprintf("k%08d", i)
		if want := fmt.Sprintf("value of %d", i); all[key] != want {
			t.Fatalf("%s: %s is %q, want %q", name, key, all[key], want)
		}
		delete(all, key)
	}
	for key, number := range acknowledged {
		got, err := strconv.Atoi(all[key])
		if err != nil || got != number && !slices.Contains(maybe[key], got) || got < number {
			t.Errorf("%s: %s is %q, acknowledged was %d, perhaps done %v", name, key, all[key], number, maybe[key])
		}
		delete(all, key)
	}
	for key, value := range all {
		if got, err := strconv.Atoi(value); err != nil || !slices.Contains(maybe[key], got) {
			t.Errorf("%s: %s is %q, and was not written", name, key, value)
		}
	}
}

// printOf tells all files of the nodes' directories: their names, contents and when they were changed.
func printOf(t *testing.T, nodes []*node) string {
	t.Helper()
	var all strings.Builder
	for _, n := range nodes {
		err := filepath.WalkDir(n.dir, func(name string, d fs.DirEntry, err error) error {
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
	}
	return all.String()
}
