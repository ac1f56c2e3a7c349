package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pxkv/node/autopilot"
	"pxkv/node/health"
	"pxkv/node/kv"
	"pxkv/node/meta"
)

// What a node shows of the cluster is what is there, and not what is wanted: while a cluster grows, it is not said to
// be complete, nor that a node may fail.
func TestAGrowingClusterIsNotSaidToBeComplete(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a := c.start("a")
	ctx := context.Background()
	eventually(t, "one node alone is complete, and may not fail", func() error {
		v := a.node.ClusterHealth(ctx)
		if h := v.Health; h == nil || !h.Served.Yes || !h.Complete.Yes || h.MayFail.Yes {
			return fmt.Errorf("got %+v", v)
		}
		return nil
	})
	c.joining("b")
	c.joining("c")
	// Until it is complete it never says that a may go; and a says so as soon as anybody is a member.
	eventually(t, "all three are complete", func() error {
		h := a.node.ClusterHealth(ctx).Health
		safe, err := a.node.SafeToStop(ctx, "a")
		if err != nil {
			return err
		}
		if h.MayFail.Yes && !(h.Served.Yes && h.Complete.Yes) {
			t.Errorf("it says that any node may fail, and %+v", h)
		}
		if safe.Safe {
			// It is asked after h, and may know more; but then every partition has two voters beside a, unless its
			// leader is just being elected and nothing is known of it.
			for _, p := range a.node.PartitionsHealth(ctx) {
				if len(p.Replicas) == 0 {
					continue
				}
				voters := 0
				for _, r := range p.Replicas {
					if r.Role == kv.RoleVoter && r.Node != "a" {
						voters++
					}
				}
				if voters < 2 {
					t.Errorf("a may be stopped, and %+v", p)
				}
			}
		}
		if !h.Complete.Yes || !h.MayFail.Yes || !safe.Safe {
			return fmt.Errorf("%s; %s; safe: %+v", strings.Join(h.Complete.Why, "; "),
				strings.Join(h.MayFail.Why, "; "), safe)
		}
		return nil
	})
	for _, s := range c.running() {
		eventually(t, "each says so of each", func() error { // but of groups that are just handed over
			for _, m := range s.node.ClusterHealth(ctx).Members {
				if m.Replicas != c.partitions || m.Wanted != c.partitions || m.Filling != 0 {
					return fmt.Errorf("%s says %+v", s.name, m)
				}
			}
			return nil
		})
	}
}

// While a leadership is handed over, who had it may answer after, and who takes it before: that is not called dark.
func TestAGroupThatIsHandedOverIsServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &meta.State{Partitions: 2, Members: []meta.Member{{ID: 1}, {ID: 2}}}
		word := func(p kv.PartitionID, term uint64) health.Report { return health.Report{Partition: p, Term: term} }
		asked := 0
		words := func(later ...health.Report) func() map[kv.NodeID][]health.Report {
			asked = 0
			return func() map[kv.NodeID][]health.Report {
				asked++
				if asked < 3 {
					return map[kv.NodeID][]health.Report{1: {word(kv.Meta, 1), word(0, 1)}, 2: nil}
				}
				return map[kv.NodeID][]health.Report{1: {word(kv.Meta, 1), word(0, 1)}, 2: later}
			}
		}
		began := time.Now()
		got := gather(t.Context(), s, words(word(1, 7), word(0, 2)))
		if len(got) != 3 || got[1].Term != 7 || got[0].Term != 2 || asked != 3 {
			t.Errorf("asked %d times, got %v", asked, got)
		}
		if took := time.Since(began); took != 2*catchStep {
			t.Errorf("it took %v", took)
		}
		// One that has no leader is not waited for without end.
		began = time.Now()
		if got := gather(t.Context(), s, words()); len(got) != 2 {
			t.Errorf("got %v", got)
		}
		if took := time.Since(began); took < handTime || took > handTime+catchStep {
			t.Errorf("it took %v", took)
		}
		// Nor is ctx.
		ctx, cancel := context.WithTimeout(t.Context(), 3*catchStep)
		defer cancel()
		if got := gather(ctx, s, words()); len(got) != 2 || asked > 4 {
			t.Errorf("asked %d times, got %v", asked, got)
		}
	})
}

