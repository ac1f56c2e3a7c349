package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/meta"
	"pxkv/persist"
)

// How a member comes to be replaced, if one does.
const (
	replaceWiped  = 1 // its disk is lost
	replaceCutOff = 2 // it runs on, and nobody hears it for a while
)

// drawMembers draws what happens to members and their disks.
func (o *Options) drawMembers(r *rand.Rand) {
	// Who was moved waits for all members, also for one that is gone for good.
	if r.IntN(2) == 0 && !o.Moves.Lose && o.Moves.Flap == 0 {
		o.CopyRate = 0.8 * r.Float64()
	}
	if r.IntN(4) == 0 && !o.Moves.Lose && o.Moves.Flap == 0 {
		o.Replace, o.CopyRate = []int{replaceWiped, replaceCutOff}[r.IntN(2)], 0
	}
}

func (n *node) bootstrap(ident persist.Identity) {
	w := n.w
	s := n.first(w.cluster)
	err := n.core.Found(s)
	ident.Cluster, ident.MetaReplica = w.cluster, s.Members[0].MetaReplica
	if err = errors.Join(err, n.db.SaveIdentity(ident)); err != nil {
		w.fail("bootstrap: %v", err)
	}
	n.machine.SetOwn(ident.MetaReplica)
	n.joined = true
}

// first is a cluster of this node alone.
func (n *node) first(c kv.ClusterID) *meta.State {
	s := meta.Bootstrap(c, "sim", n.w.o.Partitions, n.w.o.Replicas, n.member())
	return &s
}

func (n *node) member() meta.Member {
	return meta.Member{ID: n.id, Name: n.name, Starts: n.starts, Incarnation: n.incarnation,
		Addresses: kv.Addresses{HTTP: n.name + ":80", Peer: n.name + ":1", Gossip: n.name + ":2"}}
}

// introduce asks the others, one after the other, until the meta leader has committed that this
// node is a member, or that it has started again.
func (n *node) introduce() {
	w := n.w
	if n.introduced {
		return
	}
	n.do(500*time.Millisecond, n.introduce)
	if n.joined && !n.host.Vouched() {
		n.askSeen()
		return
	}
	to := w.nodes[w.rng.IntN(len(w.nodes))]
	if w.healed { // in turn: with nine members chance alone may miss the leader for a minute
		to = w.nodes[n.spoke%len(w.nodes)]
		n.spoke++
	}
	if h := n.host.Handle(kv.Meta); h != nil && w.chance(0.5) {
		if l := w.node(h.Leader().Node); l != nil {
			to = l
		}
	}
	life, cmd := n.life, member.Introduce(n.member(), n.joined)
	w.net.send(n.id, to.id, func() {
		to.do(0, func() {
			to.take(cmd, func(r meta.Result) {
				w.net.send(to.id, n.id, func() {
					n.do(0, func() {
						if n.life == life {
							n.answered(r)
						}
					})
				})
			})
		})
	})
}

// askSeen asks the members that gossip shows what they know of this node: those that run and hear it.
func (n *node) askSeen() {
	var seen []kv.NodeID
	for _, o := range n.w.nodes {
		if o.up && o.joined && n.w.net.open(n.id, o.id) {
			seen = append(seen, o.id)
		}
	}
	n.host.Ask(seen)
	n.schedule()
}

// answered takes what the cluster says to the introduction.
func (n *node) answered(r meta.Result) {
	w := n.w
	wait, err := member.Judge(r)
	switch {
	case err != nil:
		n.brokeDown(err)
	case wait == "" && !n.introduced:
		n.introduced = true
		if r.Join != nil && !n.joined {
			w.is(r.Join.Cluster)
			n.welcome(r.Join.Member.MetaReplica)
			return
		}
		n.settle()
	}
}

// settle forgets that the directory was found elsewhere: the cluster has taken the node as it is.
func (n *node) settle() {
	ident, _, err := n.db.Identity()
	settled, changed := member.Settled(ident)
	if err == nil && changed {
		err = n.db.SaveIdentity(settled)
	}
	if err != nil {
		n.brokeDown(fmt.Errorf("save identity: %w", err))
	}
}

func (n *node) welcome(id kv.ReplicaID) {
	ident, _, err := n.db.Identity()
	ident = founder(ident, n.w.cluster, id)
	if err == nil { // else what was read is nobody
		err = n.db.SaveIdentity(ident)
	}
	if err != nil {
		n.brokeDown(fmt.Errorf("save identity: %w", err))
		return
	}
	n.machine.SetOwn(id)
	n.joined = true
}
