package node

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"pxkv/node/cache"
	"pxkv/node/core"
	"pxkv/node/kv"
	"pxkv/node/loop"
	"pxkv/node/member"
	"pxkv/node/meta"
	"pxkv/node/pack"
	"pxkv/node/parts"
	"pxkv/node/rebalance"
	"pxkv/node/replica"
	"pxkv/node/rpc"
	"pxkv/persist"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// askInterval is how often nodes look whom they can ask.
const askInterval = 100 * time.Millisecond

// sure is for how long an address must refuse until nobody is there.
const sure = 400 * time.Millisecond

// cluster is what the nodes of one test have in common.
type cluster struct {
	t          testing.TB
	net        *network
	partitions int
	replicas   int
	quorum     bool // reads ask a majority each time
	maxValue   int
	limits     Limits
	touch      int // replica.Limits.TouchBytes
	tick       time.Duration
	boot       func() time.Duration // Options.Boot; nil: the system's
	log        *slog.Logger
	zones      map[string]string // by name
	// replaceAfter is Options.ReplaceAfter; 0: nobody is given up by itself.
	replaceAfter time.Duration
	packer       func(name string) *pack.Packer // of a node that starts; nil: none packs

	mu      sync.Mutex
	servers []*server // that run, in the order of their start
	drawn   int       // cluster ids: one per bootstrap
}

func newCluster(t testing.TB, options ...func(*cluster)) *cluster {
	t.Helper()
	c := &cluster{t: t, net: newNetwork(t), partitions: 8, replicas: 3, maxValue: 2 << 20, tick: testTick,
		log: slog.New(slog.DiscardHandler)}
	for _, o := range options {
		o(c)
	}
	c.net.longest = c.limits.AnswerBytes
	t.Cleanup(c.stop)
	return c
}

func partitions(n int) func(*cluster) { return func(c *cluster) { c.partitions = n } }
func replicas(n int) func(*cluster)   { return func(c *cluster) { c.replicas = n } }
func quorumReads(c *cluster)          { c.quorum = true }

// stop ends all nodes at once, without hand-over, as a test has nothing to lose.
func (c *cluster) stop() {
	c.net.heal()
	var wg sync.WaitGroup
	for _, s := range c.running() {
		wg.Go(func() { s.end(false) })
	}
	wg.Wait()
}

func (c *cluster) running() []*server {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.servers)
}

// server is one process: everything that cmd/pxkv/server builds, on a disk in memory.
type server struct {
	c      *cluster
	name   string
	fs     vfs.FS
	join   bool // do not bootstrap alone
	expect int
	seeds  []string // --join, if expect is not 0; none: the node itself

	db       *persist.DB
	core     *core.Core
	identity persist.Identity
	registry *prometheus.Registry
	machine  *meta.Machine
	host     *replica.Host
	station  *station
	loop     *loop.Loop
	node     *Node
	member   *Membership
	exec     *rebalance.Executor
	cluster  atomic.Uint64
	looks    atomic.Int64 // at the addresses of --join
	asks     atomic.Int64 // for the nodes that gossip shows
	clients  rpc.Gate     // for who uses the node until its end, as front doors do

	cancel   context.CancelFunc
	handOver atomic.Bool
	started  chan struct{} // the loop runs
	ended    chan struct{}
	refused  chan error // why the node is not wanted as it is
	err      error      // after ended
}

func (s *server) id() kv.NodeID { return s.identity.Node }

// start runs a node that bootstraps when its disk is empty.
func (c *cluster) start(name string) *server {
	c.t.Helper()
	return c.startOn(name, vfs.NewMem(), false, 0).awaitStart()
}

// joining runs a node that joins a cluster.
func (c *cluster) joining(name string) *server { return c.startOn(name, vfs.NewMem(), true, 0) }

// expecting runs one of n fresh nodes that form a cluster.
func (c *cluster) expecting(name string, n int, seeds ...string) *server {
	return c.startOn(name, vfs.NewMem(), true, n, seeds...)
}

// startOn runs a node on what its disk holds. seeds are the names of those at its addresses of --join.
func (c *cluster) startOn(name string, fs vfs.FS, join bool, expect int, seeds ...string) *server {
	c.t.Helper()
	s := &server{
		c: c, name: name, fs: fs, join: join, expect: expect, seeds: seeds,
		started: make(chan struct{}), ended: make(chan struct{}), refused: make(chan error, 2),
	}
	if err := s.build(); err != nil {
		c.t.Fatalf("build node %s: %v", name, err)
	}
	s.run()
	return s
}

// awaitStart waits until the node's loop runs.
func (s *server) awaitStart() *server {
	s.c.t.Helper()
	select {
	case <-s.started:
	case <-s.ended:
		s.c.t.Fatalf("node %s: %v", s.name, s.err)
	}
	return s
}

func (s *server) run() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.c.mu.Lock()
	s.c.servers = append(s.c.servers, s)
	s.c.mu.Unlock()
	go func() {
		defer close(s.ended)
		s.err = s.live(ctx)
	}()
}

