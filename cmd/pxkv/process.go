package main

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pxkv/node"
	"pxkv/node/cache"
	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/rebalance"
	"pxkv/node/replica"
	"pxkv/persist"
	"pxkv/transport/gossip"
	"pxkv/transport/httpapi"
	"pxkv/transport/peer"
	"pxkv/transport/resp"
)

// process is everything that a running node consists of.
type process struct {
	f        *serveFlags
	log      *slog.Logger
	registry *prometheus.Registry

	db          *persist.DB
	fresh       bool // the data directory was empty
	identity    persist.Identity
	incarnation uint64
	advertise   string

	machine *meta.Machine
	values  *cache.Cache
	host    *replica.Host
	peers   *peer.Transport
	loop    *replica.Loop
	node    *node.Node
	gossip  *gossip.Gossip
	http    *httpapi.Server
	resp    *resp.Server // nil when it is turned off
	member  *node.Membership
	cluster atomic.Uint64 // the cluster id, for handshakes and gossip
	changed chan struct{} // the meta group's state changed
}

// collectSeldom lets the collector run a quarter as often, unless the user said how often: the
// live heap is small beside what requests allocate and throw away. An idle node stays far below
// 100 MiB.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// newProcess makes all parts, from the disk up, and starts none of them: whatever is wrong shows
// before anybody hears of this node.
func newProcess(f *serveFlags, log *slog.Logger) (*process, error) {
	collectSeldom()
	if err := calmMonitor(); err != nil {
		log.Debug("the runtime's monitor thread keeps its priority", "error", err)
	}
	p := &process{f: f, log: log, registry: prometheus.NewRegistry(), changed: make(chan struct{}, 1)}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, step := range []func() error{p.openStore, p.identify, p.buildReplicas, p.buildPeers, p.buildNode, p.buildGossip, p.buildFrontDoors} {
		if err := step(); err != nil {
			if p.db != nil {
				err = errors.Join(err, p.db.Close())
			}
			return nil, err
		}
	}
	return p, nil
}

func (p *process) openStore() error {
	o := persist.Options{Dir: p.f.dataDir, Logger: p.log, Metrics: p.registry, Fatal: p.lastWord}
	if p.f.store == "memory" {
		o.FS, o.Dir = vfs.NewMem(), "pxkv"
	}
	var err error
	p.db, err = persist.Open(o)
	return err
}

// lastWord ends the process when the disk cannot be trusted any more: nothing that is still
// in memory may be acted upon.
func (p *process) lastWord(text string) {
	p.log.Error("the disk failed: this node stops", "reason", text)
	fmt.Fprintf(os.Stderr, "pxkv: the disk failed: %s\n", text)
	os.Exit(exitFailed)
}

// identify reads who this node is, or makes it someone new, and counts the start.
func (p *process) identify() error {
	id, known, err := p.db.Identity()
	if err != nil {
		return err
	}
	if !known {
		p.fresh = true
		id = persist.Identity{Node: kv.NodeID(random())}
	}
	id.Name = p.f.name
	id.Starts++
	p.identity, p.incarnation = id, random()
	p.cluster.Store(uint64(id.Cluster))
	return p.db.SaveIdentity(id)
}

// random draws an id, which is never 0.
func random() uint64 {
	for {
		var b [8]byte
		_, _ = crand.Read(b[:]) // never fails, by its documentation
		if v := binary.LittleEndian.Uint64(b[:]); v != 0 {
			return v
		}
	}
}

