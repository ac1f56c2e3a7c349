package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/hashicorp/memberlist"

	"pxkv/node/kv"
)

// delegate is what memberlist calls: for our words, and about others. Most calls come while
// it holds its own lock, so that nothing here may block or call memberlist.
type delegate struct{ g *Gossip }

var (
	_ memberlist.Delegate         = delegate{}
	_ memberlist.EventDelegate    = delegate{}
	_ memberlist.AliveDelegate    = delegate{}
	_ memberlist.MergeDelegate    = delegate{}
	_ memberlist.ConflictDelegate = delegate{}
)

// NodeMeta returns our words. They are shorter than the limit: encodeMeta saw to it.
func (d delegate) NodeMeta(int) []byte {
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	return d.g.words
}

// Messages of our own do not exist: Meta says everything.

func (delegate) NotifyMsg([]byte)                {}
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (delegate) LocalState(bool) []byte          { return nil }
func (delegate) MergeRemoteState([]byte, bool)   {}

// NotifyAlive decides whether a node may become a peer, or say something new. It sees every
// word of every node, old ones and our own included. An error refuses them.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	g := d.g
	if n.Name == g.opts.ID.String() {
		return nil // to refuse ourselves would leave memberlist without a local node
	}
	peer, _, err := peerOf(n)
	if err != nil {
		g.metrics.refused.WithLabelValues(refusedMeta).Inc()
		if g.rare.allow("words of " + n.Name) {
			g.log.Warn("gossip: words of a node are not understood, it is ignored; does it run another release?",
				"node", n.Name, "address", n.Address(), "err", err)
		}
		return fmt.Errorf("refused: %w", err)
	}
	if refused, own := g.peers.refuses(peer.Meta.Cluster); refused {
		if g.peers.estrange(peer.ID, peer.Meta.Cluster) {
			signal(g.changed)
		}
		return g.refuseStranger(peer, own, n.Address())
	}
	if !g.peers.hasRoom(peer.ID) {
		g.metrics.refused.WithLabelValues(refusedFull).Inc()
		if g.rare.allow("too many") {
			g.log.Warn("gossip: too many nodes, further ones are ignored", "limit", maxPeers, "node", n.Name)
		}
		return fmt.Errorf("refused: %d nodes are alive already", maxPeers)
	}
	return nil
}

// refuseStranger logs and returns the reason why peer, of another cluster, is refused.
func (g *Gossip) refuseStranger(peer Peer, own kv.ClusterID, address string) error {
	g.metrics.refused.WithLabelValues(refusedCluster).Inc()
	if g.rare.allow("stranger " + peer.ID.String()) {
		g.log.Warn("gossip: refused a node of another cluster with the same name; check --join and --cluster of both",
			"our_cluster", own, "its_cluster", peer.Meta.Cluster, "node", peer.Meta.Name, "id", peer.ID, "address",
			address)
	}
	return fmt.Errorf("refused: node %q is of cluster %v, we are of cluster %v", peer.Meta.Name, peer.Meta.Cluster, own)
}

// NotifyMerge decides whether to exchange states with a node that joins us, or that we join.
// It is refused when it knows of nobody but strangers. A fresh node that met both clusters
// knows some, too: NotifyAlive refuses those one by one.
func (d delegate) NotifyMerge(nodes []*memberlist.Node) error {
	var refusal error
	for _, n := range nodes {
		if n.Name == d.g.opts.ID.String() || n.State == memberlist.StateDead || n.State == memberlist.StateLeft {
			continue
		}
		peer, _, err := peerOf(n)
		if err != nil {
			continue
		}
		refused, own := d.g.peers.refuses(peer.Meta.Cluster)
		if !refused {
			return nil
		}
		if refusal == nil {
			refusal = d.g.refuseStranger(peer, own, n.Address())
		}
	}
	return refusal
}

// NotifyJoin is called when a node appeared, or reappeared.
func (d delegate) NotifyJoin(n *memberlist.Node) { d.notifyUp(n, "up", slog.LevelInfo) }

// NotifyUpdate is called when a node said something new.
func (d delegate) NotifyUpdate(n *memberlist.Node) { d.notifyUp(n, "update", slog.LevelDebug) }

func (d delegate) notifyUp(n *memberlist.Node, change string, level slog.Level) {
	g := d.g
	if g.closed.Load() || n.Name == g.opts.ID.String() {
		return
	}
	peer, address, err := peerOf(n)
	if err != nil {
		return // NotifyAlive refused it
	}
	g.peers.up(peer, address)
	g.metrics.changes.WithLabelValues(change).Inc()
	g.log.Log(context.Background(), level, "gossip: peer heard", "change", change, "node", peer.Meta.Name, "id",
		peer.ID, "address", address, "epoch", peer.Meta.Epoch)
	signal(g.changed)
}

// NotifyLeave is called when a node left or was found dead.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	g := d.g
	id, ok := parseID(n.Name)
	if g.closed.Load() || !ok || id == g.opts.ID {
		return
	}
	g.peers.down(id)
	g.metrics.changes.WithLabelValues("down").Inc()
	peer, _, _ := peerOf(n) // what it said is not understood: nameless
	g.log.Info("gossip: peer heard no more", "node", peer.Meta.Name, "id", id, "address", n.Address(), "left",
		n.State == memberlist.StateLeft)
	signal(g.changed)
	if len(g.peers.list()) == 0 {
		signal(g.seek)
	}
}

// NotifyConflict is called when a node id is heard at another address than before, while the
// old one does not count as dead yet.
func (d delegate) NotifyConflict(existing, other *memberlist.Node) {
	g := d.g
	g.metrics.conflict.Inc()
	if existing.Name != g.opts.ID.String() {
		g.log.Debug("gossip: a node is heard at two addresses", "id", existing.Name, "address", existing.Address(),
			"other", other.Address())
		return
	}
	// Others still know us at our address before the last restart. Until they notice that
	// nobody is there they do not believe the new one; seek goes on telling them.
	g.conflicted.Store(true)
	if g.rare.allow("conflict " + other.Address()) {
		g.log.Warn("gossip: others know this node at another address; this is normal for some seconds after it "+
			"moved, else a copy of its data directory is in use there",
			"address", existing.Address(), "other", other.Address())
	}
}

// peerOf reads what memberlist heard of a node. All of it may be forged.
func peerOf(n *memberlist.Node) (Peer, netip.AddrPort, error) {
	id, ok := parseID(n.Name)
	if !ok {
		return Peer{}, netip.AddrPort{}, fmt.Errorf("name %.64q is no node id", n.Name)
	}
	// Memberlist would never find a node dead that it cannot even ping.
	ip, ok := netip.AddrFromSlice(n.Addr)
	if !ok || ip.IsUnspecified() || n.Port == 0 {
		return Peer{}, netip.AddrPort{}, errors.New("its address cannot be dialled")
	}
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		return Peer{}, netip.AddrPort{}, err
	}
	return Peer{ID: id, Meta: meta}, netip.AddrPortFrom(ip.Unmap(), n.Port), nil
}

// parseID is the inverse of NodeID.String, and of nothing else: one node has one name.
func parseID(name string) (kv.NodeID, bool) {
	var id kv.NodeID
	if err := id.UnmarshalText([]byte(name)); err != nil || id == 0 || id.String() != name {
		return 0, false
	}
	return id, true
}
