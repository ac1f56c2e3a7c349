//go:build processes

package processes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"pxkv/node/kv"
)

const (
	failoverPartitions = 120
	failoverClients    = 16               // on as many partitions of the victim; every other one reads as well
	failoverPatience   = 15 * time.Second // of a client with one request
	failoverCalm       = time.Second      // of clients alone, before a kill and after it
)

// TestFailover kills the node that leads most, FAILOVER_KILLS times, while clients write to partitions that it leads,
// and prints how long those took no writes. No write that was acknowledged may be missing, and everybody must be
// served again. With FAILOVER_OLD, the path of another build, a cluster of that is killed in turn with this one,
// so that both have the same machine under the same load.
func TestFailover(t *testing.T) {
	kills := 2
	if text := os.Getenv("FAILOVER_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil || kills < 1 {
			t.Fatalf("FAILOVER_KILLS is %q: it must be a number above 0", text)
		}
	}
	builds := []*failover{{build: "this build"}}
	if old := os.Getenv("FAILOVER_OLD"); old != "" {
		builds = []*failover{{build: "FAILOVER_OLD", program: old}, builds[0]}
	}
	for _, f := range builds {
		f.begin(t)
	}
	for range kills {
		for _, f := range builds {
			f.kill(t)
		}
	}
	for _, f := range builds {
		f.nothingIsMissing(t)
	}
	t.Log("how long partitions took no writes after SIGKILL of their leader:\n" + failoverTable(builds))
}

// failover is the cluster of one build, and what its kills showed.
type failover struct {
	build, program string // "" is the program under test
	cluster        *cluster
	tags           map[kv.PartitionID]string
	kills          int
	acked          map[string]uint64 // the last acknowledged value of each key

	written, read []time.Duration // per partition, those that were read as well apart
	first, all    []time.Duration // per kill: the first partition that was back, and the last one
}

func (f *failover) begin(t *testing.T) {
	t.Helper()
	f.acked = map[string]uint64{}
	f.cluster = startThree(t, flags("--partitions", strconv.Itoa(failoverPartitions)),
		func(n *node) { n.program = f.program })
	var err error
	if f.tags, err = tags(f.cluster.nodes[0]); err != nil {
		t.Fatalf("find a key for every partition: %v", err)
	}
}

// kill kills the node that leads most, and starts it again when all clients are served by the others.
func (f *failover) kill(t *testing.T) {
	t.Helper()
	f.kills++
	f.awaitComplete(t)
	victim := f.leader(t)
	led := f.led(t, victim)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var clients []*failoverClient
	var working sync.WaitGroup
	for i, p := range led[:min(len(led), failoverClients)] {
		c := &failoverClient{
			nodes: f.cluster.nodes, at: i, reads: i%2 == 1, http: &http.Client{Timeout: failoverPatience},
			partition: p, key: fmt.Sprintf("{%s}-%d", f.tags[p], f.kills),
		}
		clients = append(clients, c)
		working.Go(func() { c.work(ctx) })
	}
	time.Sleep(failoverCalm)
	led = f.led(t, victim) // leaderships drift meanwhile
	killed := time.Now()
	victim.process.kill()
	await(t, "every client's writes are acknowledged again", readyAfter, func() error {
		for _, c := range clients {
			if last, _ := c.last(); last.Before(killed.Add(failoverCalm)) {
				return fmt.Errorf("the last of %s was acknowledged %v after the kill", c.key, last.Sub(killed))
			}
		}
		return nil
	})
	stop()
	working.Wait()
	victim.start()
	f.count(t, clients, led, killed)
}

// count takes what the clients of one kill saw, whose partitions the victim led to the end.
func (f *failover) count(t *testing.T, clients []*failoverClient, led []kv.PartitionID, killed time.Time) {
	t.Helper()
	var gaps []time.Duration
	var slowest *failoverClient
	for _, c := range clients {
		c.http.CloseIdleConnections()
		if _, value := c.last(); value > 0 {
			f.acked[c.key] = value
		}
		if c.surprise != nil {
			t.Errorf("%s: %v", c.key, c.surprise)
		}
		if !slices.Contains(led, c.partition) {
			continue
		}
		gap := c.gap(killed)
		if gaps = append(gaps, gap); gap == slices.Max(gaps) {
			slowest = c
		}
		if c.reads {
			f.read = append(f.read, gap)
		} else {
			f.written = append(f.written, gap)
		}
	}
	if len(gaps) == 0 {
		return
	}
	t.Logf("%s: killed at %v: %d partitions were back after %v to %v, partition %v the last", f.build,
		killed.Format(time.StampMilli), len(gaps), round(slices.Min(gaps)), round(slices.Max(gaps)), slowest.partition)
	f.first, f.all = append(f.first, slices.Min(gaps)), append(f.all, slices.Max(gaps))
}

