package gossip

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"pxkv/node/kv"
)

// Memberlist's Shutdown tells its loops to end and does not wait for them: one that is in the
// middle of a probe or a state exchange ends some moments later. Everything else must be gone.
func TestMain(m *testing.M) {
	const loops = "github.com/hashicorp/memberlist.(*Memberlist)."
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction(loops+"triggerFunc"),
		goleak.IgnoreAnyFunction(loops+"pushPullTrigger"),
	)
}

// testLog collects log lines.
type testLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// count returns the number of lines that contain all of the texts.
func (l *testLog) count(texts ...string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
lines:
	for line := range strings.Lines(l.buf.String()) {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue lines
			}
		}
		n++
	}
	return n
}

func (l *testLog) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

// testNode is a Gossip that runs.
type testNode struct {
	*Gossip
	id      kv.NodeID
	log     *testLog
	changes atomic.Int64 // calls of OnChange
	stop    func()       // returns when Run did; may be called twice
}

// startNode runs a node with these options, on which it has put what a test rarely cares for.
func startNode(t *testing.T, o Options) *testNode {
	t.Helper()
	n := &testNode{id: o.ID, log: &testLog{}}
	if o.ClusterName == "" {
		o.ClusterName = "pxkv"
	}
	if o.Meta.Name == "" {
		o.Meta.Name = fmt.Sprint("node", uint64(o.ID))
	}
	if o.Logger == nil {
		o.Logger = n.log.logger(slog.LevelInfo)
	}
	if o.OnChange == nil {
		o.OnChange = func() { n.changes.Add(1) }
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	n.Gossip = g
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("node %d: Run: %v", n.id, err)
		}
	})
	t.Cleanup(n.stop)
	select {
	case <-g.Started():
	case err := <-done:
		done <- nil
		t.Fatalf("node %d did not start: %v", n.id, err)
	}
	return n
}

// startMem runs a node at address of a network in memory.
func startMem(t *testing.T, net *memNet, address string, o Options) *testNode {
	t.Helper()
	o.Transport = net.listen(address)
	return startNode(t, o)
}

// sees reports whether the node's peers are exactly these.
func (n *testNode) sees(ids ...kv.NodeID) bool {
	peers := n.Peers()
	if len(peers) != len(ids) {
		return false
	}
	for i, p := range peers {
		if p.ID != ids[i] || !n.Alive(p.ID) {
			return false
		}
	}
	return true
}

// within waits until the condition holds and returns how long that took.
func within(t *testing.T, limit time.Duration, what string, condition func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !condition() {
		if time.Since(start) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(start)
}

// never checks for some time that the condition does not hold.
func never(t *testing.T, during time.Duration, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if condition() {
			t.Fatal(what)
		}
	}
}

// counted returns the value of a registered counter with that one label, 0 if there is none.
func counted(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
