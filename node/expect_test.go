package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/node/rebalance"
	"pxkv/node/replica"
	"pxkv/ring"
)

// eventually polls until f returns nil.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: still %v", what, err)
		}
		<-ticker.C
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within returns a context that ends with the test's patience, or earlier.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// of returns a running cluster of so many settled nodes: a, b, c, ...
func of(t testing.TB, n int, options ...func(*cluster)) (*cluster, []*server) {
	t.Helper()
	c := newCluster(t, options...)
	servers := []*server{c.start("a")}
	for i := 1; i < n; i++ {
		servers = append(servers, c.joining(string(rune('a'+i))))
	}
	c.settled(n)
	return c, servers
}

// settled waits until n running nodes are one cluster in which every replica is where the
// placement wants it, every preferred leader leads and is known to every node, and every node is ready.
func (c *cluster) settled(n int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d nodes settle", n), func() error {
		servers := c.running()
		if len(servers) != n {
			return fmt.Errorf("%d nodes run", len(servers))
		}
		first := servers[0].machine.State()
		for _, s := range servers {
			state := s.machine.State()
			switch {
			case state == nil || first == nil:
				return fmt.Errorf("%s has not joined", s.name)
			case len(state.Members) != n || state.PlacementOutdated() || state.Epoch != first.Epoch ||
				state.Cluster != first.Cluster:
				return fmt.Errorf("%s has %d members, epoch %d of cluster %s", s.name, len(state.Members), state.Epoch,
					state.Cluster)
			}
			if err := s.node.Ready(); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		leaders := map[kv.PartitionID]int{}
		for _, s := range servers {
			if err := s.leadsAsPlaced(first, leaders); err != nil {
				return err
			}
		}
		for p := range first.Partitions {
			if leaders[kv.PartitionID(p)] != 1 {
				return fmt.Errorf("partition %d has %d leaders", p, leaders[kv.PartitionID(p)])
			}
			// A node without a replica of it may know its former leader until it asks the next time.
			for _, s := range servers {
				if id, _ := s.node.client.Leader(kv.PartitionID(p)); id != first.Placement[p][0].Node {
					return fmt.Errorf("%s believes that node %s leads partition %d", s.name, id, p)
				}
			}
		}
		return nil
	})
}

// leadsAsPlaced checks the groups that a node leads against the placement, and counts them.
func (s *server) leadsAsPlaced(state *meta.State, leaders map[kv.PartitionID]int) error {
	var wrong error
	err := s.loop.Do(within(s.c.t, patience), func(h *replica.Host) {
		for _, p := range h.Partitions() {
			v, _ := h.View(p)
			var voters, learners []kv.Replica
			if p == kv.Meta {
				voters, learners = state.MetaReplicas()
			} else {
				voters = state.Placement[p]
			}
			if _, placed := state.ReplicaOn(p, s.id()); !placed {
				wrong = fmt.Errorf("%s still has partition %s", s.name, p)
			}
			if !v.Leads {
				continue
			}
			leaders[p]++
			if len(v.Conf.GetVotersOutgoing()) > 0 || len(v.Conf.GetVoters()) != len(voters) ||
				len(v.Conf.GetLearners()) != len(learners) || voters[0].Node != s.id() {
				wrong = fmt.Errorf("partition %s, led by %s: %v, want %v and learners %v", p, s.name, v.Conf, voters,
					learners)
			}
		}
	})
	return errors.Join(err, wrong)
}

