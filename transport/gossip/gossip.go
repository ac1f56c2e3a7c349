package gossip

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"pxkv/node/kv"
)

// Gossip is this node's part in the cluster's gossip. The package comment says how to use it.
type Gossip struct {
	opts    Options
	log     *slog.Logger
	rare    *limiter   // for warnings that others can provoke
	lines   *logWriter // of memberlist
	metrics *metrics
	peers   *peers

	ran     atomic.Bool
	closed  atomic.Bool   // memberlist's late callbacks are ignored
	started chan struct{} // closed when address is set and others can reach us

	// One-slot signals: what happened once or many times since the receiver last looked.
	changed     chan struct{} // peers changed: tell OnChange
	metaChanged chan struct{} // meta changed: tell memberlist
	seek        chan struct{} // look for peers now, not only at the next interval
	conflicted  atomic.Bool   // our id was heard at another address

	inner      memberlist.Transport      // nil before Listen
	advertised net.IP                    // of AdvertiseHost, found by Listen; nil: there is none
	transport  atomic.Pointer[transport] // nil before Started

	mu      sync.Mutex
	meta    Meta
	words   []byte // meta, encoded
	address string // advertised host:port once started
	bound   string // host:port once started
	members []string
	led     map[string]netip.Addr // where addresses of Join and members led to somebody
}

// New validates the options and starts nothing. Its error lists every fault.
func New(opts Options) (*Gossip, error) {
	opts.setDefaults()
	opts.Join = slices.Clone(opts.Join)
	words, metaErr := encodeMeta(opts.Meta)
	if err := errors.Join(opts.validate(), metaErr); err != nil {
		return nil, err
	}
	g := &Gossip{
		opts:        opts,
		log:         opts.Logger,
		rare:        newLimiter(time.Minute),
		lines:       &logWriter{log: opts.Logger, limiter: newLimiter(time.Minute)},
		peers:       newPeers(opts.Meta.Cluster),
		started:     make(chan struct{}),
		changed:     make(chan struct{}, 1),
		metaChanged: make(chan struct{}, 1),
		seek:        make(chan struct{}, 1),
		led:         make(map[string]netip.Addr),
		meta:        opts.Meta,
		words:       words,
	}
	var err error
	g.metrics, err = newMetrics(opts.Metrics, func() float64 { return float64(len(g.peers.list())) })
	if err != nil {
		return nil, err
	}
	return g, nil
}

// Started is closed when this node listens and says its Meta.
func (g *Gossip) Started() <-chan struct{} { return g.started }

// Addr returns the host:port that this node is bound to, empty before Started. All addresses are [::],
// as elsewhere.
func (g *Gossip) Addr() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	host, _, err := net.SplitHostPort(g.opts.Bind)
	_, port, _ := net.SplitHostPort(g.bound)
	if ip, _ := netip.ParseAddr(host); err == nil && port != "" && (host == "" || ip.IsUnspecified()) {
		return net.JoinHostPort("::", port)
	}
	return g.bound
}

// Peers returns the other nodes that memberlist holds alive, by ascending id, strangers
// excepted. It is cheap. The slice is shared: do not change it.
func (g *Gossip) Peers() []Peer { return g.peers.list() }

// Alive reports whether memberlist holds that node alive. This node itself always is.
func (g *Gossip) Alive(id kv.NodeID) bool {
	if id == g.opts.ID {
		return true
	}
	_, alive, _ := g.peers.lookup(id)
	return alive
}

// Lookup returns what a node last said of itself, also when it is not alive any more. It
// reports false for nodes that were never heard, went too long ago, or are strangers. Of
// this node itself it returns the current Meta.
func (g *Gossip) Lookup(id kv.NodeID) (Peer, bool) {
	if id == g.opts.ID {
		g.mu.Lock()
		defer g.mu.Unlock()
		return Peer{ID: id, Meta: g.meta}, true
	}
	peer, _, ok := g.peers.lookup(id)
	return peer, ok
}

// Seen returns the address at which a node was last heard, also when it is not alive any more. It is
// a hint: what answers there may be another node by now.
func (g *Gossip) Seen(id kv.NodeID) (netip.Addr, bool) { return g.peers.seen(id) }

// SetMeta changes what this node says of itself. Others hear it within a second or so. An
// empty Addresses.Gossip means the advertised address. After an error nothing has changed.
func (g *Gossip) SetMeta(m Meta) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.Addresses.Gossip == "" {
		m.Addresses.Gossip = g.address
	}
	words, err := encodeMeta(m)
	if err != nil {
		return err
	}
	if m == g.meta {
		return nil
	}
	g.meta, g.words = m, words
	signal(g.metaChanged)
	if g.peers.setOwn(m.Cluster) {
		signal(g.changed)
	}
	return nil
}

// SetMembers sets the gossip addresses of all committed members: host:port, this node's own
// may be among them. Where no peer is heard they are tried again for ever, like those of
// Options.Join. Addresses that cannot be dialled are reported once a minute and do no harm.
func (g *Gossip) SetMembers(addrs []string) {
	members := slices.Clone(addrs)
	slices.Sort(members)
	members = slices.Compact(members)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !slices.Equal(members, g.members) {
		g.members = members
		signal(g.seek)
	}
}

// signal leaves a note in a one-slot channel unless there is one already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
