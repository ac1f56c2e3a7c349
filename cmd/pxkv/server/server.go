package server

import (
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pxkv/cmd/pxkv/monitor"
	"pxkv/node"
	"pxkv/node/cache"
	"pxkv/node/core"
	"pxkv/node/kv"
	"pxkv/node/loop"
	"pxkv/node/meta"
	"pxkv/node/pack"
	"pxkv/node/parts"
	"pxkv/node/replica"
	"pxkv/node/rpc"
	"pxkv/persist"
	"pxkv/transport/peer"
)

// Server is a node: all that it consists of.
type Server struct {
	o      Options
	log    *slog.Logger
	budget *kv.Budget // of what is held for clients and other nodes

	db     *persist.DB
	start  core.Start
	values *cache.Cache
	core   *core.Core
	links  *links
	loop   *loop.Loop
	node   *node.Node
	doors  doors
	member *node.Membership

	maxBytes int64         // of the store, 0: as many as its disk has
	deciding []*parts.Part // after which nothing is promised any more, in the order of their end
}

// CollectSeldom lets the collector run a quarter as often, unless the user said how often: the
// live heap is small beside what requests allocate and throw away. An idle node stays far below
// 100 MiB.
func CollectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// New makes all parts, from the disk up, and starts none of them: whatever is wrong shows
// before anybody hears of this node.
func New(o Options) (*Server, error) {
	CollectSeldom()
	memory := limitMemory(o.Logger, "/")
	s := &Server{o: o, log: o.Logger, budget: newBudget(memory), maxBytes: bytesOf(&o, memory)}
	if err := monitor.Calm(); err != nil {
		s.log.Debug("the runtime's monitor thread keeps its priority", "error", err)
	}
	o.Metrics.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	registerBudget(s.budget, o.Metrics)
	for _, step := range []func() error{s.openStore, s.identify, s.buildCore, s.buildLinks, s.buildNode, s.buildDoors} {
		if err := step(); err != nil {
			if s.db != nil {
				err = errors.Join(err, s.db.Close())
			}
			return nil, err
		}
	}
	s.buildMembership()
	return s, nil
}

// HTTPAddr is the address at which clients of HTTP are listened for.
func (s *Server) HTTPAddr() string {
	http, _ := s.doors.addresses()
	return http
}

func (s *Server) openStore() error {
	o := persist.Options{Dir: s.o.DataDir, Limits: storeLimits, Logger: s.log, Metrics: s.o.Metrics, Fatal: s.lastWord}
	o.Keys = s.o.Keys
	if s.o.InMemory {
		o.FS, o.Dir = vfs.NewMem(), "pxkv"
	}
	if s.maxBytes > 0 {
		if o.FS == nil {
			o.FS, o.ReuseSegments = vfs.Default, true
		}
		o.FS = newBounded(o.FS, o.Dir, s.maxBytes)
	}
	var err error
	s.db, err = persist.Open(o)
	return err
}

// lastWord ends the process when the disk cannot be trusted any more.
func (s *Server) lastWord(text string) {
	s.log.Error("the disk failed: this node stops", "reason", text)
	s.o.Exit("the disk failed: " + text)
}

// identify reads who this node is, or makes it someone new, and counts the start. A node with data keeps the name of
// its cluster, whatever it is told now.
func (s *Server) identify() error {
	var err error
	s.start, err = core.Identify(s.db, s.o.Name,
		func() kv.NodeID { return core.NewID(s.o.Name, s.o.InMemory, random) }, random())
	if err != nil {
		return err
	}
	if former := s.start.Former; former != 0 {
		s.log.Info("the data directory was moved or copied before its node was in a cluster: this is a new node",
			"dir", s.o.DataDir, "former", former)
	}
	if was := s.start.Identity.ClusterName; was != "" && was != s.o.Cluster {
		s.log.Warn("a flag has no effect: this node is a member of a cluster already",
			"flag", "--cluster", "given", s.o.Cluster, "in force", was)
		s.o.Cluster = was
	}
	return nil
}

// random draws a number, which is never 0.
func random() uint64 {
	for {
		var b [8]byte
		_, _ = crand.Read(b[:]) // never fails, by its documentation
		if v := binary.LittleEndian.Uint64(b[:]); v != 0 {
			return v
		}
	}
}

