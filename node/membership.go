package node

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"pxkv/node/core"
	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/persist"
)

// Neighbour is another node as gossip shows it.
type Neighbour struct {
	ID      kv.NodeID
	Cluster kv.ClusterID // 0: it is in no cluster yet
}

// MembershipOptions say how a node comes into its cluster. All but Logger are required.
type MembershipOptions struct {
	Node        *Node
	Core        *core.Core // before the first turn
	DB          *persist.DB
	Addresses   func() kv.Addresses
	ClusterName string
	Partitions  int // of a new cluster
	Replicas    int // of a new cluster
	Expect      int // nodes that form a new cluster together; 0: none without being told
	// Sure is for how long an address of --join must refuse connections until it is sure that no node
	// is there; 0: member.DefaultSure.
	Sure time.Duration
	// Neighbours lists the nodes that gossip sees now.
	Neighbours func() []Neighbour
	// Look asks at every address of --join who is there. It may take some seconds.
	Look func(context.Context) []member.Place
	// Announce tells gossip that this node is in a cluster now.
	Announce func(kv.ClusterID)
	// Volatile: the data is in memory only, so that a new cluster may be there because an older one was lost.
	Volatile bool
	// DrawCluster draws the id of a new cluster.
	DrawCluster func() kv.ClusterID
	Logger      *slog.Logger
}

// Membership takes the node into its cluster, once, and keeps telling the cluster about it.
type Membership struct {
	o        MembershipOptions
	identity persist.Identity
	forming  *forming
	waits    atomic.Pointer[string] // what waiting returns
	refusal  atomic.Pointer[string] // why the cluster does not take this start of the node yet; nil or "" when it does
}

// NewMembership returns a Membership, which answers other nodes that ask Node what it is. It starts
// nothing.
func NewMembership(o MembershipOptions) *Membership {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Membership{o: o, identity: o.Core.Start.Identity}
	m.forming = newForming(&m.o, m.wait)
	o.Node.membership.Store(m)
	return m
}

// maxWaiting is how many bytes of what a node waits for are shown.
const maxWaiting = 1000

// wait notes for what the node waits before it is a member that knows its cluster.
func (m *Membership) wait(why string) {
	why = strings.ToValidUTF8(why[:min(len(why), maxWaiting)], "")
	m.waits.Store(&why)
}

// waiting says it from any goroutine; "" when there is nothing to say.
func (m *Membership) waiting() string {
	if why := m.waits.Load(); why != nil {
		return *why
	}
	return ""
}

// Member reports whether the node is in a cluster.
func (m *Membership) Member() bool { return m.identity.Cluster != 0 }

// Begin is the first step, on what the disk holds: it completes what a crash interrupted, and makes a cluster of
// this node alone, if it may and is in none. The loop must not run yet.
func (m *Membership) Begin(alone bool) error {
	if err := m.adopt(); err != nil || m.Member() || !alone {
		return err
	}
	return m.found()
}

// found makes a cluster of this node alone. The identity follows what makes the cluster exist: after a crash in
// between, the next start finds the cluster's id in the meta group's state (see adopt).
func (m *Membership) found() error {
	o := &m.o
	cluster := o.DrawCluster()
	s := meta.Bootstrap(cluster, o.ClusterName, o.Partitions, o.Replicas, m.self())
	if err := o.Core.Found(&s); err != nil {
		return err
	}
	o.Logger.Info("new cluster", "cluster", cluster.String(), "name", o.ClusterName, "partitions", o.Partitions,
		"replicas", o.Replicas)
	if o.Volatile {
		o.Logger.Warn("the new cluster is empty: what nodes in memory had before, if there were any, is lost")
	}
	return m.become(cluster, s.Members[0].MetaReplica)
}

// adopt completes the making of a cluster that a crash interrupted before the identity was written.
func (m *Membership) adopt() error {
	s := m.o.Core.Machine.State()
	if m.Member() || s == nil {
		return nil
	}
	self, ok := s.Member(m.identity.Node)
	if !ok {
		return fmt.Errorf("the data directory holds cluster %s, of which node %s is no member: start with an empty "+
			"data directory", s.Cluster, m.identity.Node)
	}
	return m.become(s.Cluster, self.MetaReplica)
}

func (m *Membership) become(cluster kv.ClusterID, own kv.ReplicaID) error {
	o := &m.o
	id := m.identity
	id.Cluster, id.ClusterName, id.MetaReplica = cluster, o.ClusterName, own
	if err := m.forming.become(id); err != nil {
		return err
	}
	m.identity = id
	o.Core.Machine.SetOwn(own)
	o.Announce(cluster)
	return nil
}

func (m *Membership) self() meta.Member {
	id := &m.identity
	return meta.Member{ID: id.Node, Name: id.Name, Starts: id.Starts, Incarnation: m.o.Core.Start.Incarnation,
		Addresses: m.o.Addresses()}
}

// askAgain is how often a member asks the nodes that gossip shows what they know of it, and askLeaving how often
// one does that is leaving.
const (
	askAgain   = 3 * time.Second
	askLeaving = 300 * time.Millisecond
)

