//go:build processes

package processes

import (
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
)

// TestJoinUnderLoad grows one node to three and to four while clients write: they must not
// notice, and afterwards everybody has a fair share.
func TestJoinUnderLoad(t *testing.T) {
	c := newCluster(t, 4)
	all, store := c.nodes, anyStore(t)
	for _, n := range all {
		store(n)
	}
	begin := time.Now()
	c.nodes = all[:1]
	all[0].start()
	c.awaitReady()
	t.Logf("one node alone is ready after %v", round(time.Since(begin)))

	var ledger loadcheck.Ledger
	for _, size := range []int{3, 4} {
		before := len(c.nodes)
		sum := duringLoad(t, &ledger, all[before].name+"-", c.nodes, func() {
			begin := time.Now()
			for _, n := range all[before:size] {
				n.extra = append(n.extra, "--join", all[0].gossip)
				n.start()
			}
			c.nodes = all[:size]
			c.awaitReady()
			ready := time.Since(begin)
			c.awaitSettled()
			t.Logf("from %d nodes to %d: ready after %v, replicas and leaders in place after %v: %s", before, size,
				round(ready), round(time.Since(begin)), all[0].spread())
		})
		nothingWrong(t, "load through the nodes that were there", sum)
		verify(t, &ledger, c.nodes)
		fairShares(t, all[0], size)
	}
}

// fairShares asserts that nobody holds or leads much more or less than the others.
func fairShares(t *testing.T, n *node, members int) {
	t.Helper()
	v, err := n.view()
	if err != nil {
		t.Fatal(err)
	}
	replicas := v.Partitions * min(v.Replicas, members) / members
	leaders := v.Partitions / members
	for _, m := range v.Members {
		if m.Replicas < replicas/2 || m.Replicas > replicas*3/2 || m.Leaders < leaders/2 || m.Leaders > leaders*2 {
			t.Errorf("%s holds %d replicas and leads %d, want about %d and %d", m.Name, m.Replicas, m.Leaders, replicas,
				leaders)
		}
	}
}