// A node that does not know yet whom it could ask, while the leaders of all groups report, does not say that something
// is not served.
func TestWhatIsReportedIsServed(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	a, b := servers[0], servers[1]
	eventually(t, "all is served", func() error { // on a busy machine it may take longer until it knows
		var asked atomic.Bool // for reports: from then on it can know
		c.net.setJudge(func(r request) fate {
			if r.from == a.id() && r.kind == reqReport {
				asked.Store(true)
			}
			if r.from == a.id() && (r.kind == reqLeading && r.to == b.id() || r.kind == reqVia) && !asked.Load() {
				return notSent
			}
			return deliver
		})
		eventually(t, "it knows no way to b", func() error {
			if a.node.Ready() == nil {
				return errors.New("it is ready")
			}
			return nil
		})
		if v := a.node.ClusterHealth(t.Context()); !v.Ready || !v.Health.Served.Yes {
			return fmt.Errorf("ready: %v, %s; %+v", v.Ready, v.NotReady, v.Health.Served)
		}
		return nil
	})
}

// One that fell is said to be missing until it is back and has caught up.
func TestALostNodeIsMissed(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	ctx := context.Background()
	well := func() error {
		h := servers[0].node.ClusterHealth(ctx).Health
		if !h.Served.Yes || !h.Complete.Yes || !h.MayFail.Yes {
			return fmt.Errorf("got %+v", h)
		}
		return nil
	}
	eventually(t, "all is well", well)
	lostWithA := func(want int) error {
		lost, dark, err := servers[0].node.LostWith(ctx)
		if err != nil || len(lost) != want || len(dark) != 0 {
			return fmt.Errorf("with a would be lost %v, dark are %v, %v; want %d", lost, dark, err, want)
		}
		return nil
	}
	eventually(t, "a is needed by none", func() error { return lostWithA(0) })
	servers[2].end(false)
	eventually(t, "everything is served, and nobody may fail", func() error {
		v := servers[0].node.ClusterHealth(ctx)
		if h := v.Health; !h.Served.Yes || h.Complete.Yes || h.MayFail.Yes {
			return fmt.Errorf("got %+v", h)
		}
		for name, want := range map[string]bool{"a": false, "b": false, "c": true} {
			if safe, err := servers[1].node.SafeToStop(ctx, name); err != nil || safe.Safe != want {
				return fmt.Errorf("%s may be stopped: %+v, %v", name, safe, err)
			}
		}
		return nil
	})
	eventually(t, "a is needed by all groups", func() error { return lostWithA(c.partitions + 1) })
	if _, err := servers[0].node.SafeToStop(ctx, "nobody"); kv.ErrorOf(err).Kind != kv.Invalid {
		t.Errorf("an unknown name: %v", err)
	}
	servers[2].restart()
	eventually(t, "all is well again", well)
}

func TestReportsAreRefusedWhenMalformed(t *testing.T) {
	t.Parallel()
	if _, err := reportMethod.Decode(nil, 1, kv.NewDecoder([]byte("x"))); err == nil {
		t.Error("a request with a rest was taken")
	}
	if _, ok := reportMethod.DecodeAnswer(struct{}{}, kv.NewDecoder([]byte("x"))); ok {
		t.Error("an answer that is no JSON was taken")
	}
}

// Whoever leads the cluster's own group knows first that something is to move, and says so to whoever asks.
func TestAReportSaysThatNobodyHasPlacedYet(t *testing.T) {
	t.Parallel()
	s := &meta.State{ClusterVersion: meta.VersionDepartures, Epoch: 7, Replicas: 3, PlacedReplicas: 3}
	for _, wanted := range []int{3, 2} {
		s.Replicas = wanted
		rs := []health.Report{{Partition: kv.Meta}, {Partition: 1}}
		new(Node).addState(rs, s)
		if rs[0].Epoch != 7 || rs[1].Epoch != 7 || rs[0].Unplaced != (wanted == 2) || rs[1].Unplaced {
			t.Errorf("%d replicas are wanted: %+v", wanted, rs)
		}
	}
}

// What is refused to a cluster of an older release says all that every refusal says.
func TestAnOldClusterKeepsItsReplicas(t *testing.T) {
	t.Parallel()
	s := &meta.State{ClusterVersion: meta.VersionDepartures - 1, Epoch: 7, Replicas: 3}
	v := tooOld(s, autopilot.Wish{Kind: autopilot.Replicas, Replicas: 2})
	if v.Replicas != 3 || v.Epoch != 7 || len(v.Refused) != 1 {
		t.Errorf("of replicas: %+v", v)
	}
	if v = tooOld(s, autopilot.Wish{Kind: autopilot.Leave, Name: "a"}); v.Node != "a" || v.Replicas != 0 {
		t.Errorf("of a member: %+v", v)
	}
	if s.ClusterVersion++; len(tooOld(s, autopilot.Wish{Kind: autopilot.Replicas}).Refused) > 0 {
		t.Error("a cluster of this release is refused")
	}
}
