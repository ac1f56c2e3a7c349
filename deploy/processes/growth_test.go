//go:build processes

package processes

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pxkv/node/kv"
)

// TestGrowth measures how long a cluster takes to grow: make growth. It judges no time.
//
//	GROW_PARTITIONS=64  partitions of the cluster; without it the test is skipped
//	GROW_BYTES=0        bytes of values that are there before others join
//	GROW_SIZE=16384     bytes of a value
//	GROW_FROM=1 GROW_TO=3  nodes before and after; those that come are started at once
//	GROW_LOAD=0         connections that write values of 256 bytes all the while
//	GROW_FLAGS=         further flags of pxkv serve
//	GROW_OLD=           another pxkv binary: it is measured first
//	GROW_ROUNDS=1       how often each is measured, in turn
func TestGrowth(t *testing.T) {
	if os.Getenv("GROW_PARTITIONS") == "" {
		t.Skip("GROW_PARTITIONS says how many partitions: see make growth")
	}
	g := growth{
		partitions: setTo("GROW_PARTITIONS", 64), bytes: setTo("GROW_BYTES", 0), size: setTo("GROW_SIZE", 16<<10),
		from: setTo("GROW_FROM", 1), to: setTo("GROW_TO", 3), load: setTo("GROW_LOAD", 0),
	}
	old := os.Getenv("GROW_OLD")
	fmt.Printf("%d to %d nodes, %d partitions, %d MiB of values, %d connections that write\n", g.from, g.to,
		g.partitions, g.bytes>>20, g.load)
	if g.bytes > 0 {
		fmt.Printf("one file of as many bytes, with an fsync at its end: %.0f MiB/s\n", g.bareDisk(t))
	}
	fmt.Println("| build | placed | complete | leaders spread | received MiB | MiB/s " +
		"| puts/s before | while it moves | after | of the mean of both |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|---|")
	for range setTo("GROW_ROUNDS", 1) {
		if old != "" {
			g.measure(t, "old", old)
		}
		g.measure(t, "new", "")
	}
}

// setTo reads a setting from the environment.
func setTo(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

type growth struct{ partitions, bytes, size, from, to, load int }

// measure prints a line of the table. Times are from the moment at which the last newcomer is a member, as the
// first node shows it.
func (g *growth) measure(t *testing.T, name, program string) {
	c := newCluster(t, g.to)
	all := c.nodes
	defer func() {
		for _, n := range all {
			if n.process != nil {
				n.process.kill()
			}
			_ = os.RemoveAll(n.dir) // room for the next
		}
	}()
	for i, n := range all {
		n.program = program
		n.extra = append(strings.Fields(os.Getenv("GROW_FLAGS")), "--partitions", strconv.Itoa(g.partitions),
			"--compression", "none")
		n.keyFile = ""
		if i > 0 {
			n.extra = append(n.extra, "--join", all[0].gossip)
		}
	}
	c.nodes = all[:g.from]
	for _, n := range c.nodes {
		n.start()
		n.awaitReady()
	}
	c.awaitSettled()
	g.fill(t, c.nodes)
	w := writers{nodes: c.nodes}
	stop := w.begin(g.load)
	defer stop()
	before := 0.0
	if g.load > 0 {
		time.Sleep(time.Second) // until it is under way
		before = w.rate(5 * time.Second)
	}

	for _, n := range all[g.from:] {
		n.start()
	}
	joined := g.await(t, all[0], func(v *kv.ClusterView) bool { return len(v.Members) == g.to })
	received := g.received(all[g.from:])
	placed := g.await(t, all[0], func(v *kv.ClusterView) bool {
		for _, m := range v.Members {
			if m.Wanted == 0 {
				return false
			}
		}
		return true
	})
	written := w.done.Load()
	complete := g.await(t, all[0], func(v *kv.ClusterView) bool { return v.Health != nil && v.Health.Complete.Yes })
	meanwhile := float64(w.done.Load()-written) / complete.Sub(placed).Seconds()
	received = g.received(all[g.from:]) - received
	spread := g.await(t, all[0], func(*kv.ClusterView) bool {
		ps, err := all[0].partitions()
		for i := range ps {
			if ps[i].Leader != ps[i].Wanted[0].Node {
				return false
			}
		}
		return err == nil && len(ps) > 0
	})
	after := 0.0
	if g.load > 0 {
		after = w.rate(5 * time.Second)
	}
	fmt.Printf("| %s | %.2f s | %.2f s | %.2f s | %.0f | %.0f | %.0f | %.0f | %.0f | %.2f |\n", name,
		placed.Sub(joined).Seconds(), complete.Sub(joined).Seconds(), spread.Sub(joined).Seconds(), received/(1<<20),
		received/(1<<20)/complete.Sub(placed).Seconds(), before, meanwhile, after,
		2*meanwhile/max(before+after, 1))
}

// await asks a node again and again, and returns when it said what is wanted.
func (g *growth) await(t *testing.T, n *node, is func(*kv.ClusterView) bool) time.Time {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); time.Now().Before(deadline); time.Sleep(g.pause()) {
		if v, err := n.view(); err == nil && is(&v) {
			return time.Now()
		}
	}
	t.Fatal("not within ten minutes")
	return time.Time{}
}

