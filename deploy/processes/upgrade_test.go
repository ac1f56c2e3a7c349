//go:build processes

package processes

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
	"pxkv/node/meta"
)

// formerRelease is the commit of the release before this one.
const formerRelease = "f44f7502047446584b864d9d195ec53cdbf4d23b"

// buildFormer builds the program of the former release, out of the history of the repository.
func buildFormer(t *testing.T) string {
	t.Helper()
	if err := exec.Command("git", "cat-file", "-e", formerRelease+"^{commit}").Run(); err != nil {
		t.Skipf("the former release is not in the history that is here: %v", err)
	}
	dir := t.TempDir()
	script := fmt.Sprintf("git -C \"$(git rev-parse --show-toplevel)\" archive %s | tar -x -C %s && cd %s && "+
		"go build -o pxkv ./cmd/pxkv", formerRelease, dir, dir)
	if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("build the former release: %v\n%s", err, out)
	}
	return filepath.Join(dir, "pxkv")
}

// TestUpgrade lets three nodes of the former release be upgraded one after the other under load, with both releases
// beside each other for a while. Clients of the other nodes see nothing of it. When all are upgraded, the cluster has
// the version of this release by itself, and a node of the former one is refused in words, whether it was a member or
// wants to become one.
func TestUpgrade(t *testing.T) {
	former := buildFormer(t)
	c := newCluster(t, 4)
	newcomer := c.nodes[3]
	c.nodes = c.nodes[:3]
	join := strings.Join([]string{c.nodes[0].gossip, c.nodes[1].gossip, c.nodes[2].gossip}, ",")
	for _, n := range c.nodes {
		n.program, n.extra = former, []string{"--join", join, "--bootstrap-expect", "3"}
		n.start()
	}
	c.awaitReady()
	c.awaitSettled()
	var ledger loadcheck.Ledger
	for i, n := range c.nodes {
		if i > 0 {
			c.awaitVersion(1, c.nodes[:i])
			c.refusesToLeave(c.nodes[0])
		}
		sum := duringLoad(t, &ledger, n.name+"-", c.but(n), func() {
			n.terminate()
			n.program = ""
			n.start()
			n.awaitReady()
			c.awaitHealthy(n)
		})
		nothingWrong(t, "load through the other nodes while "+n.name+" was upgraded", sum)
	}
	c.awaitVersion(meta.NewestVersion, c.nodes)
	verify(t, &ledger, c.nodes)

	// None of the processes was started in this version.
	newcomer.program, newcomer.extra = former, []string{"--join", join}
	newcomer.start()
	t.Cleanup(newcomer.process.kill)
	newcomer.awaitLog("run releases of pxkv that understand each other")
	newcomer.terminate()
	if v, err := c.nodes[0].view(); err != nil || len(v.Members) != 3 {
		t.Errorf("a node of the former release became a member: %+v, %v", v.Members, err)
	}

	back := c.nodes[2]
	back.terminate()
	back.program = former
	back.start()
	if code, err := back.process.wait(readyAfter); err != nil || code == 0 {
		t.Fatalf("the former release runs in an upgraded cluster: exit code %d, %v", code, err)
	}
	if said := back.logTail(20); !strings.Contains(said, "upgrade") && !strings.Contains(said, "releases of pxkv") {
		t.Errorf("it does not say what to do:\n%s", said)
	}
	back.program = ""
	back.start()
	c.awaitReady()
	c.awaitSettled()
}

// awaitVersion waits until nodes say that the cluster has a version.
func (c *cluster) awaitVersion(version int, by []*node) {
	c.t.Helper()
	for _, n := range by {
		await(c.t, fmt.Sprintf("%s says that the cluster has version %d", n.name, version), readyAfter, func() error {
			v, err := n.view()
			if err == nil && v.Version != version {
				err = fmt.Errorf("it has version %d", v.Version)
			}
			return err
		})
	}
}

// awaitHealthy waits until a node says that all is served and complete. A node of an older release says it, too.
func (c *cluster) awaitHealthy(by *node) {
	c.t.Helper()
	await(c.t, "all is served and complete", settledAfter, func() error {
		v, err := by.view()
		if err == nil && (v.Health == nil || !v.Health.Served.Yes || !v.Health.Complete.Yes) {
			err = fmt.Errorf("%+v", v.Health)
		}
		return err
	})
}

// refusesToLeave asks a cluster of an older version for something that came later.
func (c *cluster) refusesToLeave(at *node) {
	c.t.Helper()
	await(c.t, "a leave is refused, and it is said why", 10*time.Second, func() error {
		req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, at.url()+"/cluster/leave", nil)
		if err != nil {
			return err
		}
		resp, err := viewer.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body := make([]byte, 1000)
		k, _ := resp.Body.Read(body)
		switch {
		case resp.StatusCode/100 == 2:
			c.t.Fatal("a node leaves a cluster of an older version")
		case !strings.Contains(string(body[:k]), "older release"):
			return errors.New(resp.Status + ": " + string(body[:k]))
		}
		return nil
	})
}
