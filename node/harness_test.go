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
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/rebalance"
	"pxkv/node/replica"
	"pxkv/persist"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// cluster is what the nodes of one test have in common.
type cluster struct {
	t          *testing.T
	net        *network
	partitions int
	replicas   int
	quorum     bool // reads ask a majority each time
	maxValue   int
	tick       time.Duration
	log        *slog.Logger

	mu      sync.Mutex
	servers []*server // that run, in the order of their start
	drawn   int       // cluster ids: one per bootstrap
}

func newCluster(t *testing.T, options ...func(*cluster)) *cluster {
	t.Helper()
	c := &cluster{t: t, net: newNetwork(t), partitions: 8, replicas: 3, maxValue: 2 << 20, tick: testTick, log: slog.New(slog.DiscardHandler)}
	for _, o := range options {
		o(c)
	}
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

// server is one process: everything that cmd/pxkv builds, on a disk in memory.
type server struct {
	c      *cluster
	name   string
	fs     vfs.FS
	join   bool // do not bootstrap alone
	expect int

	db          *persist.DB
	fresh       bool
	identity    persist.Identity
	incarnation uint64
	registry    *prometheus.Registry
	machine     *meta.Machine
	host        *replica.Host
	station     *station
	loop        *replica.Loop
	node        *Node
	member      *Membership
	cluster     atomic.Uint64

	cancel   context.CancelFunc
	handOver atomic.Bool
	started  chan struct{} // the loop runs
	ended    chan struct{}
	refused  chan error // the end of Membership.Run, when it is an error
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
func (c *cluster) expecting(name string, n int) *server {
	return c.startOn(name, vfs.NewMem(), true, n)
}

// startOn runs a node on what its disk holds.
func (c *cluster) startOn(name string, fs vfs.FS, join bool, expect int) *server {
	c.t.Helper()
	s := &server{
		c: c, name: name, fs: fs, join: join, expect: expect,
		started: make(chan struct{}), ended: make(chan struct{}), refused: make(chan error, 1),
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

// build makes all parts, in the order of cmd/pxkv.
func (s *server) build() error {
	c := s.c
	var err error
	s.db, err = persist.Open(persist.Options{FS: s.fs, Dir: "pxkv", Light: true, Logger: c.log})
	if err != nil {
		return err
	}
	id, known, err := s.db.Identity()
	if err != nil {
		return err
	}
	if !known {
		s.fresh = true
		id = persist.Identity{Node: kv.NodeID(draw())}
	}
	id.Name = s.name
	id.Starts++
	s.identity, s.incarnation = id, draw()
	s.cluster.Store(uint64(id.Cluster))
	if err := s.db.SaveIdentity(id); err != nil {
		return err
	}
	s.registry = prometheus.NewRegistry()
	s.machine = meta.NewMachine(s.db, id.Node)
	s.machine.SetOwn(id.MetaReplica)
	values := cache.New(1024)
	exec := &rebalance.Executor{State: s.machine.State}
	log := c.log.With("on", s.name)
	s.host, err = replica.NewHost(replica.Config{
		Node: id.Node, Incarnation: s.incarnation, DB: s.db, Policy: s.machine, Cache: values,
		Machine: func(p kv.PartitionID) replica.StateMachine {
			if p == kv.Meta {
				return s.machine
			}
			return &replica.KV{Known: values.Has}
		},
		Logger: log, Tick: c.tick, Fresh: s.fresh, QuorumReads: c.quorum, OnTick: exec.Tick,
	})
	if err != nil {
		return err
	}
	s.station = &station{n: c.net, id: id.Node, s: s}
	s.loop = replica.NewLoop(replica.LoopOptions{Host: s.host, DB: s.db, Sender: s.station, Clock: Clock, Logger: log, Metrics: s.registry})
	s.node, err = New(Options{
		ID: id.Node, Name: s.name, DB: s.db, Loop: s.loop, Machine: s.machine, Cache: values,
		Peers: s.station, Sight: s.station, NotSent: func(err error) bool { return errors.Is(err, errNotSent) },
		MaxValueBytes: c.maxValue, Logger: log, Metrics: s.registry,
	})
	if err != nil {
		return err
	}
	s.member = NewMembership(MembershipOptions{
		Node: s.node, Host: s.host, DB: s.db, Machine: s.machine, Identity: id, Incarnation: s.incarnation,
		Addresses: func() kv.Addresses {
			return kv.Addresses{HTTP: s.name + ":80", Peer: s.name + ":1", Gossip: s.name + ":2"}
		},
		ClusterName: "test", Partitions: c.partitions, Replicas: c.replicas, Expect: s.expect,
		Neighbours: func() []Neighbour { return c.net.neighbours(id.Node) },
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

func draw() uint64 {
	var b [8]byte
	_, _ = crand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// live is a process from its start to its end, in the order of cmd/pxkv.
func (s *server) live(ctx context.Context) error {
	var parts []*part
	failed := make(chan error, 4)
	run := func(name string, f func(context.Context) error) {
		p := startPart(name, f, failed)
		parts = append(parts, p)
	}
	err := s.enter(ctx, run)
	if err == nil {
		close(s.started)
		select {
		case <-ctx.Done():
			if s.handOver.Load() {
				s.node.HandOver(context.WithoutCancel(ctx))
			}
		case err = <-failed:
		}
	}
	s.node.Stop()
	for _, p := range slices.Backward(parts) {
		if e := p.stop(); !errors.Is(err, e) {
			err = errors.Join(err, e)
		}
	}
	if open := s.station.open.Load(); open != 0 {
		err = errors.Join(err, fmt.Errorf("%d requests of other nodes were never answered", open))
	}
	return errors.Join(err, s.db.Close())
}

func (s *server) enter(ctx context.Context, run func(string, func(context.Context) error)) error {
	if err := s.member.Adopt(); err != nil {
		return err
	}
	if !s.member.Member() && !s.join {
		if err := s.member.Bootstrap(); err != nil {
			return err
		}
	}
	run("peers", s.station.Run)
	if !s.member.Member() {
		found, err := s.member.AwaitCluster(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case !found:
			if err := s.member.Bootstrap(); err != nil {
				return err
			}
		}
	}
	run("loop", s.loop.Run)
	run("node", s.node.Run)
	run("membership", func(ctx context.Context) error {
		if err := s.member.Run(ctx); err != nil && ctx.Err() == nil {
			s.refused <- err
		}
		<-ctx.Done()
		return nil
	})
	return nil
}

// part is something that runs, with an end of its own.
type part struct {
	name   string
	cancel context.CancelFunc
	done   sync.WaitGroup
	err    error
}

func startPart(name string, run func(context.Context) error, failed chan<- error) *part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{name: name, cancel: cancel}
	p.done.Go(func() {
		if err := run(ctx); err != nil {
			p.err = fmt.Errorf("%s: %w", name, err)
			failed <- p.err
		}
	})
	return p
}

func (p *part) stop() error {
	p.cancel()
	p.done.Wait()
	return p.err
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
	<-s.ended
	s.c.mu.Lock()
	s.c.servers = slices.DeleteFunc(s.c.servers, func(o *server) bool { return o == s })
	s.c.mu.Unlock()
	if s.err != nil {
		s.c.t.Errorf("node %s: %v", s.name, s.err)
	}
}

// restart starts the node again on its disk. It must have been stopped.
func (s *server) restart() *server { return s.c.startOn(s.name, s.fs, s.join, s.expect) }

func identityOf(id kv.NodeID) persist.Identity { return persist.Identity{Node: id} }
