package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pxkv/node/kv"
	"pxkv/node/meta"
	"pxkv/ring"
)

func TestANodeAloneServesAtOnce(t *testing.T) {
	t.Parallel()
	// With such a tick an election would take ten seconds: a node alone needs none.
	c := newCluster(t, func(c *cluster) { c.tick = time.Second })
	began := time.Now()
	a := c.start("a")
	if res := a.write(put("k", "v")); !res.Created || res.Version == 0 || res.Receipt.Node != "a" {
		t.Errorf("first write: %+v", res)
	}
	if got := a.get("k"); got != "v" {
		t.Errorf("read %q", got)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("served after %v", took)
	}
	eventually(t, "ready", a.node.Ready)
	c.asPlanned()
	if c.drawn != 1 {
		t.Errorf("%d clusters were made", c.drawn)
	}
}

func TestThreeFreshNodesFormOneCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, name := range []string{"n3", "n1", "n2"} {
		c.expecting(name, 3)
	}
	c.settled(3)
	c.asPlanned()
	if c.drawn != 1 {
		t.Errorf("%d clusters were made, want one", c.drawn)
	}
	for _, s := range c.running() {
		if oldest := slices.MinFunc(s.machine.State().Members, func(a, b meta.Member) int {
			return int(a.Joined) - int(b.Joined)
		}); oldest.Name != "n1" {
			t.Errorf("the cluster was made by %s, want the smallest name, n1", oldest.Name)
		}
		s.write(put("from "+s.name, s.name))
	}
	for _, s := range c.running() {
		for _, o := range c.running() {
			if got := s.get("from " + o.name); got != o.name {
				t.Errorf("%s reads %q of what %s wrote", s.name, got, o.name)
			}
		}
	}
}

func TestNodesJoinAndTheDataSpreads(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a := c.start("a")
	keys := make([]string, 300)
	for i := range keys {
		keys[i] = fmt.Sprintf("key %d", i)
		a.write(put(keys[i], fmt.Sprint(i)))
	}
	for n, names := range map[int][]string{3: {"b", "c"}} {
		for _, name := range names {
			c.joining(name)
		}
		c.settled(n)
		c.asPlanned()
	}
	c.joining("d")
	c.settled(4)
	c.asPlanned()
	for _, s := range c.running() {
		for i, key := range keys {
			if got := s.get(key); got != fmt.Sprint(i) {
				t.Fatalf("%s reads %q at %q, want %d", s.name, got, key, i)
			}
			o := s.node.Owner([]byte(key))
			if p := ring.PartitionOfKey([]byte(key), c.partitions); o.Partition != p ||
				o.Slot != ring.SlotOf([]byte(key)) || len(o.Wanted) != 3 {
				t.Fatalf("%s says of %q %+v, want partition %s", s.name, key, o, p)
			}
			eventually(t, "the first leads", func() error { // on a busy machine another one may for a moment
				if o = s.node.Owner([]byte(key)); o.Leader != o.Wanted[0].Node {
					return fmt.Errorf("%s says of %q %+v", s.name, key, o)
				}
				return nil
			})
		}
	}
}

func TestReadySaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3, partitions(16))
	waiting := newCluster(t).joining("w")
	if err := waiting.node.Ready(); kv.KindOf(err) != kv.Unavailable || !strings.Contains(err.Error(), "not joined") {
		t.Errorf("before joining: %v", err)
	}
	b := servers[1]
	c.net.isolate(b)
	led := 0
	for _, m := range servers[0].node.Cluster().Members {
		if m.ID == b.id() {
			led = m.Leaders
		}
	}
	eventually(t, "the isolated node says what it misses", func() error {
		err := b.node.Ready()
		if kv.KindOf(err) == kv.Unavailable && strings.Contains(err.Error(), "partition") &&
			strings.HasSuffix(err.Error(), "and 6 more") {
			return nil // all 16, ten of them named, when it leads none any more
		}
		return fmt.Errorf("%v (it led %d)", err, led)
	})
	for _, m := range b.node.Cluster().Members {
		if m.Reachable != (m.ID == b.id()) {
			t.Errorf("the isolated node says of %s: reachable %v", m.Name, m.Reachable)
		}
	}
	for _, s := range []*server{servers[0], servers[2]} {
		eventually(t, "the majority is ready without it", s.node.Ready)
	}
	c.net.heal()
	eventually(t, "ready again", b.node.Ready)
	servers[2].node.Stop()
	if err := servers[2].node.Ready(); kv.KindOf(err) != kv.Unavailable ||
		!strings.Contains(err.Error(), "shutting down") {
		t.Errorf("while stopping: %v", err)
	}
}

func TestNothingIsServedBeforeJoining(t *testing.T) {
	t.Parallel()
	w := newCluster(t).joining("w")
	ctx := within(t, patience)
	_, err := w.node.Write(ctx, put("k", "v"))
	wantKind(t, err, kv.Unavailable)
	for _, consistency := range []kv.Consistency{kv.Linearizable, kv.Stale} {
		_, err = w.node.Read(ctx, []byte("k"), kv.ReadOptions{Consistency: consistency})
		wantKind(t, err, kv.Unavailable)
		_, err = collect(w.node.List(ctx, kv.ListQuery{Consistency: consistency}))
		wantKind(t, err, kv.Unavailable)
	}
	if v := w.node.Cluster(); v.ID != 0 || v.Node != "w" || len(v.Members) != 0 {
		t.Errorf("cluster %+v", v)
	}
	if ps, o := w.node.Partitions(), w.node.Owner([]byte("k")); len(ps) != 0 || o.Leader != "" ||
		o.Slot != ring.SlotOf([]byte("k")) {
		t.Errorf("partitions %v, owner %+v", ps, o)
	}
}

func TestNewRefusesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := New(Options{})
	if err == nil || !strings.Contains(err.Error(), "id and name") || !strings.Contains(err.Error(), "Sight") {
		t.Errorf("got %v, want every fault", err)
	}
}
