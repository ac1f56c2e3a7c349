//go:build processes

package processes

import (
	"os"
	"strings"
	"testing"

	"pxkv/deploy/loadcheck"
)

// wipe loses the node's disk.
func (n *node) wipe() {
	n.t.Helper()
	if err := os.RemoveAll(n.dir); err != nil {
		n.t.Fatal(err)
	}
}

// refusedWith asserts that the node's process ends by itself with exit code 1 and a last
// word that contains all of these.
func (n *node) refusedWith(texts ...string) {
	n.t.Helper()
	code, err := n.process.wait(endsAfter)
	if err != nil {
		n.t.Errorf("%s should have refused to run: %v", n.name, err)
		n.process.kill()
		return
	}
	last := n.logTail(5) // a node that several things stop at once says all of them, a line each
	if i := strings.LastIndex(last, "pxkv: "); i >= 0 {
		last = last[i:]
	}
	n.t.Logf("exit code %d: %s", code, last)
	if code != 1 {
		n.t.Errorf("%s ended with exit code %d, want 1", n.name, code)
	}
	for _, text := range append(texts, "pxkv: ") {
		if !strings.Contains(last, text) {
			n.t.Errorf("the last word of %s does not mention %q: %s", n.name, text, last)
		}
	}
}

// TestCopiedDirectoryIsRefused restores a node from a copy of its directory that was made a
// start ago. Such a node has forgotten promises, and must not take part again.
func TestCopiedDirectoryIsRefused(t *testing.T) {
	c := startThree(t)
	n := c.nodes[2]
	var ledger loadcheck.Ledger
	duringLoad(t, &ledger, "first-", c.nodes, func() {})
	n.terminate()
	copied := n.dir + "-copy"
	if err := os.CopyFS(copied, os.DirFS(n.dir)); err != nil {
		t.Fatal(err)
	}
	n.start()
	n.awaitReady()
	c.awaitSettled()
	duringLoad(t, &ledger, "second-", c.nodes, func() {})
	n.terminate()

	original := n.dir
	n.dir = copied
	n.start()
	n.refusedWith("copy", "empty data directory") // the cluster says so, or the logs of the others

	n.dir = original
	n.start()
	c.awaitReady()
	c.awaitSettled()
	verify(t, &ledger, c.nodes)
}

// TestOneProcessPerDirectory starts a second process on the directory of one that runs.
func TestOneProcessPerDirectory(t *testing.T) {
	c := newCluster(t, 2)
	first, second := c.nodes[0], c.nodes[1]
	first.start()
	first.awaitReady()
	second.dir = first.dir
	second.start()
	second.refusedWith("in use by another process")
	if !first.process.running() {
		t.Error("the first process ended")
	}
	first.awaitReady()
}
