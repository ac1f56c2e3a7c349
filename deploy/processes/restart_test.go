//go:build processes

package processes

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
	"pxkv/node/kv"
)

const (
	restartAfter = 2 * time.Second // how long a node that was asked to end stays away
	// slowest is the most that a write should take while a leadership is handed over. It is less
	// than an election takes at least.
	slowest = 600 * time.Millisecond
)

// TestRollingRestart restarts one node after the other. Clients of the other nodes see
// nothing of it: no request fails, none ends unknown, none is answered 503, and (as the
// median of three restarts, for the machine may be busy) none waits for an election.
func TestRollingRestart(t *testing.T) {
	c := startThree(t)
	var ledger loadcheck.Ledger
	var waits []time.Duration
	for _, n := range c.nodes {
		sum := duringLoad(t, &ledger, n.name+"-", c.but(n), func() {
			n.terminate()
			time.Sleep(restartAfter)
			begin := time.Now()
			n.start()
			n.awaitReady()
			t.Logf("%s is ready %v after its start", n.name, round(time.Since(begin)))
			c.awaitSettled()
		})
		nothingWrong(t, "load through the other nodes while "+n.name+" restarted", sum)
		waits = append(waits, time.Duration(sum.SlowestPut)*time.Millisecond)
	}
	if median(waits) > slowest {
		t.Errorf("the slowest writes of the restarts took %v, want a median of at most %v: leaderships were not "+
			"handed over, or to nobody", waits, slowest)
	}
	verify(t, &ledger, c.nodes)
}

// TestWipedNodeReturns starts a node with its old command line and an empty data directory.
// It is another node then, in the place of its former self.
func TestWipedNodeReturns(t *testing.T) {
	c := startThree(t)
	wiped := c.nodes[2]
	former := idOf(t, c.nodes[0], wiped.name)
	var ledger loadcheck.Ledger
	sum := duringLoad(t, &ledger, "wiped-", c.but(wiped), func() {
		wiped.process.kill()
		wiped.wipe()
		begin := time.Now()
		wiped.start()
		wiped.awaitReady()
		ready := time.Since(begin)
		c.awaitSettled()
		t.Logf("the wiped node is ready after %v and holds its share after %v", round(ready), round(time.Since(begin)))
	})
	t.Logf("load through the other nodes: %v", sum)
	if sum.Failed+sum.Lost > 0 {
		t.Errorf("%d requests failed and %d pairs were lost, want none", sum.Failed, sum.Lost)
	}
	for _, n := range c.nodes {
		if idOf(t, n, wiped.name) == former {
			t.Errorf("%s says that the wiped node is still node %s: it has forgotten what that one promised", n.name,
				former)
		}
	}
	verify(t, &ledger, c.nodes)
	keys, err := see[[]string](c.nodes[0], "/kv?keys_only&prefix=wiped-")
	if err != nil || len(keys) < ledger.Len() {
		t.Fatalf("%d keys of %d acknowledged writes (%v)", len(keys), ledger.Len(), err)
	}
	await(t, "the wiped node has every key on its own disk", settledAfter, func() error {
		return wiped.holdsItself(keys)
	})
}

// TestAnyNodeMayBeMissing lets three nodes that have formed a cluster, and in which nothing was written
// since the replicas came where they are, lose their power, and the one on which all began its disk as
// well. The other two serve every partition, and take a fresh node in its place.
func TestAnyNodeMayBeMissing(t *testing.T) {
	c := startThree(t)
	for _, n := range c.nodes {
		n.process.kill()
	}
	missing := c.nodes[0]
	missing.wipe()
	begin := time.Now()
	for _, n := range c.but(missing) {
		n.start()
	}
	for _, n := range c.but(missing) {
		n.awaitReady()
	}
	for _, n := range c.but(missing) {
		await(t, n.name+" serves every partition", readyAfter, func() error {
			leaderless, err := n.metric("pxkv_partitions_leaderless")
			if err == nil && leaderless > 0 {
				err = fmt.Errorf("%v partitions have no leader", leaderless)
			}
			return err
		})
		for i := range 200 { // none of them exists, and only a leader can say so
			if body, _, err := n.look(fmt.Sprintf("/kv/nothing%d", i)); err == nil ||
				!strings.Contains(err.Error(), "404") {
				t.Fatalf("%s: %s, %v, want 404", n.name, body, err)
			}
		}
	}
	t.Logf("two of three serve all after %v", round(time.Since(begin)))
	missing.start()
	missing.awaitReady()
	c.awaitSettled()
}

// holdsItself returns nil when the node finds every key without asking another node.
func (n *node) holdsItself(keys []string) error {
	for _, key := range keys {
		_, header, err := n.look("/kv/" + key + "?consistency=stale")
		if err != nil {
			return err
		}
		if by := header.Get("X-Pxkv-Node"); by != n.name {
			return fmt.Errorf("%s was read from %s", key, by)
		}
	}
	return nil
}

// idOf returns the id of the member of a name.
func idOf(t *testing.T, asked *node, name string) (id kv.NodeID) {
	t.Helper()
	v, err := asked.view()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range v.Members {
		switch {
		case m.Name == name && id != 0:
			t.Fatalf("%s sees two members called %s", asked.name, name)
		case m.Name == name:
			id = m.ID
		}
	}
	if id == 0 {
		t.Fatalf("%s sees no member called %s", asked.name, name)
	}
	return id
}