// asPlanned waits until what every node tells of the cluster is what the placement wants, which is as one is planned:
// planned again, nothing would move. A node that has no replica of a partition hears within a second who leads it.
func (c *cluster) asPlanned() {
	c.t.Helper()
	servers := c.running()
	var members []ring.Member
	names := map[kv.NodeID]string{}
	for _, s := range servers {
		members = append(members, ring.Member{ID: s.id()})
		names[s.id()] = s.name
	}
	state := servers[0].machine.State()
	plan := make([][]string, c.partitions)
	for p, row := range rebalance.Plan(state.Placement, members, c.partitions, c.replicas) {
		for i, id := range row {
			plan[p] = append(plan[p], names[id])
			if i >= len(state.Placement[p]) || state.Placement[p][i].Node != id {
				c.t.Fatalf("partition %d is placed on %v, and a new plan says %v", p, state.Placement[p], row)
			}
		}
	}
	eventually(c.t, "the nodes tell what is planned", func() error {
		for _, s := range servers {
			if err := errors.Join(s.tellsPartitions(plan), s.tellsMembers(servers, plan)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *server) tellsPartitions(plan [][]string) error {
	got := s.node.Partitions()
	if len(got) != len(plan) {
		return fmt.Errorf("%s knows %d partitions, want %d", s.name, len(got), len(plan))
	}
	for p, v := range got {
		var nodes []string
		for _, r := range v.Wanted {
			nodes = append(nodes, r.Node)
		}
		first, last := ring.SlotRange(kv.PartitionID(p), len(plan))
		if !slices.Equal(nodes, plan[p]) || v.Leader != plan[p][0] || v.Slots != [2]int{first, last} ||
			int(v.Partition) != p {
			return fmt.Errorf("%s says %+v, want replicas %v, led by the first, slots %d to %d", s.name, v, plan[p],
				first, last)
		}
	}
	return nil
}

func (s *server) tellsMembers(servers []*server, plan [][]string) error {
	view := s.node.Cluster()
	if view.ID == 0 || view.ID != servers[0].node.Cluster().ID || view.Name != "test" || view.Node != s.name ||
		view.Partitions != len(plan) || view.Replicas != s.c.replicas || view.Version != meta.NewestVersion ||
		len(view.Members) != len(servers) {
		return fmt.Errorf("%s says %+v", s.name, view)
	}
	for _, m := range view.Members {
		holds, leads := 0, 0
		for _, row := range plan {
			if slices.Contains(row, m.Name) {
				holds++
			}
			if row[0] == m.Name {
				leads++
			}
		}
		if m.State != kv.Active || !m.Reachable || m.Wanted != holds || m.Leaders != leads ||
			m.Addresses.Peer != m.Name+":1" {
			return fmt.Errorf("%s says %+v, want %d replicas and %d leaders", s.name, m, holds, leads)
		}
	}
	return nil
}

// holders sorts the nodes by what they are for a key: its leader, its followers, the others.
func holders(t *testing.T, servers []*server, key string) (leader *server, followers, others []*server) {
	t.Helper()
	var o kv.OwnerView
	eventually(t, "somebody leads", func() error { // on a busy machine another one may just be elected
		if o = servers[0].node.Owner([]byte(key)); o.Leader == "" {
			return fmt.Errorf("nobody leads the partition of %q: %+v", key, o)
		}
		return nil
	})
	for _, s := range servers {
		switch {
		case s.name == o.Leader:
			leader = s
		case slices.ContainsFunc(o.Wanted, func(r kv.PlacedView) bool { return r.Node == s.name }):
			followers = append(followers, s)
		default:
			others = append(others, s)
		}
	}
	if leader == nil {
		t.Fatalf("who leads the partition of %q is none of the nodes: %+v", key, o)
	}
	return leader, followers, others
}

// keyLedBy finds a key whose partition a node leads.
func keyLedBy(t testing.TB, s *server, prefix string) string {
	t.Helper()
	for i := range 100_000 {
		key := fmt.Sprintf("%s%d", prefix, i)
		if s.node.Owner([]byte(key)).Leader == s.name {
			return key
		}
	}
	t.Fatalf("%s leads nothing", s.name)
	return ""
}

// put, create and del are writes of text values.
func put(key, value string) *kv.Command {
	return &kv.Command{Op: kv.OpPut, Key: []byte(key), Value: kv.Value{Kind: kv.String, Data: []byte(value)}}
}

func create(key, value string) *kv.Command {
	c := put(key, value)
	c.Cond.Kind = kv.CondAbsent
	return c
}

func del(key string) *kv.Command { return &kv.Command{Op: kv.OpDelete, Key: []byte(key)} }

// write carries out a command that must succeed.
func (s *server) write(c *kv.Command) kv.Result {
	s.c.t.Helper()
	res, err := s.node.Write(within(s.c.t, patience), c)
	if err != nil {
		s.c.t.Fatalf("write of %q through %s: %v", c.Key, s.name, err)
	}
	return res
}

// get reads a key; "" stands for one that does not exist.
func (s *server) get(key string) string {
	s.c.t.Helper()
	res, err := s.node.Read(within(s.c.t, patience), []byte(key), kv.ReadOptions{})
	if err != nil {
		s.c.t.Fatalf("read of %q through %s: %v", key, s.name, err)
	}
	return string(res.Item.Value.Data)
}

func wantKind(t *testing.T, err error, kind kv.ErrorKind) {
	t.Helper()
	if kv.KindOf(err) != kind {
		t.Errorf("got %v (%v), want %v", err, kv.KindOf(err), kind)
	}
}

// counter reads one of the node's counters or gauges, summed over its labels.
func (s *server) counter(name string) (sum float64) {
	s.c.t.Helper()
	families, err := s.registry.Gather()
	must(s.c.t, err)
	found := false
	for _, f := range families {
		if f.GetName() == name {
			found = true
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	if !found {
		s.c.t.Fatalf("there is no metric %s", name)
	}
	return sum
}