// Run joins the cluster, or tells it that the node has started again, and keeps trying until
// that is done. From then on it asks again and again whether the node is still a member, also of
// nodes that its own state may be too old to name: the loop ends the node when it is not. It returns
// member.ErrRefused when the cluster's answer is final, else when ctx ends.
func (m *Membership) Run(ctx context.Context) error {
	if err := m.introduceAll(ctx); err != nil {
		return err
	}
	if err := m.settle(); err != nil {
		return err
	}
	asked := time.Now()
	return m.poll(ctx, askLeaving, func() (bool, error) {
		if !m.leaving() && time.Since(asked) < askAgain {
			return false, nil
		}
		asked = time.Now()
		m.askSeen(ctx)
		return false, nil
	})
}

// leaving reports whether this node is leaving, as far as it knows.
func (m *Membership) leaving() bool {
	s := m.o.Core.Machine.State()
	if s == nil {
		return false
	}
	self, _ := s.Member(m.identity.Node)
	return self.State == kv.Leaving
}

// askSeen asks the members that gossip shows what they know of this node. When the loop has ended, it says why itself:
// a node that has left goes on for as long as clients are being answered.
func (m *Membership) askSeen(ctx context.Context) {
	var seen []kv.NodeID
	for _, n := range m.o.Neighbours() {
		if n.Cluster == m.identity.Cluster {
			seen = append(seen, n.ID)
		}
	}
	_ = m.o.Node.o.Loop.Do(ctx, func(h *replica.Host) { h.Ask(seen) })
}

// settle forgets that the directory was found elsewhere: the cluster has taken the node as it is.
func (m *Membership) settle() error {
	id, changed := member.Settled(m.identity)
	if !changed {
		return nil
	}
	if err := m.o.DB.SaveIdentity(id); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	m.identity = id
	return nil
}

// introduceAll tries until the cluster knows this node.
func (m *Membership) introduceAll(ctx context.Context) error {
	attempts := 0
	return m.poll(ctx, 300*time.Millisecond, func() (bool, error) {
		attempts++
		if m.Member() && !m.o.Core.Host.Vouched() {
			if attempts%20 == 0 {
				m.tellUnvouched(ctx)
			}
			if attempts%5 == 0 { // the others that this node knew may all have been replaced
				m.askSeen(ctx)
			}
			return false, nil
		}
		res, err := m.introduce(ctx)
		if err != nil {
			m.wait(err.Error())
			if attempts%20 == 0 {
				m.o.Logger.Info("waiting for the cluster", "err", err)
			}
			return false, nil
		}
		wait, err := member.Judge(res)
		m.wait(wait)
		m.refusal.Store(&wait)
		if err != nil || wait != "" {
			if attempts%10 == 1 && err == nil {
				m.o.Logger.Warn("the cluster does not take this node yet", "reason", wait)
			}
			return false, err
		}
		if res.Join != nil && !m.Member() {
			m.o.Logger.Info("joined", "cluster", res.Join.Cluster.String(), "name", res.Join.ClusterName)
			return true, m.become(res.Join.Cluster, res.Join.Member.MetaReplica)
		}
		return true, nil
	})
}

// tellUnvouched logs for whom a node that has started again waits.
func (m *Membership) tellUnvouched(ctx context.Context) {
	var silent []kv.NodeID
	if m.o.Node.o.Loop.Do(ctx, func(h *replica.Host) { silent = h.Unvouched() }) == nil && silent != nil {
		var names []string
		for _, id := range silent {
			names = append(names, m.o.Node.o.Names.Of(id))
		}
		slices.Sort(names)
		m.o.Logger.Warn("waiting until other nodes have said what they remember of this one", "silent", names)
	}
}

// introduce makes one attempt: a Join from a fresh node, a Start from a known one.
func (m *Membership) introduce(ctx context.Context) (meta.Result, error) {
	cmd := member.Introduce(m.self(), m.Member())
	var last error = kv.Errorf(kv.Unavailable, "no member of a cluster is reachable")
	asked := map[kv.NodeID]bool{}
	for _, to := range m.candidates() {
		for to != 0 && !asked[to] {
			asked[to] = true
			b, e := m.o.Node.askMeta(ctx, to, cmd)
			if e == nil {
				return meta.DecodeResult(b)
			}
			last = e
			to = 0
			if e.Kind == kv.NotLeader {
				to = e.Leader
			}
		}
	}
	return meta.Result{}, last
}

// candidates are the nodes that may lead the meta group or know who does.
func (m *Membership) candidates() []kv.NodeID {
	var out []kv.NodeID
	if l := m.o.Node.o.Loop.Leader(kv.Meta).Node; l != 0 {
		out = append(out, l)
	}
	for _, n := range m.o.Neighbours() {
		if n.Cluster != 0 {
			out = append(out, n.ID)
		}
	}
	return append(out, m.o.Core.Machine.Nodes(kv.Meta)...)
}

// poll calls f until it says done or fails, or ctx ends.
func (m *Membership) poll(ctx context.Context, every time.Duration, f func() (bool, error)) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if done, err := f(); done || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
