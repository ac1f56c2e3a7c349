//go:build processes

package processes

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
	"pxkv/node/kv"
)

var inMemory = flags("--store", "memory")

// complete returns nil when a node says that the cluster has all its replicas, and may lose any one node.
func (n *node) complete() error {
	v, err := n.view()
	if err == nil && (v.Health == nil || !v.Health.Served.Yes || !v.Health.Complete.Yes || !v.Health.MayFail.Yes) {
		err = fmt.Errorf("health %+v", v.Health)
	}
	return err
}

// awaitComplete waits until a node says so, and returns how long that took.
func (n *node) awaitComplete(limit time.Duration) time.Duration {
	n.t.Helper()
	begin := time.Now()
	await(n.t, "all replicas are there, says "+n.name, limit, n.complete)
	return time.Since(begin)
}

// replicasOn are the ids of the replicas that are placed on a node, as another one sees it.
func replicasOn(t *testing.T, asked *node, name string) (ids []kv.ReplicaID) {
	t.Helper()
	ps, err := asked.partitions()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ps {
		for _, r := range p.Replicas {
			if r.Node == name {
				ids = append(ids, r.ID)
			}
		}
	}
	return ids
}

// TestNodesInMemoryAreRestartedInTurn restarts three nodes in memory one after the other under load, each as soon as
// another one says that all replicas are there. The first two are asked to stop, and the third is killed. Nothing that
// was acknowledged is lost, and each node comes back as another one, under other replica ids.
func TestNodesInMemoryAreRestartedInTurn(t *testing.T) {
	c := startThree(t, inMemory)
	c.nodes[0].awaitComplete(settledAfter)
	var ledger loadcheck.Ledger
	crowd := newCrowd(t, c.nodes)
	for i, n := range c.nodes {
		other := c.nodes[(i+1)%3]
		id, replicas := idOf(t, other, n.name), replicasOn(t, other, n.name)
		if len(replicas) == 0 {
			t.Fatalf("%s holds nothing", n.name)
		}
		sum := duringLoad(t, &ledger, n.name+"-", c.but(n), func() {
			begin := time.Now()
			if i < 2 {
				n.terminate()
			} else {
				n.process.kill()
			}
			if n.start(); i < 2 && other.complete() == nil {
				t.Errorf("%s says that all is complete while %s starts", other.name, n.name)
			}
			other.awaitComplete(settledAfter)
			t.Logf("%s has all its replicas again %v after it was ended", n.name, round(time.Since(begin)))
		})
		t.Logf("load through the other nodes: %v", sum)
		if sum.Failed+sum.Lost > 0 || sum.Acked == 0 {
			t.Errorf("%d requests failed and %d pairs were lost, want none", sum.Failed, sum.Lost)
		}
		if now := idOf(t, other, n.name); now == id {
			t.Errorf("%s is still node %s, and has forgotten what that one promised", n.name, id)
		}
		for _, r := range replicasOn(t, other, n.name) {
			if slices.Contains(replicas, r) {
				t.Errorf("%s has replica %d again", n.name, r)
			}
		}
	}
	crowd.end()
	ops := crowd.history.all()
	if what := fault(ops); what != "" {
		t.Fatalf("the history is not linearizable: %s", what)
	}
	t.Logf("%d operations are linearizable", len(ops))
	verify(t, &ledger, c.nodes)
}

// TestNodesInMemoryRestartedTooSoon asks a node to stop while the one before it is not filled yet: it waits for that
// one, and nothing is lost.
func TestNodesInMemoryRestartedTooSoon(t *testing.T) {
	c := startThree(t, inMemory)
	c.nodes[0].awaitComplete(settledAfter)
	var ledger loadcheck.Ledger
	sum := duringLoad(t, &ledger, "soon-", c.nodes[2:], func() {
		for _, n := range c.nodes[:2] {
			n.terminate()
			n.start()
		}
		c.nodes[2].awaitComplete(settledAfter)
	})
	t.Logf("load through the third node: %v", sum)
	if log := c.nodes[1].logTail(200); !strings.Contains(log, "waits for them before it stops") ||
		!strings.Contains(log, "it can stop") {
		t.Errorf("%s did not wait for %s", c.nodes[1].name, c.nodes[0].name)
	}
	if sum.Failed+sum.Lost > 0 || sum.Acked == 0 {
		t.Errorf("%d requests failed and %d pairs were lost, want none", sum.Failed, sum.Lost)
	}
	verify(t, &ledger, c.nodes)
}

