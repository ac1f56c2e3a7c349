package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/replica"
	"pxkv/persist"
)

// Neighbour is another node as gossip shows it.
type Neighbour struct {
	ID      kv.NodeID
	Name    string
	Cluster kv.ClusterID // 0: it is in no cluster yet
	Expect  int          // its --bootstrap-expect while it is in none
}

// MembershipOptions say how a node comes into its cluster. All but Logger are required.
type MembershipOptions struct {
	Node        *Node
	Host        *replica.Host // before the first turn, for Bootstrap
	DB          *persist.DB
	Machine     *meta.Machine
	Identity    persist.Identity
	Incarnation uint64
	Addresses   func() kv.Addresses
	ClusterName string
	Partitions  int // of a new cluster
	Replicas    int // of a new cluster
	Expect      int // nodes that form a new cluster together; 0: none without being told
	// Neighbours lists the nodes that gossip sees now.
	Neighbours func() []Neighbour
	// Announce tells gossip that this node is in a cluster now.
	Announce func(kv.ClusterID)
	// DrawCluster draws the id of a new cluster.
	DrawCluster func() kv.ClusterID
	Logger      *slog.Logger
}

// Membership takes the node into its cluster, once, and keeps telling the cluster about it.
type Membership struct {
	o MembershipOptions
}

// NewMembership returns a Membership. It starts nothing.
func NewMembership(o MembershipOptions) *Membership {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Membership{o: o}
}

// Member reports whether the node is in a cluster.
func (m *Membership) Member() bool { return m.o.Identity.Cluster != 0 }

// Bootstrap makes a cluster of this node alone. It must come before the loop runs.
//
// What makes the cluster exist is the one synced batch with the first replica of every group;
// the identity follows. After a crash in between, the next start finds the cluster's id in the
// meta group's state (see Adopt).
func (m *Membership) Bootstrap() error {
	o := &m.o
	cluster := o.DrawCluster()
	s := meta.Bootstrap(cluster, o.ClusterName, o.Partitions, o.Replicas, m.self())
	if err := s.Validate(); err != nil {
		return fmt.Errorf("new cluster: %w", err)
	}
	err := o.Host.Bootstrap(kv.Meta, s.Members[0].MetaReplica, o.Machine.Seed(&s))
	for p, row := range s.Placement {
		err = errors.Join(err, o.Host.Bootstrap(kv.PartitionID(p), row[0].ID, nil))
	}
	if err = errors.Join(err, o.Host.CommitNow(), o.Machine.Reload()); err != nil {
		return fmt.Errorf("new cluster: %w", err)
	}
	o.Logger.Info("new cluster", "cluster", cluster.String(), "name", o.ClusterName, "partitions", o.Partitions, "replicas", o.Replicas)
	return m.become(cluster, s.Members[0].MetaReplica)
}

// Adopt completes a bootstrap that a crash interrupted before the identity was written.
func (m *Membership) Adopt() error {
	s := m.o.Machine.State()
	if m.Member() || s == nil {
		return nil
	}
	self, ok := s.Member(m.o.Identity.Node)
	if !ok {
		return fmt.Errorf("the data directory holds cluster %s, of which node %s is no member: start with an empty data directory", s.Cluster, m.o.Identity.Node)
	}
	return m.become(s.Cluster, self.MetaReplica)
}

func (m *Membership) become(cluster kv.ClusterID, own kv.ReplicaID) error {
	o := &m.o
	id := o.Identity
	id.Cluster, id.ClusterName, id.MetaReplica = cluster, o.ClusterName, own
	if err := o.DB.SaveIdentity(id); err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	o.Identity = id
	o.Machine.SetOwn(own)
	o.Announce(cluster)
	return nil
}

func (m *Membership) self() meta.Member {
	o := &m.o
	return meta.Member{ID: o.Identity.Node, Name: o.Identity.Name, Starts: o.Identity.Starts, Incarnation: o.Incarnation, Addresses: o.Addresses()}
}

// ErrRefused is the error of Run when the cluster does not want this node as it is: its name
// is taken, its data directory is a copy or too old, or it was removed.
var ErrRefused = errors.New("the cluster refuses this node")

// errBootstrap ends the wait of a fresh node that is to form the cluster itself.
var errBootstrap = errors.New("form the cluster here")

