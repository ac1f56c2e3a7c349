//go:build processes && soak

package processes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pxkv/deploy/loadcheck"
)

const (
	roundLasts = 30 * time.Second // then the histories of the hot keys are checked, and a new one begins
	comesBack  = 2 * time.Minute  // a node that was struck, on a machine that may be busy
	smallDisk  = 1536 << 20       // bytes of the disk that fills up
	ballast    = "ballast"
	largeKeys  = 6
	largeValue = 1 << 20 // bytes, at most
)

// soak is faults of all kinds, one after the other, under load of all kinds.
type soak struct {
	*cluster
	rng    *rand.Rand
	lan    *lan
	usages usages
	small  string   // where the disk that fills up is mounted, "" when none could be
	joined bool     // the fourth node is a member
	bag    []string // faults to come
	count  map[string]int
	ctx    context.Context // ends when the tests are interrupted
}

// TestSoak runs for about as long as SOAK says, 3 minutes by default.
func TestSoak(t *testing.T) {
	lasts := 3 * time.Minute
	if v := os.Getenv("SOAK"); v != "" {
		var err error
		if lasts, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	s := newSoak(t)
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM) // then all is tidied up as well
	defer stop()
	s.ctx = ctx
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { s.watch(ctx) })
	wg.Go(func() { s.writeLarge(ctx) })

	var ledger loadcheck.Ledger
	for round, began := 0, time.Now(); time.Since(began) < lasts && ctx.Err() == nil && !t.Failed(); round++ {
		s.round(round, &ledger, min(roundLasts, lasts-time.Since(began)))
	}
	stop()
	wg.Wait()
	s.allReady()
	t.Logf("faults: %v", s.count)
	t.Logf("what the nodes used at most:\n%s", s.usages.table(s.nodes))
	verify(t, &ledger, s.members())
}

func newSoak(t *testing.T) *soak {
	seed := uint64(time.Now().UnixNano())
	s := &soak{cluster: newCluster(t, 4), rng: rand.New(rand.NewPCG(seed, 1)),
		usages: usages{most: map[string]*usage{}}, count: map[string]int{}}
	s.lan = newLAN(t, s.nodes)
	s.mountSmall(s.nodes[1])
	join := strings.Join([]string{s.nodes[0].gossip, s.nodes[1].gossip, s.nodes[2].gossip}, ",")
	for i, n := range s.nodes {
		n.extra = []string{"--join", join}
		if i < 3 {
			n.extra = append(n.extra, "--bootstrap-expect", "3")
			s.begin(n)
		}
	}
	s.allReady()
	return s
}

// mountSmall gives a node a disk of its own that can be filled.
func (s *soak) mountSmall(n *node) {
	small := n.dir + "-disk"
	if err := os.MkdirAll(small, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, fmt.Sprintf("size=%d", smallDisk)); err != nil {
		s.t.Logf("NO FULL DISKS, since nothing can be mounted here: %v", err)
		return
	}
	s.t.Cleanup(func() {
		n.process.kill()
		if err := syscall.Unmount(small, syscall.MNT_DETACH); err != nil {
			s.t.Error(err)
		}
	})
	s.small, n.dir = small, filepath.Join(small, "data")
}

func (s *soak) begin(n *node) {
	n.start()
	s.usages.started(n)
}

// members are the nodes that clients use.
func (s *soak) members() []*node {
	if s.joined {
		return s.nodes
	}
	return s.nodes[:3]
}

// round plays faults for a while, and checks what the clients of the hot keys were told.
func (s *soak) round(number int, ledger *loadcheck.Ledger, lasts time.Duration) {
	crowd := newCrowdOn(s.t, s.members(), number*1_000_000)
	l := startLoad(s.t, ledger, fmt.Sprintf("soak-%d-", number), s.members())
	for began := time.Now(); time.Since(began) < lasts && s.ctx.Err() == nil && !s.t.Failed(); {
		s.strike()
	}
	crowd.end()
	sum := l.end()
	if sum.Lost > 0 {
		s.t.Errorf("round %d: acknowledged writes were not found: %v", number, sum)
	}
	ops := crowd.history.all()
	if what := fault(ops); what != "" {
		s.t.Errorf("round %d: the history is not linearizable: %s", number, what)
	}
	writes, reads := unknowns(ops)
	s.t.Logf("round %d: %d operations on hot keys (%d writes and %d reads unknown); %d acknowledged writes, %d failed",
		number, len(ops), writes, reads, sum.Acked, sum.Failed)
}

// draw takes the kinds of faults in a random order, all of them before any comes again.
func (s *soak) draw() string {
	if len(s.bag) == 0 {
		s.bag = []string{"kill", "kill", "pause", "stop", "cut off", "pair", "one way", "full", "wipe", "join"}
		s.rng.Shuffle(len(s.bag), func(i, j int) { s.bag[i], s.bag[j] = s.bag[j], s.bag[i] })
	}
	what := s.bag[0]
	s.bag = s.bag[1:]
	return what
}

