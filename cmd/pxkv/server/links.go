package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"

	"pxkv/node"
	"pxkv/node/core"
	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/meta"
	"pxkv/transport/gossip"
	"pxkv/transport/peer"
)

// links are how this node and the others find and reach each other.
type links struct {
	o       *Options
	self    core.Start
	machine *meta.Machine
	peers   *peer.Transport
	gossip  *gossip.Gossip
	host    string               // at which others reach this node
	cluster atomic.Uint64        // the cluster id, for handshakes and gossip
	changed chan struct{}        // the meta group's state changed
	clients func() (a, b string) // where HTTP and Redis clients are listened for; nil before that is known
}

func newLinks(o *Options, self core.Start) *links {
	l := &links{o: o, self: self, changed: make(chan struct{}, 1)}
	l.cluster.Store(uint64(self.Identity.Cluster))
	return l
}

// build binds the address for other nodes, and makes gossip.
func (l *links) build(machine *meta.Machine, handler peer.Handler, budget *kv.Budget) error {
	l.machine = machine
	var err error
	l.peers, err = peer.New(peer.Options{
		Listen:   l.o.Peer,
		Identity: peer.Identity{Node: l.self.Identity.Node, ClusterName: l.o.Cluster, Incarnation: l.self.Incarnation},
		Handler:  handler,
		Cluster:  func() kv.ClusterID { return kv.ClusterID(l.cluster.Load()) },
		Formats:  l.formats, Repeatable: node.Repeatable,
		Resolve: l.resolve, Names: l.nameOf, Seen: func(id kv.NodeID) (netip.Addr, bool) { return l.gossip.Seen(id) },
		MaxPayload: longestAnswer, Budget: budget, QueueBytes: peerLimits.QueueBytes,
		SnapshotChunk: peerLimits.SnapshotChunk, SnapshotAhead: peerLimits.SnapshotAhead,
		Logger: l.o.Logger, Metrics: l.o.Metrics,
	})
	if err != nil {
		return err
	}
	if err := l.peers.Listen(); err != nil {
		return fmt.Errorf("%w (--peer takes another address)", err)
	}
	l.host = l.o.Advertise
	if l.host == "" {
		chosen := chooseAdvertised(l.o.Peer, l.o.Join, routed)
		l.host = chosen.host
		l.o.Logger.Info("other nodes reach this one at an address that was chosen: --advertise sets another",
			"host", chosen.host, "why", chosen.why)
	}
	l.gossip, err = gossip.New(gossip.Options{
		ID: l.self.Identity.Node, ClusterName: l.o.Cluster, Bind: l.o.Gossip, AdvertiseHost: l.host,
		Meta: l.meta(), Join: l.o.Join, Logger: l.o.Logger, Metrics: l.o.Metrics,
	})
	return err
}

// formats are those in which this node speaks now. Most processes were started before their cluster got the version
// that it has: it was of an older one, or none.
func (l *links) formats() []kv.Format {
	version := 0
	if s := l.machine.State(); s != nil && !versionOfStart {
		version = s.ClusterVersion
	}
	return node.Formats(l.o.Compression != kv.NotPacked, version)
}

// resolve finds a node's address: what gossip says now, else what the cluster committed.
func (l *links) resolve(id kv.NodeID) (string, bool) {
	if seen, ok := l.gossip.Lookup(id); ok && seen.Meta.Addresses.Peer != "" {
		return seen.Meta.Addresses.Peer, true
	}
	if s := l.machine.State(); s != nil {
		if m, ok := s.Member(id); ok {
			return m.Addresses.Peer, true
		}
	}
	return "", false
}

// nameOf finds a node's name: what the cluster committed, else what gossip says.
func (l *links) nameOf(id kv.NodeID) string {
	if id == l.self.Identity.Node {
		return l.o.Name
	}
	if l.machine != nil {
		if s := l.machine.State(); s != nil {
			if m, ok := s.Member(id); ok {
				return m.Name
			}
		}
	}
	if l.gossip != nil {
		if seen, ok := l.gossip.Lookup(id); ok {
			return seen.Meta.Name
		}
	}
	return ""
}

