package gossip

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"pxkv/node/kv"
)

// Limits of what others can make this node remember.
const (
	maxPeers = 1024         // alive at a time; more are refused
	maxKnown = 2 * maxPeers // with those that went; the longest gone are forgotten first
)

// peers is what this node knows of the others. Memberlist's callbacks write it, under
// memberlist's own lock: nothing here may call memberlist.
type peers struct {
	mu    sync.RWMutex
	own   kv.ClusterID
	known map[kv.NodeID]*record
	// alive is every known peer that memberlist holds alive and that is no stranger, by id.
	// It is replaced, never changed, so that readers may keep it.
	alive []Peer
	turn  uint64 // grows with each change, to tell who went first
}

type record struct {
	peer    Peer
	address netip.AddrPort // where memberlist reaches it
	alive   bool           // memberlist says so
	turn    uint64         // of the last change
}

func newPeers(own kv.ClusterID) *peers {
	return &peers{own: own, known: make(map[kv.NodeID]*record)}
}

// stranger reports whether a node of cluster other is refused by one of cluster own. Fresh
// nodes meet anyone: they have to find the cluster that they will be in.
func stranger(own, other kv.ClusterID) bool {
	return own != 0 && other != 0 && own != other
}

// up records that a peer appeared or changed.
func (p *peers) up(peer Peer, address netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn++
	p.known[peer.ID] = &record{peer: peer, address: address, alive: true, turn: p.turn}
	p.forgetLongestGone()
	p.rebuild()
}

// down records that a peer went.
func (p *peers) down(id kv.NodeID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, ok := p.known[id]; ok {
		p.turn++
		r.alive, r.turn = false, p.turn
		p.rebuild()
	}
}

// allDown records that nobody is heard any more.
func (p *peers) allDown() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.known {
		r.alive = false
	}
	p.rebuild()
}

// estrange records that a peer, known as fresh so far, turned out to be of another cluster.
// Memberlist cannot be told to drop it and would call it alive, and fresh, for ever. A node
// never changes from one cluster to another, so there is no way back.
func (p *peers) estrange(id kv.NodeID, cluster kv.ClusterID) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.known[id]
	if !ok || r.peer.Meta.Cluster == cluster {
		return false
	}
	r.peer.Meta.Cluster = cluster
	p.rebuild()
	return true
}

// setOwn changes the own cluster, and with it who is a stranger.
func (p *peers) setOwn(cluster kv.ClusterID) (changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.own == cluster {
		return false
	}
	p.own = cluster
	before := len(p.alive)
	p.rebuild()
	return len(p.alive) != before
}

// refuses reports whether a node of that cluster is a stranger, and the own cluster.
func (p *peers) refuses(cluster kv.ClusterID) (bool, kv.ClusterID) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return stranger(p.own, cluster), p.own
}

// hasRoom reports whether this peer may be alive without exceeding maxPeers.
func (p *peers) hasRoom(id kv.NodeID) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if r, ok := p.known[id]; ok && r.alive {
		return true
	}
	return len(p.alive) < maxPeers
}

// list returns the alive peers by id. The slice is shared and never changes.
func (p *peers) list() []Peer {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.alive
}

func (p *peers) lookup(id kv.NodeID) (peer Peer, alive, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r, ok := p.known[id]
	if !ok || stranger(p.own, r.peer.Meta.Cluster) {
		return Peer{}, false, false
	}
	return r.peer, r.alive, true
}

func (p *peers) seen(id kv.NodeID) (netip.Addr, bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	r, ok := p.known[id]
	if !ok || stranger(p.own, r.peer.Meta.Cluster) {
		return netip.Addr{}, false
	}
	return r.address.Addr(), true
}

// heardAs returns where the node was heard last that calls its own address so.
func (p *peers) heardAs(address string) (at netip.AddrPort, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var last uint64
	for _, r := range p.known {
		if r.peer.Meta.Addresses.Gossip == address && r.turn > last {
			at, ok, last = r.address, true, r.turn
		}
	}
	return at, ok
}

// reached returns the addresses at which alive peers are heard: as memberlist dials them,
// and as they call them themselves. Strangers count: there is no use in dialling them again.
func (p *peers) reached() (dialled map[netip.AddrPort]bool, called map[string]bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	dialled, called = make(map[netip.AddrPort]bool), make(map[string]bool)
	for _, r := range p.known {
		if r.alive {
			dialled[r.address] = true
			called[r.peer.Meta.Addresses.Gossip] = true
		}
	}
	return dialled, called
}

func (p *peers) rebuild() {
	alive := make([]Peer, 0, len(p.known))
	for _, r := range p.known {
		if r.alive && !stranger(p.own, r.peer.Meta.Cluster) {
			alive = append(alive, r.peer)
		}
	}
	slices.SortFunc(alive, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	p.alive = alive
}

func (p *peers) forgetLongestGone() {
	if len(p.known) <= maxKnown {
		return
	}
	var oldest *record
	for _, r := range p.known {
		if !r.alive && (oldest == nil || r.turn < oldest.turn) {
			oldest = r
		}
	}
	if oldest != nil {
		delete(p.known, oldest.peer.ID)
	}
}
