//go:build processes

package processes

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"pxkv/node/kv"
)

// TestPausedMembersGetNoSecondCluster starts fresh nodes with the command line of a cluster whose
// processes stand still: they wait, say for whom, and join it when it goes on. So does one of its nodes
// whose disk is lost, and which may form a cluster alone.
func TestPausedMembersGetNoSecondCluster(t *testing.T) {
	c := newCluster(t, 6)
	all := c.nodes
	var join []string
	for _, n := range all[:3] {
		join = append(join, n.gossip)
	}
	line := func(expect int) []string {
		return []string{"--join", strings.Join(join, ","), "--bootstrap-expect", fmt.Sprint(expect)}
	}
	for _, n := range all {
		n.extra = line(3)
	}
	c.nodes = all[:3]
	for _, n := range c.nodes {
		n.start()
	}
	c.awaitReady()
	c.awaitSettled()
	still := func(nodes []*node, s syscall.Signal) {
		for _, n := range nodes {
			n.process.signal(s)
		}
	}

	still(all[:3], syscall.SIGSTOP)
	for _, n := range all[3:] {
		n.start()
		n.awaitLog("it may be a cluster: " + all[0].gossip)
	}
	still(all[:3], syscall.SIGCONT)
	c.nodes = all
	c.awaitReady()
	c.awaitSettled()

	lost := all[2]
	lost.process.kill()
	if err := os.RemoveAll(lost.dir); err != nil {
		t.Fatal(err)
	}
	still(c.but(lost), syscall.SIGSTOP)
	lost.extra = line(1)
	lost.start()
	lost.awaitLog("it may be a cluster: " + all[0].gossip)
	still(c.but(lost), syscall.SIGCONT)
	c.awaitReady()
	c.awaitSettled()
	ids := map[kv.ClusterID]bool{}
	for _, n := range all {
		v, err := n.view()
		if err != nil {
			t.Fatal(err)
		}
		ids[v.ID] = true
	}
	if len(ids) != 1 {
		t.Errorf("the nodes are in clusters %v", ids)
	}
}

// awaitLog waits until the node has logged a text.
func (n *node) awaitLog(text string) {
	n.t.Helper()
	await(n.t, n.name+" logs "+text, 20*time.Second, func() error {
		if b, err := os.ReadFile(n.log); err != nil || !strings.Contains(string(b), text) {
			return fmt.Errorf("not yet (%v)", err)
		}
		return nil
	})
}