// strike plays one fault and waits until all nodes are ready again.
func (s *soak) strike() {
	between := func(lo, hi time.Duration) time.Duration { return lo + time.Duration(s.rng.Int64N(int64(hi-lo))) }
	members := s.members()
	i := s.rng.IntN(len(members))
	n, j := members[i], (i+1+s.rng.IntN(len(members)-1))%len(members)
	d := between(300*time.Millisecond, 7*time.Second)
	what := s.draw()
	switch what {
	case "kill":
		n.process.kill()
		time.Sleep(d / 2)
		s.begin(n)
	case "pause":
		n.process.signal(syscall.SIGSTOP)
		time.Sleep(d)
		n.process.signal(syscall.SIGCONT)
	case "stop":
		n.terminate()
		s.begin(n)
	case "cut off", "pair", "one way":
		if s.lan == nil {
			return
		}
		s.cut(what, i, j)
		time.Sleep(d)
		for k := range s.nodes {
			s.must(s.lan.heal(k))
		}
	case "full":
		if s.small == "" {
			return
		}
		n = s.nodes[1]
		s.fill(int64(s.rng.IntN(300)) << 20)
		time.Sleep(d)
		s.must(os.Remove(filepath.Join(s.small, ballast)))
		time.Sleep(500 * time.Millisecond) // until the node has seen that there is room
	case "wipe":
		s.allSettled() // else too many copies may be gone at once
		n.process.kill()
		n.wipe()
		s.begin(n)
	case "join":
		if s.joined {
			return
		}
		n = s.nodes[3]
		s.begin(n)
		time.Sleep(d / 2)
		n.process.kill()
		time.Sleep(d / 2)
		s.begin(n)
		s.joined = true
	}
	s.count[what]++
	s.t.Logf("%s of %s for %v", what, n.name, round(d))
	s.allReady()
	if what == "wipe" || what == "join" {
		s.allSettled()
	}
}

func (s *soak) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// cut cuts one node off from all others, or from one, or makes it deaf to one.
func (s *soak) cut(how string, i, j int) {
	for k := range s.nodes {
		if k == i || how != "cut off" && k != j {
			continue
		}
		s.must(s.lan.deaf(i, k))
		if how != "one way" {
			s.must(s.lan.deaf(k, i))
		}
	}
}

// fill leaves that many bytes on the small disk, as far as the node that writes to it meanwhile lets it.
func (s *soak) fill(leave int64) {
	for range 100 {
		f, err := os.Create(filepath.Join(s.small, ballast))
		s.must(err)
		var st syscall.Statfs_t
		s.must(syscall.Statfs(s.small, &st))
		if n := int64(st.Bavail)*st.Bsize - leave; n > 0 {
			err = syscall.Fallocate(int(f.Fd()), 0, 0, n)
		}
		f.Close()
		if !errors.Is(err, syscall.ENOSPC) {
			s.must(err)
			return
		}
	}
	s.t.Fatalf("the small disk cannot be filled but for %d bytes: its free room changes all the time", leave)
}

// allReady waits for every member. One whose disk was full may have ended, and starts again;
// nothing else may end a node by itself.
func (s *soak) allReady() {
	s.t.Helper()
	for _, n := range s.members() {
		await(s.t, n.name+" is ready", comesBack, func() error {
			if !n.process.running() {
				if n != s.nodes[1] || s.small == "" || !strings.Contains(n.logTail(40), "no space left") {
					s.t.Fatalf("%s ended by itself: %v", n.name, n.process.cmd.ProcessState)
				}
				s.begin(n)
			}
			return n.ready()
		})
	}
}

func (s *soak) allSettled() {
	s.t.Helper()
	await(s.t, "replicas and leaders are where the placement wants them", comesBack, func() error {
		for _, n := range s.members() {
			if err := n.settled(s.members()); err != nil {
				return fmt.Errorf("%s: %w", n.name, err)
			}
		}
		return nil
	})
}

// watch samples what the nodes use.
func (s *soak) watch(ctx context.Context) {
	tick := time.NewTicker(usageEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, n := range s.nodes {
			if err := s.usages.sample(n); err != nil {
				s.t.Error(err)
			}
		}
	}
}

// writeLarge writes a few large values again and again, through every node. Whether they are
// taken is the business of others; here they are in everybody's way.
func (s *soak) writeLarge(ctx context.Context) {
	client := &http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	body := bytes.Repeat([]byte("large"), largeValue/5)
	for i := 0; ctx.Err() == nil; i++ {
		n := s.nodes[i%3]
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/kv/large-%d", n.url(), i%largeKeys),
			bytes.NewReader(body[:rand.IntN(len(body))]))
		if err != nil {
			s.t.Error(err)
			return
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}
