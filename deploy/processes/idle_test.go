//go:build processes

package processes

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIdle lets three nodes do nothing, and requires that all groups come to rest but the meta group, that what is
// written and read then is answered at once by any node, and that they come to rest again. It judges no time.
//
// With IDLE_PARTITIONS (make idle) it prints what a node costs meanwhile:
//
//	IDLE_PARTITIONS=1024  partitions of the cluster
//	IDLE_SECONDS=30       for how long it is measured
//	IDLE_OLD=             another pxkv binary: it is measured first, 20 s after the cluster is complete
func TestIdle(t *testing.T) {
	partitions := setTo("IDLE_PARTITIONS", 192)
	if old := os.Getenv("IDLE_OLD"); old != "" {
		c := idleCluster(t, partitions, old)
		time.Sleep(20 * time.Second)
		c.printIdle("old", partitions)
		for _, n := range c.nodes {
			n.process.kill()
		}
	}
	c := idleCluster(t, partitions, "")
	c.awaitRest(partitions)
	if os.Getenv("IDLE_PARTITIONS") != "" {
		time.Sleep(5 * time.Second) // what the start left is done
		c.printIdle("new", partitions)
	}
	longest := time.Duration(0)
	for i := range 60 {
		n := c.nodes[i%len(c.nodes)]
		began := time.Now()
		if err := put(context.Background(), n, fmt.Sprintf("idle:%d", i), []byte("v")); err != nil {
			t.Error(err)
		}
		longest = max(longest, time.Since(began))
	}
	t.Logf("60 puts to partitions at rest: the longest took %v", longest.Round(time.Millisecond))
	c.awaitRest(partitions)
}

func idleCluster(t *testing.T, partitions int, program string) *cluster {
	t.Helper()
	c := newCluster(t, 3)
	for i, n := range c.nodes {
		n.program = program
		n.extra = []string{"--partitions", strconv.Itoa(partitions)}
		if program != "" {
			n.keyFile = ""
		}
		if i > 0 {
			n.extra = append(n.extra, "--join", c.nodes[0].gossip)
		}
		n.start()
	}
	c.awaitReady()
	c.awaitSettled()
	return c
}

// awaitRest waits until no group is awake but the meta group.
func (c *cluster) awaitRest(partitions int) {
	c.t.Helper()
	await(c.t, "all groups rest", time.Minute, func() error {
		for _, n := range c.nodes {
			if at, err := n.metric("pxkv_groups_at_rest"); err != nil || at != float64(partitions) {
				return fmt.Errorf("%s: %.0f of %d rest, %v", n.name, at, partitions, err)
			}
		}
		return nil
	})
}

// printIdle prints what each node costs that does nothing.
func (c *cluster) printIdle(name string, partitions int) {
	seconds := setTo("IDLE_SECONDS", 30)
	before := make([]float64, len(c.nodes))
	for i, n := range c.nodes {
		before[i] = n.processorSeconds()
	}
	time.Sleep(time.Duration(seconds) * time.Second)
	fmt.Printf("| %s | %d partitions |", name, partitions)
	for i, n := range c.nodes {
		fmt.Printf(" %.2f %% |", 100*(n.processorSeconds()-before[i])/float64(seconds))
	}
	fmt.Println(" of a core, each node")
}

// processorSeconds is how long a node's process has run on processors so far.
func (n *node) processorSeconds() float64 {
	n.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.process.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	// The name of the program, in parentheses, may hold anything. Behind it user time is the twelfth and system time
	// the thirteenth field, in hundredths of a second: proc(5).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return float64(user+system) / 100
}
