package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
)

// What node/sim does not have is simulated here: the loop, membership, routing, batches, lists, walks and
// transactions of whole nodes, with all their goroutines, in a bubble of testing/synctest. Time stands still
// while anybody works, so seconds of timeouts and elections take milliseconds. A seed draws what clients do and
// which faults strike; how goroutines take turns it does not, so the same seed may give another run.

// TestLayers plays LAYERS_COUNT schedules from seed LAYERS_SEED on.
func TestLayers(t *testing.T) {
	t.Parallel()
	first, count := fromEnv(t, "LAYERS_SEED", 1), fromEnv(t, "LAYERS_COUNT", layersCount)
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newSchedule(t, seed).play() })
		})
	}
}

func fromEnv(t *testing.T, name string, or uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return or
	}
	n, err := strconv.ParseUint(text, 10, 64)
	must(t, err)
	return n
}

// schedule is one run: a cluster, its clients, and what befalls it.
type schedule struct {
	t     *testing.T
	c     *cluster
	rng   *rand.Rand // of the faults
	began time.Time
	seed  uint64
	h     history
	nodes int     // that were ever started
	down  *server // nil: all run
	back  time.Time
	wiped bool // a node has lost its disk
	// budget is of what all nodes hold for clients; nil: there is none
	budget  *kv.Budget
	tight   bool // batches take several requests and log entries
	calm    bool // nothing happens but that nodes are asked to stop, and join: every request must be carried out
	odds    odds
	filling string // behind every value, so that it can be compressed
}

// odds are how often a request between nodes is lost in one way or the other.
type odds struct {
	mu                  sync.Mutex
	rng                 *rand.Rand
	lose, hold, notSent float64
}

const (
	layersClients = 5
	layersFaults  = 4 * time.Second
)

func newSchedule(t *testing.T, seed uint64) *schedule {
	s := &schedule{t: t, rng: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), seed: seed}
	s.odds.rng = rand.New(rand.NewPCG(seed, 1))
	s.calm = seed%8 == 0
	// Each is none in half of the schedules, so that some are about one thing.
	for _, p := range []*float64{&s.odds.lose, &s.odds.hold, &s.odds.notSent} {
		if *p = max(0, s.rng.Float64()-0.5) / 5; s.calm {
			*p = 0
		}
	}
	s.h.t = t
	s.c = newCluster(t, func(c *cluster) {
		c.boot = func() time.Duration { return time.Hour + time.Since(s.began) }
		c.quorum = s.rng.IntN(4) == 0
		c.limits.PageItems = 1 + s.rng.IntN(12)
		c.limits.WalkKeys, c.limits.PageLooked = 1+s.rng.IntN(20), 1+s.rng.IntN(40)
		if s.tight = s.rng.IntN(2) == 0; s.tight {
			c.limits.RequestBytes, c.limits.UnitBytes = 40+s.rng.IntN(300), 1+s.rng.IntN(60)
		}
		s.narrow(c)
		s.compress(c)
	})
	return s
}

// narrow draws the rest of the limits, and how little nodes may hold for their clients, by numbers of its own, which
// seeds do not rest on.
func (s *schedule) narrow(c *cluster) {
	rng := rand.New(rand.NewPCG(s.seed, 100))
	if l := &c.limits; rng.IntN(2) == 0 {
		l.Loads, l.PageBytes, l.WalkBytes = 1+rng.IntN(2), 1+rng.IntN(200), 1+rng.IntN(100)
		l.Filtering = l.Loads
		if s.tight {
			l.ReadBytes = 1 + rng.IntN(40)
		}
	}
	if !s.calm && rng.IntN(2) == 0 {
		s.budget = kv.NewBudget(1<<10 + rng.Int64N(100<<10))
		s.h.refuses = true
	}
}

func (s *schedule) play() {
	s.begin()
	ctx, stop := context.WithCancel(s.t.Context())
	defer stop()
	var clients sync.WaitGroup
	for i := range layersClients {
		clients.Go(func() { newClient(s, i).run(ctx) })
	}
	s.restore()
	for end := time.Now().Add(layersFaults); time.Now().Before(end); {
		time.Sleep(time.Duration(10+s.rng.IntN(300)) * time.Millisecond)
		if s.down != nil && time.Now().After(s.back) {
			s.restart()
		}
		s.strike()
	}
	s.c.net.heal()
	if s.down != nil {
		s.restart()
	}
	time.Sleep(time.Second)
	stop()
	s.await(&clients)
	if b := s.budget; b != nil && b.Held() != 0 {
		s.t.Errorf("%d bytes are held for nobody", b.Held())
	}
	s.c.settled(s.nodes)
	newClient(s, layersClients).readAll()
	s.h.check()
	if s.calm && len(s.h.endings) != 1 {
		s.t.Error("nodes were asked to stop only, and not every request was done")
	}
	s.t.Logf("%v: %s", time.Since(s.began).Round(time.Millisecond), s.h.tally())
}

// begin makes a cluster of three: one after the other, or all at once with one command line.
func (s *schedule) begin() {
	names := []string{"n0", "n1", "n2"}
	together := s.rng.IntN(3) == 0
	for i, name := range names {
		switch {
		case together:
			s.c.expecting(name, len(names), names...)
		case i == 0:
			s.c.start(name)
		default:
			s.c.joining(name)
		}
	}
	s.nodes = len(names)
	s.c.settled(s.nodes)
}

// await waits for the clients, each of whose requests has a deadline.
func (s *schedule) await(clients *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		clients.Wait()
	}()
	select {
	case <-done:
	case <-time.After(10 * longestRequest):
		s.t.Fatal("a request was never answered")
	}
}