// awaitComplete waits until all nodes are ready and no replica is behind. Leaders may be anywhere: to a node that
// falls again and again they come back late.
func (f *failover) awaitComplete(t *testing.T) {
	t.Helper()
	f.cluster.awaitReady()
	await(t, "all replicas are complete", settledAfter, func() error {
		for _, n := range f.cluster.nodes {
			all, err := n.partitions()
			if err != nil {
				return err
			}
			for _, p := range all {
				if p.Leader == "" || !p.Complete {
					return fmt.Errorf("%s: partition %v, led by %q: %s", n.name, p.Partition, p.Leader, p.Lacks)
				}
			}
		}
		return nil
	})
}

// led lists what a node leads by its own word.
func (f *failover) led(t *testing.T, n *node) []kv.PartitionID {
	t.Helper()
	led, err := ledBy(n, n)
	if err != nil || len(led) == 0 {
		t.Fatalf("%s leads %d partitions: %v", n.name, len(led), err)
	}
	return led
}

// leader returns the node that leads most partitions.
func (f *failover) leader(t *testing.T) *node {
	t.Helper()
	v, err := f.cluster.nodes[0].view()
	if err != nil {
		t.Fatal(err)
	}
	most := slices.MaxFunc(v.Members, func(a, b kv.MemberView) int { return cmp.Compare(a.Leaders, b.Leaders) })
	return f.cluster.named(most.Name)
}

// nothingIsMissing reads what was acknowledged last through every node.
func (f *failover) nothingIsMissing(t *testing.T) {
	t.Helper()
	f.awaitComplete(t)
	for key, acked := range f.acked {
		for _, n := range f.cluster.nodes {
			body, _, err := n.look("/kv/" + key)
			if err != nil {
				t.Errorf("%s: read %s: %v", n.name, key, err)
				continue
			}
			// A write of unknown outcome came after it, perhaps.
			if got, err := strconv.ParseUint(string(body), 10, 64); err != nil || got < acked {
				t.Errorf("%s reads %q at %s, and %d was acknowledged", n.name, body, key, acked)
			}
		}
	}
}

// failoverClient writes growing numbers to one key, one after the other. It asks one node after the other, too, and
// when a request fails it asks the next one once.
type failoverClient struct {
	nodes     []*node
	at        int // the node that is asked next
	partition kv.PartitionID
	key       string
	reads     bool // it reads its key after each write: so the leader has a lease
	http      *http.Client

	mu       sync.Mutex
	value    uint64
	acks     []time.Time
	acked    uint64
	surprise error
}

func (c *failoverClient) work(ctx context.Context) {
	for ctx.Err() == nil {
		if !c.put() {
			c.put()
		}
		if c.reads {
			c.get()
		}
		c.at++
		time.Sleep(2 * time.Millisecond) // the machine has others to serve
	}
}

// put writes the next number through the next node.
func (c *failoverClient) put() bool {
	c.at++
	c.value++
	_, status, err := c.ask(http.MethodPut, strconv.FormatUint(c.value, 10))
	if err != nil || status != http.StatusOK && status != http.StatusCreated {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acks, c.acked = append(c.acks, time.Now()), c.value
	return true
}

// get reads the key, which only this client writes.
func (c *failoverClient) get() {
	_, acked := c.last()
	body, status, err := c.ask(http.MethodGet, "")
	if err != nil || status != http.StatusOK {
		return
	}
	if got, err := strconv.ParseUint(string(body), 10, 64); err != nil || got < acked {
		c.surprise = errors.Join(c.surprise, fmt.Errorf("read %q, and %d was acknowledged", body, acked))
	}
}

func (c *failoverClient) ask(method, body string) (answer []byte, status int, err error) {
	at := c.nodes[c.at%len(c.nodes)]
	req, err := http.NewRequestWithContext(context.Background(), method, at.url()+"/kv/"+c.key, strings.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return answer, resp.StatusCode, err
}

// last returns when a write was acknowledged last, and its value.
func (c *failoverClient) last() (at time.Time, value uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.acks) > 0 {
		at = c.acks[len(c.acks)-1]
	}
	return at, c.acked
}

// gap is the longest time without an acknowledged write from a moment on.
func (c *failoverClient) gap(from time.Time) time.Duration {
	var moments []int64
	to := from
	for _, at := range c.acks {
		if at.After(from) {
			moments, to = append(moments, at.UnixNano()), at
		}
	}
	return widest(moments, from.UnixNano(), to.UnixNano())
}

// failoverTable shows all builds side by side, in milliseconds.
func failoverTable(builds []*failover) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "build\tof\tcount\tmin\tmedian\tp90\tmax")
	for _, f := range builds {
		for _, row := range []struct {
			of   string
			gaps []time.Duration
		}{
			{"partitions, written", f.written}, {"partitions, read and written", f.read},
			{"kills, the first partition", f.first}, {"kills, the last partition", f.all},
		} {
			if len(row.gaps) == 0 {
				continue
			}
			g := slices.Sorted(slices.Values(row.gaps))
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\n", f.build, row.of, len(g), g[0].Milliseconds(),
				median(g).Milliseconds(), g[(len(g)-1)*9/10].Milliseconds(), g[len(g)-1].Milliseconds())
		}
	}
	w.Flush()
	return out.String()
}
