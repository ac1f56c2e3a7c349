//go:build processes

package processes

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
)

// balancerDoc holds the configurations under test, each in a fence of its balancer's name.
const balancerDoc = "../../docs/load-balancer.md"

// TestHAProxy runs docs/load-balancer.md: a node that is killed costs no write that is not under way, one that is
// restarted costs none, and what still has a majority is served when no node is ready.
func TestHAProxy(t *testing.T) {
	program := needProgram(t, "haproxy")
	c := startThree(t)
	b := startBalancer(t, c, program, func(dir, config string) []string {
		file := filepath.Join(dir, "haproxy.cfg")
		writeFile(t, file, config)
		return []string{"-db", "-f", file}
	})
	b.passesEverything(t, c)
	b.outlivesANode(t, c, func(sum loadcheck.Summary) error {
		if sum.Unknown > 0 {
			return fmt.Errorf("%d writes ended unknown although no connection came about", sum.Unknown)
		}
		return nil
	})

	b.outlivesRestarts(t, c)
	r := dialRedis(t, b.resp)
	if got := r.do([]string{"SET", "through", "haproxy"}, []string{"GET", "through"}); got[0] != "+OK" ||
		got[1] != `$"haproxy"` {
		t.Errorf("Redis through HAProxy answers %q", got)
	}
	c.nodes[1].process.kill()
	c.nodes[2].process.kill()
	await(t, "one of three nodes still answers stale reads", readyAfter, func() error {
		answer, err := b.ask("GET", "/kv/through?consistency=stale", nil)
		if err == nil && string(answer) != "haproxy" {
			err = fmt.Errorf("the answer is %q", answer)
		}
		return err
	})
}

// TestNginx does it with nginx, which finds a dead node only by a request that fails.
func TestNginx(t *testing.T) {
	program := needProgram(t, "nginx")
	c := startThree(t)
	b := startBalancer(t, c, program, func(dir, config string) []string {
		writeFile(t, filepath.Join(dir, "pxkv.conf"), config)
		user := ""
		if os.Getuid() == 0 {
			user = "user root;\n" // its workers must reach the directory of the test
		}
		temporary := ""
		for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			temporary += fmt.Sprintf("%s_temp_path %s;\n", name, filepath.Join(dir, name))
		}
		file := filepath.Join(dir, "nginx.conf")
		writeFile(t, file,
			user+"daemon off;\nerror_log stderr;\npid nginx.pid;\nevents {}\nhttp {\naccess_log off;\n"+
				temporary+"include pxkv.conf;\n}\n")
		return []string{"-p", dir, "-e", "stderr", "-c", file}
	})
	b.passesEverything(t, c)
	b.outlivesANode(t, c, func(sum loadcheck.Summary) error {
		if most := 10; sum.Unknown > most { // seconds without the node are few
			return fmt.Errorf("%d writes ended unknown, want at most %d", sum.Unknown, most)
		}
		return nil
	})
}

// needProgram returns the path of a balancer, or skips the test.
func needProgram(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(path); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed: on Debian, apt-get install %s", name, name)
	return ""
}

// balancer is a balancer in front of a cluster.
type balancer struct {
	node // as which clients see it
}

// startBalancer runs a balancer with what the document says, in which only addresses are others, until
// the end of the test. line writes the configuration into a directory and returns the command line.
func startBalancer(t *testing.T, c *cluster, program string, line func(dir, config string) []string) *balancer {
	t.Helper()
	text, err := os.ReadFile(balancerDoc)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(program)
	_, config, found := strings.Cut(string(text), "\n```"+name+"\n")
	config, _, ended := strings.Cut(config, "\n```\n")
	if !found || !ended {
		t.Fatalf("%s has no configuration of %s", balancerDoc, name)
	}
	b := &balancer{node{t: t, name: name, http: freeAddress(t), resp: freeAddress(t)}}
	replace := []string{
		"bind :8000", "bind " + b.http, "listen 8000", "listen " + b.http, "bind :6000", "bind " + b.resp,
	}
	for _, n := range c.nodes {
		replace = append(replace, n.name+":8080", n.http, n.name+":6379", n.resp)
	}
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(t.ArtifactDir(), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the process has a descriptor of its own
	cmd := exec.Command(program, line(dir, strings.NewReplacer(replace...).Replace(config)+"\n")...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if said, _ := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s said:\n%s", name, said)
		}
	})
	await(t, name+" passes requests on", readyAfter, b.ready)
	return b
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ask makes a request through the balancer and returns the answer to it, if that is a success.
func (b *balancer) ask(method, path string, body []byte, header ...string) ([]byte, error) {
	req, err := http.NewRequest(method, b.url()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.200s", method, path, res.Status, answer)
	}
	return answer, err
}