// strike lets one thing happen to the cluster.
func (s *schedule) strike() {
	servers := s.c.running()
	s.rng.Shuffle(len(servers), func(i, j int) { servers[i], servers[j] = servers[j], servers[i] })
	a, b := servers[0], servers[1]
	what := s.rng.IntN(11)
	if s.calm {
		what = 7 + s.rng.IntN(2)
	}
	switch net := s.c.net; what {
	case 0:
		net.cutLink(a.id(), b.id())
	case 1:
		net.cutLink(a.id(), b.id())
		net.cutLink(b.id(), a.id())
	case 2:
		net.isolate(a)
	case 3:
		net.pause(a, true)
		time.AfterFunc(time.Duration(s.rng.IntN(600))*time.Millisecond, func() { net.pause(a, false) })
	case 4:
		for _, to := range servers[1:] {
			net.setDelay(a, to, s.delay(100))
			net.setDelay(to, a, s.delay(100))
		}
	case 5, 6:
		if s.down == nil {
			s.takeDown(a, (*server).kill)
		}
	case 7:
		if s.down == nil {
			s.takeDown(a, (*server).stop)
		}
	case 8:
		if s.nodes < 4 {
			s.c.joining(fmt.Sprint("n", s.nodes))
			s.nodes++
		}
	default:
		net.heal()
		s.restore()
	}
}

func (s *schedule) takeDown(a *server, how func(*server)) {
	how(a)
	s.down, s.back = a, time.Now().Add(time.Duration(s.rng.IntN(1500))*time.Millisecond)
}

// restart starts the node that is down, once in a schedule without its disk: as another one of its name.
func (s *schedule) restart() {
	if a := s.down; !s.wiped && s.rng.IntN(8) == 0 {
		s.wiped = true
		s.c.startOn(a.name, vfs.NewMem(), true, 0)
	} else {
		a.restart()
	}
	s.down = nil
}

func (s *schedule) delay(most int) time.Duration {
	return time.Duration(s.rng.IntN(1000*most)) * time.Microsecond
}

// restore brings back what is always so: everything takes a while, and some requests get lost.
func (s *schedule) restore() {
	for _, a := range s.c.running() {
		for _, b := range s.c.running() {
			s.c.net.setDelay(a, b, s.delay(3))
		}
	}
	s.c.net.setJudge(s.odds.judge)
}

func (o *odds) judge(r request) fate {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch x := o.rng.Float64(); {
	case x < o.lose:
		return loseAnswer
	case x < o.lose+o.hold:
		return holdAnswer
	case x < o.lose+o.hold+o.notSent:
		return notSent
	}
	return deliver
}

// longestRequest is the longest time that a client gives to a request.
const longestRequest = 3 * time.Second

// client sends one request after the other through nodes that it draws.
type client struct {
	s      *schedule
	rng    *rand.Rand
	id     int
	values int                  // written so far
	fresh  []string             // keys that only this client writes
	seen   map[string]versioned // what it saw last
}

type versioned struct {
	value   string
	version uint64
	index   uint64 // of the answer
}

func newClient(s *schedule, id int) *client {
	return &client{s: s, rng: rand.New(rand.NewPCG(s.seed, uint64(2+id))), id: id, seen: map[string]versioned{}}
}

func (k *client) run(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(k.rng.IntN(30_000)) * time.Microsecond)
		servers := k.s.c.running()
		if len(servers) == 0 {
			continue
		}
		through := servers[k.rng.IntN(len(servers))]
		if k.s.calm && through.machine.State() == nil || !through.clients.Enter() {
			continue // a node that has not joined yet refuses everything
		}
		limit := longestRequest
		if !k.s.calm {
			limit = time.Duration(50+k.rng.IntN(int(limit.Milliseconds())-50)) * time.Millisecond
		}
		k.request(through, limit)
		through.clients.Leave()
	}
}

// request sends one request, which must end in time. Virtual time passes in waiting only.
func (k *client) request(through *server, limit time.Duration) {
	ctx, cancel := context.WithTimeout(k.s.t.Context(), limit)
	defer cancel()
	if k.s.budget != nil {
		var held kv.Account
		held.Open(k.s.budget, kv.OfClients)
		defer held.Close()
		ctx = kv.WithAccount(ctx, &held)
		defer func() {
			if held.Held() < 0 {
				k.s.t.Errorf("a request gave %d bytes back that it never held", -held.Held())
			}
		}()
	}
	began := time.Now()
	n := through.node
	what := k.send(ctx, n)
	if took := time.Since(began); took > limit {
		k.s.t.Errorf("a %s through %s had %v and took %v", what, through.name, limit, took)
	}
}

func (k *client) send(ctx context.Context, n *Node) string {
	switch x := k.rng.IntN(100); {
	case x < 35:
		k.write(ctx, n)
		return "write"
	case x < 50:
		k.read(ctx, n, k.someKey())
		return "read"
	case x < 55:
		k.stale(ctx, n, k.counter())
		return "stale read"
	case x < 75:
		k.batch(ctx, n)
		return "batch"
	case x < 87:
		k.transact(ctx, n)
		return "transaction"
	case x < 92:
		k.list(ctx, n, k.query())
		return "list"
	case x < 96:
		k.count(ctx, n)
		return "count"
	default:
		k.walk(ctx, n)
		return "walk"
	}
}

// readAll reads everything that was ever written, in every way.
func (k *client) readAll() {
	ctx := within(k.s.t, patience)
	for i, key := range k.s.h.keys() {
		servers := k.s.c.running()
		k.read(ctx, servers[i%len(servers)].node, key)
	}
	for _, s := range k.s.c.running() {
		k.list(ctx, s.node, kv.ListQuery{})
		k.count(ctx, s.node)
		k.walk(ctx, s.node)
	}
}