// TestAMajorityInMemoryIsLost kills two of three nodes in memory at once: the third one serves nothing any more, but
// shows what it has; nobody takes the place of those that are gone. Restarted all together, the nodes form a new and
// empty cluster, into which what was saved can be imported.
func TestAMajorityInMemoryIsLost(t *testing.T) {
	c := startThree(t, inMemory)
	left := c.nodes[2]
	left.awaitComplete(settledAfter)
	left.put(t, "kept", "as it was", http.StatusCreated)
	cluster := clusterOf(t, left)
	for _, n := range c.nodes[:2] {
		n.process.kill()
	}
	for _, n := range c.nodes[:2] {
		n.start()
	}
	await(t, "a node that is not let in says what to do", settledAfter, func() error {
		v, err := c.nodes[0].view()
		if err == nil && !strings.Contains(strings.Join(v.Warnings, " "), "save what is left, and stop all") {
			err = fmt.Errorf("its warnings are %q", v.Warnings)
		}
		return err
	})
	await(t, "the third node sees that it has no majority", settledAfter, func() error {
		if err := left.ready(); err == nil {
			return fmt.Errorf("%s is ready", left.name)
		}
		return nil
	})
	saved, _, err := left.look("/kv?consistency=stale")
	if err != nil || !bytes.Contains(saved, []byte(`"kept":"as it was"`)) {
		t.Fatalf("what the third node has: %s (%v)", saved, err)
	}
	for _, n := range c.nodes {
		n.process.signal(syscall.SIGTERM)
	}
	for _, n := range c.nodes {
		if code, err := n.process.wait(endsAfter); err != nil || code != 0 {
			t.Fatalf("%s after SIGTERM: exit code %d, %v", n.name, code, err)
		}
	}
	for _, n := range c.nodes {
		n.start() // only now: who finds the old cluster waits for it
	}
	c.awaitReady()
	c.nodes[1].awaitComplete(settledAfter)
	if now := clusterOf(t, left); now == cluster {
		t.Errorf("it is still cluster %s", cluster)
	}
	if all, _, err := left.look("/kv"); err != nil || string(bytes.TrimSpace(all)) != "{}" {
		t.Fatalf("the new cluster has %s (%v)", all, err)
	}
	file := filepath.Join(t.TempDir(), "saved.json")
	if err := os.WriteFile(file, saved, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := launchWith(nil, program, file+".log", "import", file, "--server", left.url())
	if err != nil {
		t.Fatal(err)
	}
	if code, err := p.wait(endsAfter); err != nil || code != 0 {
		t.Fatalf("import: exit code %d, %v", code, err)
	}
	if got, _, err := c.nodes[0].look("/kv?key=kept"); err != nil || !bytes.Contains(got, []byte("as it was")) {
		t.Fatalf("after the import: %s (%v)", got, err)
	}
}

// TestNodesInMemoryBesideNodesOnDisk restarts the one node of three that keeps its data in memory.
func TestNodesInMemoryBesideNodesOnDisk(t *testing.T) {
	c := startThree(t, func(n *node) {
		if n.name == "n2" {
			inMemory(n)
		}
	})
	c.nodes[0].awaitComplete(settledAfter)
	var ledger loadcheck.Ledger
	for _, n := range []*node{c.nodes[1], c.nodes[0], c.nodes[1]} {
		other := c.nodes[2]
		sum := duringLoad(t, &ledger, fmt.Sprintf("%s-%d-", n.name, ledger.Len()), c.but(n), func() {
			n.terminate()
			n.start()
			other.awaitComplete(settledAfter)
		})
		if sum.Failed+sum.Lost > 0 || sum.Acked == 0 {
			t.Errorf("%d requests failed and %d pairs were lost, want none", sum.Failed, sum.Lost)
		}
	}
	verify(t, &ledger, c.nodes)
}

// TestAStoreInMemoryIsBounded fills a node in memory: it refuses what would add to its bytes, says so, and still
// deletes.
func TestAStoreInMemoryIsBounded(t *testing.T) {
	const most = 128 << 20
	c := newCluster(t, 1)
	n := c.nodes[0]
	n.extra = []string{
		"--store", "memory", "--max-bytes", fmt.Sprint(most), "--partitions", "4", "--compression", "none",
	}
	n.start()
	c.awaitReady()
	value := strings.Repeat("0123456789abcdef", 1<<12)
	full := 0
	for i := 0; ; i++ {
		status := n.putStatus(t, fmt.Sprintf("fill%d", i), value)
		if status == http.StatusInsufficientStorage {
			full = i
			break
		}
		if status != http.StatusCreated || i*len(value) > 4*most {
			t.Fatalf("put %d of %d bytes: status %d", i, len(value), status)
		}
	}
	t.Logf("full after %d MiB, with %d MiB of memory", full*len(value)>>20, residentOf(n.process.cmd.Process.Pid)>>20)
	if full*len(value) < most/8 {
		t.Errorf("only %d bytes found room in %d", full*len(value), most)
	}
	await(t, "it says that it is full", settledAfter, func() error {
		v, err := n.view()
		if err == nil && !strings.Contains(strings.Join(v.Warnings, " "), "the store of node n1 is full") {
			err = fmt.Errorf("its warnings are %q", v.Warnings)
		}
		return err
	})
	if total, err := n.metric("pxkv_disk_total_bytes"); err != nil || total != most {
		t.Errorf("pxkv_disk_total_bytes is %v (%v)", total, err)
	}
	for i := range full {
		if status := n.request(t, http.MethodDelete, fmt.Sprintf("fill%d", i), ""); status != http.StatusOK {
			t.Fatalf("delete %d of %d: status %d", i, full, status)
		}
	}
	await(t, "writes are taken again", settledAfter, func() error {
		if status := n.putStatus(t, "again", value); status != http.StatusCreated && status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
}

func clusterOf(t *testing.T, n *node) kv.ClusterID {
	t.Helper()
	v, err := n.view()
	if err != nil {
		t.Fatal(err)
	}
	return v.ID
}

func (n *node) put(t *testing.T, key, value string, want int) {
	t.Helper()
	if status := n.putStatus(t, key, value); status != want {
		t.Fatalf("put %s: status %d", key, status)
	}
}

func (n *node) putStatus(t *testing.T, key, value string) int {
	t.Helper()
	return n.request(t, http.MethodPut, key, value)
}

// request asks for a key as a resource.
func (n *node) request(t *testing.T, method, key, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, n.url()+"/kv/"+key, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := viewer.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