// passesEverything asserts that keys, values, conditions and errors come through as they are.
func (b *balancer) passesEverything(t *testing.T, c *cluster) {
	t.Helper()
	large := bytes.Repeat([]byte("0123456789abcdef"), 8<<20/16)
	for path, value := range map[string][]byte{"/kv/plain": []byte("v"),
		"/kv/a%2Fb%2F%2Fc%20%25d%FF": []byte(
			"escaped"), "/kv/a//b/../c": []byte("slashes"), "/kv/large": large, "/kv/empty": {}} {
		if _, err := b.ask("PUT", path, value); err != nil {
			t.Fatal(err)
		}
		direct := &balancer{node: *c.nodes[1]}
		for _, way := range []*balancer{b, direct} {
			if got, err := way.ask("GET", path, nil); err != nil || !bytes.Equal(got, value) {
				t.Errorf("%s through %s: %d bytes, want %d: %v", path, way.name, len(got), len(value), err)
			}
		}
		if _, err := b.ask("PUT", path, value, "If-None-Match", "*"); err == nil ||
			!strings.Contains(err.Error(), "412") {
			t.Errorf("PUT %s of a key that is there, if there is none: %v", path, err)
		}
	}
	// A page that comes from the same address may write, and no other one: it is the Host that says which it is.
	if _, err := b.ask("PUT", "/kv/page", nil, "Origin", b.url()); err != nil {
		t.Errorf("a page of %s: %v", b.url(), err)
	}
	if _, err := b.ask("PUT", "/kv/page", nil, "Origin", "http://192.0.2.1"); err == nil ||
		!strings.Contains(err.Error(), "cross_site") {
		t.Errorf("a page of another site: %v", err)
	}
	for _, tc := range []struct {
		method, path, want string
		body               []byte
	}{
		{"PUT", "/kv/larger", `413 Request Entity Too Large: {"error":`, append(large, 'x')},
		{"GET", "/kv?key=nothing", `404 Not Found: {"error":"Key not found"}`, nil},
		{"GET", "/elsewhere", `404 Not Found: {"error":"Invalid path"}`, nil},
	} {
		if _, err := b.ask(tc.method, tc.path, tc.body); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %s: %v, want %s", tc.method, tc.path, err, tc.want)
		}
	}
}

// outlivesANode kills a node under load through the balancer and starts it again. No write is carried
// out twice, no acknowledged one is lost; how others may end while the node is known to be dead, settled
// judges.
func (b *balancer) outlivesANode(t *testing.T, c *cluster, settled func(loadcheck.Summary) error) {
	t.Helper()
	var ledger loadcheck.Ledger
	through := []*node{&b.node}
	counted := make(chan [2]int)
	stop := make(chan struct{})
	go func() { counted <- b.count(stop) }()
	sum := duringLoad(t, &ledger, b.name+"-kill-", through, func() {
		c.nodes[0].process.kill()
		time.Sleep(5 * time.Second) // of load while the balancer learns of it
	})
	t.Logf("while a node is killed: %v", sum)
	if sum.Failed+sum.Lost > 0 || sum.Acked == 0 {
		t.Errorf("%d writes failed and %d acknowledged ones were not found, of %d", sum.Failed, sum.Lost, sum.Acked)
	}
	close(stop)
	n := <-counted
	answer, err := b.ask("GET", "/kv/counter", nil)
	if got, _ := strconv.Atoi(string(answer)); err != nil || n[0] == 0 || got < n[0] || got > n[0]+n[1] {
		t.Errorf("the counter is at %q after %d additions and %d of unknown outcome: %v", answer, n[0], n[1], err)
	}
	sum = duringLoad(t, &ledger, b.name+"-without-", through, func() { time.Sleep(3 * time.Second) })
	t.Logf("while it is dead: %v", sum)
	if err := settled(sum); err != nil || sum.Failed+sum.Lost > 0 {
		t.Errorf("%d writes failed, %d acknowledged ones were not found; %v", sum.Failed, sum.Lost, err)
	}
	sum = duringLoad(t, &ledger, b.name+"-back-", through, func() {
		c.nodes[0].start()
		c.nodes[0].awaitReady()
	})
	t.Logf("while it comes back: %v", sum)
	if sum.Failed+sum.Lost > 0 {
		t.Errorf("%d writes failed, %d acknowledged ones were not found", sum.Failed, sum.Lost)
	}
	c.awaitSettled()
	verify(t, &ledger, c.nodes)
}

// outlivesRestarts restarts all nodes in turn under load through the balancer. Nothing fails or ends unknown: what
// reaches no node is sent to another one.
func (b *balancer) outlivesRestarts(t *testing.T, c *cluster) {
	t.Helper()
	var ledger loadcheck.Ledger
	sum := duringLoad(t, &ledger, b.name+"-restarts-", []*node{&b.node}, func() {
		for _, n := range c.nodes {
			n.terminate()
			n.start()
			n.awaitReady()
			c.awaitSettled()
		}
	})
	t.Logf("while all nodes are restarted in turn: %v", sum)
	if sum.Failed+sum.Unknown+sum.Lost > 0 || sum.Acked == 0 {
		t.Errorf("%d writes failed, %d ended unknown, %d acknowledged ones were not found, of %d", sum.Failed,
			sum.Unknown, sum.Lost, sum.Acked)
	}
	verify(t, &ledger, c.nodes)
}

// count adds 1 to a counter through the balancer until stop is closed, and returns how many additions
// were acknowledged and how many may have been carried out.
func (b *balancer) count(stop chan struct{}) (n [2]int) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	for {
		select {
		case <-stop:
			return n
		default:
		}
		res, err := client.Post(b.url()+"/kv/counter?incr=1", "", nil)
		if err != nil {
			n[1]++
			continue
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		switch {
		case res.StatusCode == http.StatusOK:
			n[0]++
		case res.StatusCode != http.StatusServiceUnavailable:
			n[1]++
		}
		time.Sleep(5 * time.Millisecond) // between two additions
	}
}