func (p *process) buildReplicas() error {
	p.machine = meta.NewMachine(p.db, p.identity.Node)
	p.machine.SetOwn(p.identity.MetaReplica)
	p.machine.OnChange = func(*meta.State) {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
	p.values = cache.New(p.f.cacheEntries)
	exec := &rebalance.Executor{State: p.machine.State}
	var err error
	p.host, err = replica.NewHost(replica.Config{
		Node: p.identity.Node, Incarnation: p.incarnation, DB: p.db, Policy: p.machine, Cache: p.values,
		Machine: func(id kv.PartitionID) replica.StateMachine {
			if id == kv.Meta {
				return p.machine
			}
			return &replica.KV{Known: p.values.Has}
		},
		Logger: p.log, Fresh: p.fresh, QuorumReads: p.f.reads == "quorum", OnTick: exec.Tick,
	})
	if err != nil {
		return err
	}
	return nil
}

func (p *process) buildPeers() error {
	var err error
	p.peers, err = peer.New(peer.Options{
		Listen:   p.f.peer,
		Identity: peer.Identity{Node: p.identity.Node, ClusterName: p.f.cluster, Incarnation: p.incarnation},
		Handler:  inbound{p},
		Cluster:  func() kv.ClusterID { return kv.ClusterID(p.cluster.Load()) },
		Resolve:  p.resolve,
		Logger:   p.log, Metrics: p.registry,
	})
	if err != nil {
		return err
	}
	if err := p.peers.Listen(); err != nil {
		return err
	}
	p.loop = replica.NewLoop(replica.LoopOptions{Host: p.host, DB: p.db, Sender: p.peers, Clock: node.Clock, Logger: p.log, Metrics: p.registry})
	return nil
}

// resolve finds a node's address: what gossip says now, else what the cluster committed.
func (p *process) resolve(id kv.NodeID) (string, bool) {
	if seen, ok := p.gossip.Lookup(id); ok && seen.Meta.Addresses.Peer != "" {
		return seen.Meta.Addresses.Peer, true
	}
	if s := p.machine.State(); s != nil {
		if m, ok := s.Member(id); ok {
			return m.Addresses.Peer, true
		}
	}
	return "", false
}

func (p *process) buildNode() error {
	var err error
	p.node, err = node.New(node.Options{
		ID: p.identity.Node, Name: p.f.name, DB: p.db, Loop: p.loop, Machine: p.machine, Cache: p.values,
		Peers: p.peers, Sight: sight{p},
		NotSent:       func(err error) bool { return errors.Is(err, peer.ErrNotSent) },
		MaxValueBytes: p.f.maxValue, Logger: p.log, Metrics: p.registry,
	})
	return err
}

func (p *process) buildGossip() error {
	p.advertise = p.f.advertise
	if p.advertise == "" {
		p.advertise = ownHost(p.f.peer)
	}
	var err error
	p.gossip, err = gossip.New(gossip.Options{
		ID: p.identity.Node, ClusterName: p.f.cluster, Bind: p.f.gossip, AdvertiseHost: p.advertise,
		Meta: p.gossipMeta(), Join: p.f.join, Logger: p.log, Metrics: p.registry,
	})
	return err
}

// gossipMeta is what this node says of itself now.
func (p *process) gossipMeta() gossip.Meta {
	m := gossip.Meta{
		Cluster: kv.ClusterID(p.cluster.Load()), Name: p.f.name, Addresses: p.addresses(), Incarnation: p.incarnation,
	}
	if m.Cluster == 0 {
		m.Expect = p.f.expect
	}
	if s := p.machine.State(); s != nil {
		m.Epoch = s.Epoch
	}
	return m
}

// addresses are where others reach this node. Ports that the system chose are known once
// their listeners are bound.
func (p *process) addresses() kv.Addresses {
	a := kv.Addresses{Peer: p.reachable(p.peers.Addr()), Gossip: p.reachable(p.f.gossip)}
	if p.gossip != nil && p.gossip.Addr() != "" {
		a.Gossip = p.reachable(p.gossip.Addr())
	}
	if p.http != nil {
		a.HTTP = p.reachable(p.http.Addr().String())
	} else {
		a.HTTP = p.reachable(p.f.http)
	}
	switch {
	case p.resp != nil:
		a.RESP = p.reachable(p.resp.Addr().String())
	case p.f.resp != "":
		a.RESP = p.reachable(p.f.resp)
	}
	return a
}

func (p *process) reachable(listen string) string {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	return net.JoinHostPort(p.advertise, port)
}

func (p *process) buildFrontDoors() error {
	var err error
	p.http, err = httpapi.New(httpapi.Options{
		Listen: p.f.http, Service: p.node, Registry: p.registry, Logger: p.log, MaxValueBytes: p.f.maxValue, Debug: p.f.debug,
	})
	if err != nil {
		return err
	}
	if err := p.http.Listen(); err != nil {
		return err
	}
	if p.f.resp == "" {
		return nil
	}
	server, err := resp.New(resp.Options{
		Listen: p.f.resp, Service: p.node, Metrics: p.registry, Logger: p.log, Version: version,
		MaxValueBytes: p.f.maxValue, AllowFlush: p.f.allowFlush,
	})
	if err != nil {
		return err
	}
	if err := server.Listen(); err != nil {
		return fmt.Errorf("%w (is a Redis running here? --resp takes another address, or \"\" for none)", err)
	}
	p.resp = server
	return nil
}

func (p *process) buildMembership() {
	p.member = node.NewMembership(node.MembershipOptions{
		Node: p.node, Host: p.host, DB: p.db, Machine: p.machine, Identity: p.identity, Incarnation: p.incarnation,
		Addresses: p.addresses, ClusterName: p.f.cluster, Partitions: p.f.partitions, Replicas: p.f.replicas, Expect: p.f.expect,
		Neighbours: p.neighbours, DrawCluster: func() kv.ClusterID { return kv.ClusterID(random()) },
		Announce: func(c kv.ClusterID) {
			p.cluster.Store(uint64(c))
			// Connections made before say that this node is in no cluster, and carry no frames.
			for _, n := range p.gossip.Peers() {
				p.peers.Disconnect(n.ID)
			}
			p.machine.OnChange(nil)
		},
		Logger: p.log,
	})
}

func (p *process) neighbours() []node.Neighbour {
	var out []node.Neighbour
	for _, n := range p.gossip.Peers() {
		out = append(out, node.Neighbour{ID: n.ID, Name: n.Meta.Name, Cluster: n.Meta.Cluster, Expect: n.Meta.Expect})
	}
	return out
}

// ownHost is the host that other nodes can use: the one that is listened on, when it is one;
// else the first private address of this machine, else its name.
func ownHost(listen string) string {
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
			return host
		}
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsPrivate() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return "127.0.0.1"
	}
	return host
}

// announce keeps gossip up to date with what the cluster has committed.
func (p *process) announce(ctx context.Context) {
	for {
		select {
		case <-p.changed:
		case <-ctx.Done():
			return
		}
		if err := p.gossip.SetMeta(p.gossipMeta()); err != nil {
			p.log.Warn("gossip", "err", err)
		}
		s := p.machine.State()
		if s == nil {
			continue
		}
		var addrs []string
		for _, m := range s.Members {
			if m.ID != p.identity.Node {
				addrs = append(addrs, m.Addresses.Gossip)
			}
		}
		p.gossip.SetMembers(addrs)
	}
}