// pause is between two questions. Each is asked on to all nodes, which takes processors from the writers whose pace is
// measured.
func (g *growth) pause() time.Duration {
	if g.load > 0 {
		return 200 * time.Millisecond
	}
	return 25 * time.Millisecond
}

// received are the bytes of snapshots that reached these nodes.
func (g *growth) received(nodes []*node) (sum float64) {
	for _, n := range nodes {
		bytes, _ := n.metric(`pxkv_disk_snapshot_bytes_total{direction="in"}`) // 0 before there is any
		sum += bytes
	}
	return sum
}

// fill writes values that cannot be compressed.
func (g *growth) fill(t *testing.T, nodes []*node) {
	t.Helper()
	var next atomic.Int64
	var writing sync.WaitGroup
	for i := range 32 {
		writing.Go(func() {
			value := make([]byte, g.size)
			for n := int(next.Add(1)); n*g.size <= g.bytes; n = int(next.Add(1)) {
				_, _ = rand.Read(value)
				if err := put(context.Background(), nodes[i%len(nodes)], fmt.Sprintf("fill:%d", n), value); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
}

func put(ctx context.Context, n *node, key string, value []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, n.url()+"/kv/"+key, bytes.NewReader(value))
	if err != nil {
		return err
	}
	resp, err := filler.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("PUT %s: %s", key, resp.Status)
	}
	return nil
}

var filler = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}

// bareDisk is how fast one file is written where the nodes have their data, in MiB a second.
func (g *growth) bareDisk(t *testing.T) float64 {
	f, err := os.Create(filepath.Join(t.TempDir(), "bare"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	piece := make([]byte, 1<<20)
	_, _ = rand.Read(piece)
	begin := time.Now()
	for range g.bytes >> 20 {
		if _, err := f.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return float64(g.bytes>>20) / time.Since(begin).Seconds()
}

// writers put small values, each when the one before is answered.
type writers struct {
	nodes []*node
	done  atomic.Int64
}

func (w *writers) begin(connections int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	for i := range connections {
		writing.Go(func() {
			value := make([]byte, 256)
			for n := 0; ctx.Err() == nil; n++ {
				if put(ctx, w.nodes[i%len(w.nodes)], fmt.Sprintf("load:%d:%d", i, n%1000), value) == nil {
					w.done.Add(1)
				}
			}
		})
	}
	return sync.OnceFunc(func() { cancel(); writing.Wait() })
}

// rate is how many puts a second there are now.
func (w *writers) rate(over time.Duration) float64 {
	before, begin := w.done.Load(), time.Now()
	time.Sleep(over)
	return float64(w.done.Load()-before) / time.Since(begin).Seconds()
}