// AwaitCluster waits, on a fresh node, until there is a cluster to join (nil), or until this
// node is the one of the expected fresh nodes that must make it (found is false then). Fresh
// nodes that cannot see each other never make two: each needs to see all the others.
func (m *Membership) AwaitCluster(ctx context.Context) (found bool, err error) {
	err = m.poll(ctx, 200*time.Millisecond, func() (bool, error) {
		all := m.o.Neighbours()
		if slices.ContainsFunc(all, func(n Neighbour) bool { return n.Cluster != 0 }) {
			return true, nil
		}
		if m.o.Expect > 0 && m.first(all) {
			return false, errBootstrap
		}
		return false, nil
	})
	if errors.Is(err, errBootstrap) {
		return false, nil
	}
	return err == nil, err
}

// first reports whether this node has the smallest name of the expected number of fresh
// nodes, all of which expect the same.
func (m *Membership) first(all []Neighbour) bool {
	if len(all)+1 < m.o.Expect {
		return false
	}
	for _, n := range all {
		if n.Expect != m.o.Expect || n.Name < m.o.Identity.Name || n.Name == m.o.Identity.Name && n.ID < m.o.Identity.Node {
			return false
		}
	}
	return true
}

// Run joins the cluster, or tells it that the node has started again, and keeps trying until
// that is done. It returns ErrRefused when the cluster's answer is final.
func (m *Membership) Run(ctx context.Context) error {
	attempts := 0
	return m.poll(ctx, 300*time.Millisecond, func() (bool, error) {
		attempts++
		res, err := m.introduce(ctx)
		if err != nil {
			if attempts%20 == 0 {
				m.o.Logger.Info("waiting for the cluster", "err", err)
			}
			return false, nil
		}
		if res.Refused != nil {
			return m.refused(res.Refused, attempts)
		}
		if res.Join != nil && !m.Member() {
			m.o.Logger.Info("joined", "cluster", res.Join.Cluster.String(), "name", res.Join.ClusterName)
			return true, m.become(res.Join.Cluster, res.Join.Member.MetaReplica)
		}
		return true, nil
	})
}

// refused tells final answers from those that time may change.
func (m *Membership) refused(r *meta.Refusal, attempts int) (bool, error) {
	switch r.Code {
	case meta.NameInUse, meta.Full, meta.Stale:
		// A node that was wiped waits here until its former self is seen to be gone.
		if attempts%10 == 1 {
			m.o.Logger.Warn("the cluster does not take this node yet", "reason", r.Text)
		}
		return false, nil
	}
	return false, fmt.Errorf("%w: %s", ErrRefused, r.Text)
}

// introduce makes one attempt: a Join from a fresh node, a Start from a known one.
func (m *Membership) introduce(ctx context.Context) (meta.Result, error) {
	self := m.self()
	cmd := meta.Join{Member: self}.Encode()
	if m.Member() {
		cmd = meta.Start{ID: self.ID, Starts: self.Starts, Incarnation: self.Incarnation, Addresses: self.Addresses, Name: self.Name}.Encode()
	}
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
	if h := m.o.Node.o.Loop.Handle(kv.Meta); h != nil {
		out = append(out, h.Leader().Node)
	}
	for _, n := range m.o.Neighbours() {
		if n.Cluster != 0 {
			out = append(out, n.ID)
		}
	}
	return append(out, m.o.Machine.Nodes(kv.Meta)...)
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

// askMeta asks a node to propose a command of the meta group.
func (n *Node) askMeta(ctx context.Context, to kv.NodeID, cmd []byte) ([]byte, *kv.Error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if to == n.o.ID {
		type answer struct {
			b []byte
			e *kv.Error
		}
		done := make(chan answer, 1)
		n.proposeMeta(n.withDeadFormer(cmd), func(b []byte, e *kv.Error) { done <- answer{b, e} })
		select {
		case a := <-done:
			return a.b, a.e
		case <-ctx.Done():
			return nil, kv.ErrUnknown()
		}
	}
	b, err := n.ask(ctx, to, reqMeta, cmd)
	if err != nil {
		return nil, kv.Errorf(kv.Unavailable, "node %s: %v", to, err)
	}
	d, e := decodeAnswer(b)
	if e != nil {
		return nil, e
	}
	return d.Rest(), nil
}