// meta is what this node says of itself by gossip now.
func (l *links) meta() gossip.Meta {
	m := gossip.Meta{
		Cluster: kv.ClusterID(l.cluster.Load()), Name: l.o.Name, Addresses: l.addresses(),
		Incarnation: l.self.Incarnation,
	}
	if m.Cluster == 0 {
		m.Expect = l.o.Expect
	}
	if s := l.machine.State(); s != nil {
		m.Epoch = s.Epoch
	}
	return m
}

// addresses are where others reach this node. Ports that the system chose are known once
// their listeners are bound.
func (l *links) addresses() kv.Addresses {
	http, resp := l.o.HTTP, l.o.RESP
	if l.clients != nil {
		http, resp = l.clients()
	}
	a := kv.Addresses{Peer: l.reachable(l.peers.Addr()), Gossip: l.reachable(l.o.Gossip), HTTP: l.reachable(http)}
	if l.gossip != nil && l.gossip.Addr() != "" {
		a.Gossip = l.reachable(l.gossip.Addr())
	}
	if resp != "" {
		a.RESP = l.reachable(resp)
	}
	return a
}

func (l *links) reachable(listen string) string {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	return net.JoinHostPort(l.host, port)
}

func (l *links) neighbours() []node.Neighbour {
	var out []node.Neighbour
	for _, n := range l.gossip.Peers() {
		out = append(out, node.Neighbour{ID: n.ID, Cluster: n.Meta.Cluster})
	}
	return out
}

// look asks at every address of --join who is there.
func (l *links) look(ctx context.Context) []member.Place {
	var out []member.Place
	for _, g := range l.gossip.Look(ctx) {
		place := member.Place{
			Address: g.Address, At: g.At, Node: g.ID, Cluster: g.Meta.Cluster, Expect: g.Meta.Expect,
			Refused: g.Refused, Incarnation: g.Meta.Incarnation, Own: g.Own,
		}
		if g.ID != 0 && g.ClusterName != l.o.Cluster {
			place.Foreign = g.ClusterName
		}
		if g.Err != nil {
			place.Fault = faultText(g.Err)
		}
		out = append(out, place)
	}
	return out
}

// faultText says why it is not known who is at an address, in the same words each time: without the addresses of a
// connection, of which one is another each time, and without the name server, of which there may be several.
func faultText(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		why := dns.Err[strings.LastIndex(dns.Err, ": ")+1:]
		return "lookup " + dns.Name + ": " + strings.TrimSpace(why)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err.Error()
	}
	return err.Error()
}

// announce tells others that this node is in a cluster now.
func (l *links) announce(c kv.ClusterID) {
	l.cluster.Store(uint64(c))
	l.peers.ClusterChanged() // links made before say that this node is in no cluster, and carry no frames
	l.change()
}

// joined reports whether this node is in a cluster.
func (l *links) joined() bool { return l.cluster.Load() != 0 }

// change notes that what this node says of itself has changed. It does not wait.
func (l *links) change() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// tell keeps gossip up to date with what the cluster has committed, until ctx ends.
func (l *links) tell(ctx context.Context) error {
	for {
		select {
		case <-l.changed:
		case <-ctx.Done():
			return nil
		}
		if err := l.gossip.SetMeta(l.meta()); err != nil {
			l.o.Logger.Warn("gossip", "err", err)
		}
		s := l.machine.State()
		if s == nil {
			continue
		}
		var addrs []string
		for _, m := range s.Members {
			if m.ID != l.self.Identity.Node {
				addrs = append(addrs, m.Addresses.Gossip)
			}
		}
		l.gossip.SetMembers(addrs)
	}
}

// sight is what gossip sees, for the node.
type sight struct{ l *links }

// Alive implements rpc.Sight.
func (s sight) Alive(id kv.NodeID) bool { return s.l.gossip.Alive(id) }
