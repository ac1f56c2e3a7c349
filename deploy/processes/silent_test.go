//go:build processes

package processes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	silentMemory  = 512 << 20 // of the node that they all ask
	silentClients = 300
	silentValues  = 24 // of 8 MiB, in all partitions
	silentKeys    = 4000
	silentBefore  = 8  // seconds of load without them
	silentBeside  = 20 // and beside them: those that take nothing are cut off after 30
)

// Clients that never read, at both doors, ask a node that has 512 MiB of memory for long values,
// for lists and for all keys, and send half of very long commands. The node lives and serves others at
// least half as fast as alone, and when they have left, so has the memory that they took.
//
// Both rates are medians of seconds, one after the other in the same run, so that neither how fast the machine
// is nor a pause of it decides; where too few are done they are counted alone once more. Those beside are of all
// seconds from the first one on, so that the node may take a few of them to load what it is asked for, which is
// a matter of the disk, but not most. No request of the others fails but by the refusals that the contract has
// for a node without room, and of those there is less than one in a hundred: what is small finds room beside
// what is large, yet the last bytes of the budget may be taken.
func TestClientsThatNeverRead(t *testing.T) {
	c := newCluster(t, 3)
	by, how := memoryGroup(t, silentMemory)
	asked := c.nodes[0]
	asked.by = by
	join := strings.Join([]string{c.nodes[0].gossip, c.nodes[1].gossip, c.nodes[2].gossip}, ",")
	for _, n := range c.nodes {
		n.extra = []string{"--join", join, "--bootstrap-expect", "3"}
		n.start()
	}
	c.awaitReady()
	c.awaitSettled()
	fillForSilent(t, asked)
	limit, err := asked.metric("pxkv_held_limit_bytes")
	if err != nil || limit > silentMemory/2 {
		t.Fatalf("the node holds up to %.0f bytes for others, %v: it does not know its memory", limit, err)
	}
	memory := watchMemory(t, c.nodes)
	idle := memory.rest(t, asked, silentMemory*2/5) // twice of more would be about all that there is
	t.Logf("a node of %d MiB, %s: %d MiB in use when idle", silentMemory>>20, how, idle>>20)

	alone := usual(t, asked, silentBefore)
	memory.forget()
	leave := neverRead(t, asked)
	beside := usual(t, asked, silentBeside)
	held, _ := asked.metric("pxkv_held_bytes")
	refused, _ := asked.metric("pxkv_held_refused_total")
	t.Logf("requests a second: %d alone, %d beside %d clients that never read (each second: %v); %d MiB held, %.0f "+
		"refusals, %d of others", alone.median(), beside.median(), silentClients, beside.slices, int(
		held)>>20, refused, beside.refused)
	t.Logf("most memory while they were there, in MiB: %v", memory.most())
	if !asked.process.running() {
		t.Fatalf("%s ended: %v", asked.name, asked.process.cmd.ProcessState)
	}
	for _, r := range []*rates{alone, beside} {
		if r.failed > 0 {
			t.Errorf("%d requests of others failed, such as %v", r.failed, r.failure)
		}
	}
	if alone.refused > 0 || beside.refused > beside.done()/100 {
		t.Errorf("%d requests of others were refused alone, and %d of %d beside", alone.refused, beside.refused,
			beside.done())
	}
	if held > limit*1.25 || refused == 0 {
		t.Errorf("%.0f bytes are held of at most %.0f, with %.0f refusals", held, limit, refused)
	}
	leave()
	begin := time.Now()
	left := residentOf(asked.process.cmd.Process.Pid)
	// It is looked at from outside: a node that is asked about itself all the time has work, and garbage. What was idle
	// at first, with values that pack well, may have had little of what a store keeps in memory as it is used.
	mayKeep := max(idle, (left-idle)/3)
	await(t, "memory is back", time.Minute, func() error {
		if now := residentOf(asked.process.cmd.Process.Pid); now >= idle+mayKeep {
			return fmt.Errorf("%d MiB, %d when they left, %d when idle", now>>20, left>>20, idle>>20)
		}
		return nil
	})
	t.Logf("back, but for %d MiB, %v after they left, with %d", mayKeep>>20, round(time.Since(begin)), left>>20)
	await(t, "nothing is held", time.Minute, func() error {
		for _, n := range c.nodes { // by the others for the one that was asked
			if held, err := n.metric("pxkv_held_bytes"); err != nil || held > 1<<20 {
				return fmt.Errorf("%s holds %.0f bytes, %v", n.name, held, err)
			}
		}
		return nil
	})
	c.awaitReady()
	if beside.median() < alone.median()/2 {
		// The machine itself may have become slower since it was looked at how many they are alone.
		again := usual(t, asked, silentBefore)
		if beside.median() < min(alone.median(), again.median())/2 {
			t.Errorf("others did %d requests a second, less than half of %d, and of %d afterwards", beside.median(),
				alone.median(), again.median())
		}
	}
}

