//go:build processes

package processes

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
)

const (
	readyAfter   = 40 * time.Second // a node that starts or returns
	settledAfter = 90 * time.Second // replicas and leaders after members changed
	endsAfter    = 30 * time.Second // a process that was asked to end
)

// node is one command line with its data directory.
type node struct {
	t                        *testing.T
	name, dir, log           string
	http, resp, peer, gossip string // host:port
	keyFile                  string // "": nothing is encrypted
	extra                    []string
	by                       []string // what starts the program; see launchWith
	program                  string   // "" is the program under test
	process                  *process
	starts                   int
}

// cluster is the nodes of one test.
type cluster struct {
	t     *testing.T
	nodes []*node
}

// newCluster makes nodes without processes: n1, n2 and so on, each with an empty data
// directory and ports of its own. At the end of the test their processes are killed, and
// after a failure the ends of their logs are printed.
func newCluster(t *testing.T, size int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	data, logs := t.TempDir(), t.ArtifactDir()
	for i := range size {
		name := fmt.Sprintf("n%d", i+1)
		c.nodes = append(c.nodes, &node{
			t: t, name: name, dir: filepath.Join(data, name), log: filepath.Join(logs, name+".log"),
			http: freeAddress(t), resp: freeAddress(t), peer: freeAddress(t), gossip: freeAddress(t),
		})
	}
	c.drawEncryption()
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if n.process != nil {
				n.process.kill()
			}
		}
		if t.Failed() {
			for _, n := range c.nodes {
				t.Logf("end of the log of %s:\n%s", n.name, n.logTail(60))
			}
		}
	})
	return c
}

// setting changes a node before it is started.
type setting func(*node)

// flags are further flags of the program.
func flags(flags ...string) setting { return func(n *node) { n.extra = append(n.extra, flags...) } }

// startThree makes and starts three nodes that form a cluster, and waits until it has spread.
func startThree(t *testing.T, settings ...setting) *cluster {
	t.Helper()
	c := newCluster(t, 3)
	join := strings.Join([]string{c.nodes[0].gossip, c.nodes[1].gossip, c.nodes[2].gossip}, ",")
	begin := time.Now()
	for _, n := range c.nodes {
		n.extra = []string{"--join", join, "--bootstrap-expect", "3"}
		for _, set := range settings {
			set(n)
		}
		n.start()
	}
	c.awaitReady()
	ready := time.Since(begin)
	c.awaitSettled()
	t.Logf("three nodes: ready after %v, replicas and leaders spread after %v", round(ready), round(time.Since(begin)))
	return c
}

// drawnAddresses are all that freeAddress has looked at.
var drawnAddresses sync.Map

// freeAddress draws a port of the loopback address that is free for TCP and UDP. It lies
// below those that the system gives to outgoing connections, so that it is still free when
// a node comes back. None is drawn twice: nobody listens at it yet when the next one is drawn.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(18000))
		if _, twice := drawnAddresses.LoadOrStore(address, true); twice {
			continue
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		p, err := net.ListenPacket("udp", address)
		l.Close()
		if err != nil {
			continue
		}
		p.Close()
		return address
	}
	t.Fatal("no port of 127.0.0.1 between 12000 and 30000 is free")
	return ""
}

func (n *node) commandLine() []string {
	return slices.Concat([]string{"serve", "--name", n.name, "--data-dir", n.dir, "--http", n.http, "--resp", n.resp,
		"--peer", n.peer, "--gossip", n.gossip}, n.compression(), n.keyFlags(), n.extra)
}

// start starts the node's process with its one and only command line.
func (n *node) start() {
	n.t.Helper()
	var err error
	if n.process, err = launchWith(n.by, cmp.Or(n.program, program), n.log, n.commandLine()...); err != nil {
		n.t.Fatalf("start %s: %v", n.name, err)
	}
}

// terminate asks the process to end, and asserts that it does so in time and in good order.
func (n *node) terminate() {
	n.t.Helper()
	begin := time.Now()
	n.process.signal(syscall.SIGTERM)
	switch code, err := n.process.wait(endsAfter); {
	case err != nil:
		n.t.Fatalf("%s after SIGTERM: %v", n.name, err)
	case code != 0:
		n.t.Fatalf("%s after SIGTERM: exit code %d, want 0", n.name, code)
	}
	n.t.Logf("%s ended in good order %v after SIGTERM", n.name, round(time.Since(begin)))
}

func (n *node) url() string { return "http://" + n.http }

func (n *node) target() loadcheck.Target { return loadcheck.Target{Name: n.name, URL: n.url()} }

func (n *node) logTail(lines int) string {
	b, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// but returns the cluster's nodes without one.
func (c *cluster) but(without *node) []*node {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(n *node) bool { return n == without })
}

func (c *cluster) named(name string) *node {
	for _, n := range c.nodes {
		if n.name == name {
			return n
		}
	}
	c.t.Fatalf("no node is called %q", name)
	return nil
}

func targets(nodes []*node) []loadcheck.Target {
	var out []loadcheck.Target
	for _, n := range nodes {
		out = append(out, n.target())
	}
	return out
}

// awaitReady waits until /readyz of every node says yes.
func (c *cluster) awaitReady() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.awaitReady()
	}
}

func (n *node) awaitReady() {
	n.t.Helper()
	await(n.t, n.name+" is ready", readyAfter, func() error {
		if !n.process.running() {
			n.t.Fatalf("%s ended by itself: %v", n.name, n.process.cmd.ProcessState)
		}
		return n.ready()
	})
}

// awaitSettled waits until every node says that all is where the placement wants it.
func (c *cluster) awaitSettled() {
	c.t.Helper()
	await(c.t, "replicas and leaders are where the placement wants them", settledAfter, func() error {
		for _, n := range c.nodes {
			if err := n.settled(c.nodes); err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
		}
		return nil
	})
}

// await polls until f returns nil, and fails the test with its last error after limit.
func await(t *testing.T, what string, limit time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s: %v", limit, what, err)
		}
		time.Sleep(30 * time.Millisecond) // between two questions to other processes
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