// build makes all parts, in the order of cmd/pxkv/server.
func (s *server) build() error {
	c := s.c
	var err error
	s.db, err = persist.Open(persist.Options{FS: s.fs, Dir: "pxkv", Light: true, Logger: c.log})
	if err != nil {
		return err
	}
	start, err := core.Identify(s.db, s.name, func() kv.NodeID { return kv.NodeID(draw()) }, draw())
	if err != nil {
		return err
	}
	id := start.Identity
	s.identity = id
	s.cluster.Store(uint64(id.Cluster))
	s.registry = prometheus.NewRegistry()
	values := cache.New(1024)
	log := c.log.With("on", s.name)
	// With ticks of some milliseconds every pause of a busy machine looks like a fall: they are
	// forgiven soon, or nodes that never fell would not be led to for minutes.
	s.core, err = core.New(core.Options{
		DB: s.db, Start: start, Cache: values, Moves: rebalance.Limits{MostSteadyTicks: 28, Stalls: 1 << 20},
		Host: replica.Config{
			Logger: log, Tick: c.tick, QuorumReads: c.quorum, Limits: replica.Limits{TouchBytes: c.touch},
		},
	})
	if err != nil {
		return err
	}
	s.machine, s.host, s.exec = s.core.Machine, s.core.Host, s.core.Planner
	s.station = &station{n: c.net, id: id.Node, s: s}
	clock := Clock
	if c.boot != nil {
		clock = func() replica.Now { return replica.Now{Boot: c.boot(), WallMS: time.Now().UnixMilli()} }
	}
	s.loop = loop.New(loop.Options{
		Host: s.host, DB: s.db, Sender: s.station, Clock: clock, Logger: log, Metrics: s.registry,
	})
	s.node, err = New(Options{
		ID: id.Node, Name: s.name, DB: s.db, Loop: s.loop, Machine: s.machine, Cache: values,
		Boot: c.boot, Peers: s.station, Sight: s.station, NotSent: func(err error) bool {
			return errors.Is(err, errNotSent)
		},
		Silent:       func(err error) bool { return errors.Is(err, errQuiet) },
		Packer:       s.packer(),
		ReplaceAfter: c.replaceAfter, SteerInterval: 50 * time.Millisecond, Zone: c.zones[s.name],
		MaxValueBytes: c.maxValue, Silence: 500 * time.Millisecond, Limits: c.limits, AskInterval: askInterval,
		Logger: log, Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	s.member = NewMembership(MembershipOptions{
		Node: s.node, Core: s.core, DB: s.db,
		Addresses: func() kv.Addresses {
			return kv.Addresses{HTTP: s.name + ":80", Peer: s.name + ":1", Gossip: s.name + ":2"}
		},
		ClusterName: "test", Partitions: c.partitions, Replicas: c.replicas, Expect: s.expect,
		Neighbours: func() []Neighbour {
			s.asks.Add(1)
			return c.net.neighbours(id.Node)
		},
		Sure: sure,
		Look: func(context.Context) []member.Place {
			s.looks.Add(1)
			return c.net.look(id.Node, append([]string{s.name}, s.seeds...))
		},
		DrawCluster: func() kv.ClusterID {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.drawn++
			return kv.ClusterID(draw())
		},
		Announce: func(id kv.ClusterID) { s.cluster.Store(uint64(id)) },
		Logger:   log,
	})
	return nil
}

func (s *server) packer() *pack.Packer {
	if s.c.packer == nil {
		return nil
	}
	return s.c.packer(s.name)
}

func draw() uint64 {
	var b [8]byte
	_, _ = crand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// live is a process from its start to its end, in the order of cmd/pxkv/server.
func (s *server) live(ctx context.Context) error {
	all := parts.New()
	err := s.enter(ctx, all)
	if err == nil {
		close(s.started)
		select {
		case <-ctx.Done():
			if s.handOver.Load() {
				s.node.HandOver(context.WithoutCancel(ctx))
				s.clients.Close()
			}
		case err = <-all.Failed():
		}
	}
	s.node.Stop()
	err = errors.Join(err, all.Stop(err))
	if open := s.station.open.Load(); open != 0 {
		err = errors.Join(err, fmt.Errorf("%d requests of other nodes were never answered", open))
	}
	s.clients.Close() // before the store
	return errors.Join(err, s.db.Close())
}

func (s *server) enter(ctx context.Context, all *parts.Set) error {
	if err := s.member.Begin(!s.join); err != nil {
		return err
	}
	all.Start("peers", s.station.Run)
	if !s.member.Member() {
		if err := all.Await(ctx, s.member.AwaitCluster); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	all.Start("loop", func(ctx context.Context) error {
		err := s.loop.Run(ctx)
		if errors.Is(err, replica.ErrOutdated) || errors.Is(err, replica.ErrTwice) ||
			errors.Is(err, replica.ErrReplaced) || errors.Is(err, replica.ErrLeft) {
			s.refused <- err
			<-ctx.Done()
			return nil
		}
		return err
	})
	all.Start("node", s.node.Run)
	all.Start("membership", func(ctx context.Context) error {
		if err := s.member.Run(ctx); err != nil && ctx.Err() == nil {
			s.refused <- err
		}
		<-ctx.Done()
		return nil
	})
	return nil
}

// stop ends a node as SIGTERM does: its leaderships are handed over first.
func (s *server) stop() { s.end(true) }

// kill ends a node as a crash does that loses nothing on disk.
func (s *server) kill() {
	s.c.net.isolate(s)
	s.end(false)
	s.c.net.reconnect(s.id())
}

func (s *server) end(handOver bool) {
	s.handOver.Store(handOver)
	s.cancel()
	if s.endsByItself() != nil {
		s.c.t.Errorf("node %s: %v", s.name, s.err)
	}
}

// endsByItself waits for the node's end and returns its last word.
func (s *server) endsByItself() error {
	<-s.ended
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.servers = slices.DeleteFunc(s.c.servers, func(o *server) bool { return o == s })
	return s.err
}

// restart starts the node again on its disk. It must have been stopped.
func (s *server) restart() *server { return s.c.startOn(s.name, s.fs, s.join, s.expect, s.seeds...) }

func identityOf(id kv.NodeID) persist.Identity { return persist.Identity{Node: id} }