// fillForSilent writes long values everywhere, and many short ones with long keys.
func fillForSilent(t *testing.T, n *node) {
	long := strings.Repeat("0123456789abcdef", 8<<20/16)
	for i := range silentValues {
		await(t, "a long value is written", 30*time.Second, func() error {
			req, _ := http.NewRequest(http.MethodPut, n.url()+fmt.Sprintf("/kv/long%d", i), strings.NewReader(long))
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if body, _ := io.ReadAll(res.Body); res.StatusCode/100 != 2 {
				return fmt.Errorf("%s: %s", res.Status, body)
			}
			return nil
		})
	}
	r := dialRedis(t, n.resp)
	for i := 0; i < silentKeys; i += 100 {
		words := []string{"MSET"}
		for k := range 100 {
			words = append(words, fmt.Sprintf("%01000d", i+k), "v")
		}
		if got := r.do(words); got[0] != "+OK" {
			t.Fatalf("MSET: %v", got)
		}
	}
}

// neverRead connects clients that ask and do not read. What it returns makes them leave.
func neverRead(t *testing.T, n *node) (leave func()) {
	unfinished := "*131072\r\n" + strings.Repeat("$1\r\na\r\n", 131_000)
	var conns []net.Conn
	for i := range silentClients {
		address, ask := n.http, ""
		switch i % 15 {
		case 0, 1, 2, 3, 4, 5:
			ask = fmt.Sprintf("GET /kv/long%d HTTP/1.1\r\nHost: x\r\n\r\n", i%silentValues)
		case 6, 7:
			ask = "GET /kv HTTP/1.1\r\nHost: x\r\n\r\n"
		case 8, 9, 10:
			address, ask = n.resp, fmt.Sprintf("GET long%d\r\nGET long%d\r\n", i%silentValues, (i+1)%silentValues)
		case 11: // twenty of 4 MB each: every one walks all keys of three nodes, and 300 would be the load themselves
			address, ask = n.resp, "KEYS *\r\n"
		default:
			address, ask = n.resp, unfinished
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, ask) // who is refused may be closed already
	}
	return func() {
		for _, conn := range conns {
			conn.Close()
		}
	}
}

// rates is how many requests of other clients were done in each second.
type rates struct {
	slices  []int
	refused int // as the contract says of a node without room
	failed  int // otherwise
	failure error
}

func (r *rates) median() int {
	sorted := slices.Sorted(slices.Values(r.slices))
	return sorted[len(sorted)/2]
}

func (r *rates) done() (n int) {
	for _, done := range r.slices {
		n += done
	}
	return n
}

// errRefused is the failure of a request that found no room.
var errRefused = errors.New("no room")

