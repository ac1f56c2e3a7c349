//go:build processes

package processes

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
)

const (
	stoppedFor     = 22 * time.Second // longer than a disk may take to answer
	stoppedWriters = 32
	stoppedValue   = 256 << 10 // bytes
	stoppedLoad    = 2 * time.Second
)

// TestStoppedNodesGoOn stops all nodes in the middle of writes, as a laptop that is suspended does. When they
// go on, none may take the time for one in which its disk did not answer: none ends, all are ready again,
// and what was acknowledged is there.
//
// Whether a node that is mistaken ends is a matter of what runs first in it. So that it is likely, each is
// stopped while it waits for its disk, and has one processor, for which those that were woken up contend.
// Without any judgement of pauses one of the three ended in three of six runs.
func TestStoppedNodesGoOn(t *testing.T) {
	c := startThree(t, func(n *node) { n.by = []string{"env", "GOMAXPROCS=1"} })
	var ledger loadcheck.Ledger
	sum := duringLoad(t, &ledger, "stopped-", c.nodes, func() {
		ctx, stop := context.WithCancel(t.Context())
		var writers sync.WaitGroup
		defer writers.Wait()
		defer stop()
		for w := range stoppedWriters {
			writers.Go(func() { writeLong(ctx, c.nodes, w) })
		}
		time.Sleep(stoppedLoad)
		for _, n := range c.nodes {
			n.stopAtItsDisk()
		}
		time.Sleep(stoppedFor)
		for _, n := range c.nodes {
			n.process.signal(syscall.SIGCONT)
		}
		time.Sleep(stoppedLoad)
	})
	t.Logf("load: %v", sum)
	if sum.Lost > 0 || sum.Acked == 0 {
		t.Errorf("of %d writes that were acknowledged %d were not found", sum.Acked, sum.Lost)
	}
	c.awaitReady() // which fails when one has ended
	c.awaitSettled()
	verify(t, &ledger, c.nodes)
}

// writeLong writes long values, whatever becomes of them, until ctx ends.
func writeLong(ctx context.Context, nodes []*node, writer int) {
	body := bytes.Repeat([]byte("long"), stoppedValue/4)
	for i := 0; ctx.Err() == nil; i++ {
		url := fmt.Sprintf("%s/kv/long-%d-%d", nodes[(writer+i)%len(nodes)].url(), writer, i%4)
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
		if err != nil {
			return
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
		} else {
			time.Sleep(10 * time.Millisecond) // a node that refuses
		}
	}
}

// stopAtItsDisk stops the process when one of its threads waits for the disk, or after a second anyway.
func (n *node) stopAtItsDisk() {
	defer n.process.signal(syscall.SIGSTOP)
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.process.cmd.Process.Pid))
		for _, thread := range threads {
			if stat, _ := os.ReadFile(thread); strings.Contains(string(stat), ") D ") {
				return
			}
		}
	}
}