func (s *Server) buildCore() error {
	s.links = newLinks(&s.o, s.start)
	s.values = cache.New(s.o.CacheEntries)
	var err error
	s.core, err = core.New(core.Options{
		DB: s.db, Start: s.start, Cache: s.values,
		Host: replica.Config{
			Limits: replicaLimits, Logger: s.log, Names: s.links.nameOf, QuorumReads: s.o.QuorumReads,
			StateBytes: s.db.EstimateBytes,
		},
	})
	if err != nil {
		return err
	}
	s.core.Machine.OnChange = func(*meta.State) { s.links.change() }
	gauge := func(name, help string, value func() int) {
		s.o.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value()) }))
	}
	gauge("pxkv_moves", "Partitions led here whose replicas are not yet where they should be: moves under way, and "+
		"those that wait.", s.core.Planner.Moves)
	gauge("pxkv_partitions_incomplete", "Groups led here, the cluster's own among them, that lack something of being "+
		"as they are wanted: a replica that is there, counts and has caught up.", s.core.Planner.Incomplete)
	gauge("pxkv_partitions_fragile", "Groups led here, the cluster's own among them, that would not be served at once "+
		"without any one of their replicas.", s.core.Planner.Fragile)
	return nil
}

// buildLinks binds the address for other nodes, and makes the loop, which speaks through it.
func (s *Server) buildLinks() error {
	if err := s.links.build(s.core.Machine, inbound{s}, s.budget); err != nil {
		return err
	}
	s.loop = loop.New(loop.Options{
		Host: s.core.Host, DB: s.db, Sender: s.links.peers, Clock: node.Clock, Logger: s.log, Metrics: s.o.Metrics,
		MoveRate: s.o.MoveRate, Asked: func() uint64 { return s.node.Reads() },
	})
	return nil
}

func (s *Server) buildNode() error {
	var err error
	s.node, err = node.New(node.Options{
		ID: s.start.Identity.Node, Name: s.o.Name, DB: s.db, Loop: s.loop, Machine: s.core.Machine, Cache: s.values,
		Peers: s.links.peers, Sight: sight{s.links}, Names: s.links.nameOf,
		NotSent:     func(err error) bool { return errors.Is(err, peer.ErrNotSent) },
		Unreachable: peer.Unreachable, Silent: peer.Silent, NoRoom: peer.NoRoom,
		MaxValueBytes: s.o.MaxValueBytes, MaxBytes: s.maxBytes,
		Packer: pack.NewPacker(s.o.Compression, packLeast), Limits: s.limits(),
		ReplaceAfter: s.o.ReplaceAfter, Zone: s.o.Zone,
		Warnings: s.warnings, Waits: s.core.Planner.Waits, Logger: s.log, Metrics: s.o.Metrics,
	})
	return err
}

// limits are the node's. A value that is loaded takes up to three times its length beside the
// budget, so few are loaded at one time where that is small.
func (s *Server) limits() node.Limits {
	l, loads := nodeLimits, s.budget.Limit()/int64(8*s.o.MaxValueBytes)
	l.AnswerBytes, l.Loads = longestAnswer-rpc.ViaOverhead, int(min(max(loads, 2), 32))
	return l
}

// buildDoors binds the addresses for clients.
func (s *Server) buildDoors() error {
	if err := s.doors.build(&s.o, s.node, encryption{s.db}, s.budget); err != nil {
		return err
	}
	s.links.clients = s.doors.addresses
	return nil
}

func (s *Server) buildMembership() {
	s.member = node.NewMembership(node.MembershipOptions{
		Node: s.node, Core: s.core, DB: s.db, Addresses: s.links.addresses,
		ClusterName: s.o.Cluster, Partitions: s.o.Partitions, Replicas: s.o.Replicas, Expect: s.o.Expect,
		Volatile:   s.o.InMemory,
		Neighbours: s.links.neighbours, Look: s.links.look, Announce: s.links.announce,
		DrawCluster: func() kv.ClusterID { return kv.ClusterID(random()) }, Logger: s.log,
	})
}