// usual lets a few clients, half of them at each door, read and write short values for some seconds.
func usual(t *testing.T, n *node, seconds int) *rates {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var done atomic.Int64
	out := &rates{}
	var mu sync.Mutex
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if errors.Is(err, errRefused) {
			out.refused++
		} else if out.failed++; out.failure == nil {
			out.failure = err
		}
	}
	var clients sync.WaitGroup
	for i := range 8 {
		work := usualRedis
		if i%2 == 0 {
			work = usualHTTP
		}
		clients.Go(func() {
			if err := work(ctx, n, i, &done, fail); err != nil {
				fail(err)
			}
		})
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for last := int64(0); len(out.slices) < seconds; {
		<-ticker.C
		now := done.Load()
		out.slices = append(out.slices, int(now-last))
		last = now
	}
	stop()
	clients.Wait()
	return out
}

func usualHTTP(ctx context.Context, n *node, number int, done *atomic.Int64, fail func(error)) error {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	for i := 0; ctx.Err() == nil; i++ {
		method, body := http.MethodGet, ""
		if i%4 == 0 {
			method, body = http.MethodPut, "short"
		}
		req, err := http.NewRequest(method, fmt.Sprintf("%s/kv/usual%d-%d", n.url(), number, i/4%50),
			strings.NewReader(body))
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			fail(err)
			continue
		}
		text, _ := io.ReadAll(res.Body)
		if res.Body.Close(); res.StatusCode == http.StatusServiceUnavailable &&
			strings.Contains(string(text), `"code":"overloaded"`) {
			fail(errRefused)
			continue
		}
		if res.StatusCode/100 != 2 {
			fail(fmt.Errorf("%s of a short value: %s: %s", method, res.Status, text))
			continue
		}
		done.Add(1)
	}
	return nil
}

func usualRedis(ctx context.Context, n *node, number int, done *atomic.Int64, fail func(error)) error {
	conn, err := net.Dial("tcp", n.resp)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for i := 0; ctx.Err() == nil; i++ {
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		command, lines := fmt.Sprintf("GET usual%d-%d\r\n", number, i/4%50), 2
		if i%4 == 0 {
			command, lines = fmt.Sprintf("SET usual%d-%d short\r\n", number, i/4%50), 1
		}
		if _, err := io.WriteString(conn, command); err != nil {
			return err
		}
		refused := false
		for range lines {
			line, err := in.ReadString('\n')
			if err != nil {
				return err
			}
			if refused = strings.Contains(line, "node holds too many bytes for its clients"); refused {
				fail(errRefused)
				break
			}
			if line[0] == '-' {
				return fmt.Errorf("%q: %s", command, line)
			}
		}
		if !refused {
			done.Add(1)
		}
	}
	return nil
}

// memoryWatch remembers the most memory of each node.
type memoryWatch struct {
	nodes []*node
	mu    sync.Mutex
	peaks []int64
}

func watchMemory(t *testing.T, nodes []*node) *memoryWatch {
	w := &memoryWatch{nodes: nodes, peaks: make([]int64, len(nodes))}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			w.mu.Lock()
			for i, n := range nodes {
				w.peaks[i] = max(w.peaks[i], residentOf(n.process.cmd.Process.Pid))
			}
			w.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return w
}

func (w *memoryWatch) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.peaks)
}

func (w *memoryWatch) most() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Clone(w.peaks)
	for i := range out {
		out[i] >>= 20
	}
	return out
}

// rest waits until a node's memory has stopped to shrink, and returns how much it is.
func (w *memoryWatch) rest(t *testing.T, n *node, most int64) int64 {
	t.Helper()
	least, since := residentOf(n.process.cmd.Process.Pid), time.Now()
	await(t, n.name+" is idle", time.Minute, func() error {
		if now := residentOf(n.process.cmd.Process.Pid); now < least-4<<20 {
			least, since = now, time.Now()
		}
		// On a busy machine the collector and the runtime take their time to give memory back.
		if quiet := time.Since(since); quiet < 12*time.Second || least > most {
			return fmt.Errorf("its memory shrank %v ago, to %d MiB", quiet, least>>20)
		}
		return nil
	})
	return least
}
