package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"pxkv/node/autopilot"
	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/persist/disktest"
)

// ordered takes the answer to an order that must not fail.
func ordered(t *testing.T) func(kv.OrderView, error) kv.OrderView {
	return func(v kv.OrderView, err error) kv.OrderView {
		t.Helper()
		if err != nil || len(v.Refused) > 0 {
			t.Fatalf("the order was not carried out: %+v, %v", v, err)
		}
		return v
	}
}

// leaves gives the order until it is not refused: on a busy machine somebody may be behind for a moment.
func (s *server) leaves(name string, replicas int) {
	s.c.t.Helper()
	eventually(s.c.t, "it may leave", func() error {
		v, err := s.node.Leave(within(s.c.t, patience), name, replicas, 0)
		if err == nil && len(v.Refused) > 0 {
			err = errors.New(strings.Join(v.Refused, "; "))
		}
		return err
	})
}

// words is a log that can be searched.
type words struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *words) has(some string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(w.text.String(), some)
}

// gone waits until a node is no member any more, by the word of others.
func (s *server) gone(id kv.NodeID) {
	s.c.t.Helper()
	eventually(s.c.t, "it has gone", func() error {
		state := s.machine.State()
		if m, is := state.Member(id); is {
			v := s.node.ClusterHealth(within(s.c.t, patience))
			for _, shown := range v.Members { // not, if it has gone in this moment
				if shown.ID == id {
					return fmt.Errorf("%s is %s: %+v", m.Name, m.State, shown.Departure)
				}
			}
			return fmt.Errorf("%s was %s just now", m.Name, m.State)
		}
		return nil
	})
}

func TestAMemberLeaves(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 4)
	keys := numbered("key ", 300)
	servers[0].fill(keys, itself)
	leaver := servers[0] // it leads the meta group, too
	leaver.leaves("", 0)
	ordered(t)(leaver.node.Leave(within(t, patience), "", 0, 0)) // twice is once
	if err := leaver.refusal(); !errors.Is(err, replica.ErrLeft) {
		t.Errorf("it ended with %v", err)
	}
	servers[1].gone(leaver.id())
	asked := leaver.asks.Load()
	eventually(t, "its membership goes on until its clients have been answered", func() error {
		if n := leaver.asks.Load() - asked; n < 2 {
			return fmt.Errorf("it has asked %d times", n)
		}
		return nil
	})
	leaver.stop()
	select {
	case err := <-leaver.refused:
		t.Errorf("it ended with %v as well", err)
	default:
	}
	c.settled(3)
	c.asPlanned()
	s := servers[1].machine.State()
	if r, ok := s.RemovedMember(leaver.id()); !ok || r.Cause != kv.CauseLeft || r.AtMS == 0 || len(s.Members) != 3 {
		t.Errorf("former members are %+v", s.Removed)
	}
	eventually(t, "all is well without it", func() error { // on a busy machine somebody may be behind for a moment
		v := servers[2].node.ClusterHealth(within(t, patience))
		if len(v.Removed) != 1 || v.Removed[0].Name != leaver.name || !v.Health.Complete.Yes || !v.Health.MayFail.Yes {
			return fmt.Errorf("the cluster is shown as %+v, %+v", v.Removed, v.Health)
		}
		return nil
	})
	for _, key := range keys {
		if res, err := servers[3].node.Read(within(t, patience), []byte(key), kv.ReadOptions{}); err != nil ||
			string(res.Item.Value.Data) != key {
			t.Fatalf("%q: %+v, %v", key, res, err)
		}
	}
	_, err := servers[1].node.Leave(within(t, patience), leaver.name, 0, 0)
	if kv.KindOf(err) != kv.Invalid || !strings.Contains(err.Error(), "left when it was asked to") {
		t.Errorf("who has left is asked again: %v", err)
	}
}

func TestWhatCannotEndIsRefused(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 3)
	a, ctx := servers[0].node, within(t, patience)
	refused := func(v kv.OrderView, err error, want string) {
		t.Helper()
		if err != nil || !strings.Contains(strings.Join(v.Refused, "; "), want) {
			t.Errorf("got %+v, %v, want a refusal with %q", v, err, want)
		}
	}
	v, err := a.Leave(ctx, servers[2].name, 0, 0)
	refused(v, err, "--replicas-after 2")
	v, err = a.Leave(ctx, servers[2].name, 3, 0)
	refused(v, err, "2 members remain")
	v, err = a.Leave(ctx, servers[2].name, 4, 0)
	refused(v, err, "4 replicas were asked for")
	v, err = a.Leave(ctx, servers[2].name, 2, servers[0].machine.State().Epoch+1)
	refused(v, err, "look at the plan again")
	v, err = a.RemoveMember(ctx, servers[2].name, 2)
	refused(v, err, "stop it")
	if _, err := a.Leave(ctx, "n9", 0, 0); kv.KindOf(err) != kv.Invalid || !strings.Contains(err.Error(), "n9") {
		t.Errorf("a stranger leaves: %v", err)
	}
	for _, name := range []string{strings.Repeat("n", 1<<20), "n\x00"} {
		if _, err := a.Leave(ctx, name, 0, 0); kv.KindOf(err) != kv.Invalid || len(err.Error()) > 1000 {
			t.Errorf("one that cannot be leaves: %v", err)
		}
		if _, err := a.Plan(ctx, "add", name, 0); kv.KindOf(err) != kv.Invalid {
			t.Errorf("one that cannot be is planned: %v", err)
		}
	}
	if v, err := a.Plan(ctx, "remove", servers[2].name, 1<<60); err != nil || len(v.Refused) == 0 {
		t.Errorf("a plan of many replicas: %+v, %v", v, err)
	}
	if v, err := a.Plan(ctx, "remove", servers[2].name, 0); err != nil || len(v.AtRisk) != len(v.Moves) {
		t.Errorf("two members would remain, and could bear that one fails: %+v, %v", v, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 8 { // the leader may say at once that it has no time to look
		v, e := a.orderHere(over, autopilot.Wish{Kind: autopilot.Leave, Name: servers[2].name, Replicas: 2})
		if e == nil || e.Kind != kv.Unavailable {
			t.Errorf("who had no time to ask says %+v, %v", v, e)
		}
	}
	if v, err := a.Plan(over, "remove", servers[2].name, 2); kv.KindOf(err) != kv.Unavailable {
		t.Errorf("who had no time to ask plans %+v, %v", v, err)
	}
	servers[2].kill()
	v, err = a.Leave(within(t, patience), servers[1].name, 2, 0)
	refused(v, err, servers[2].name+" does not answer")
	for _, m := range servers[0].machine.State().Members {
		if m.State != kv.Active {
			t.Errorf("%s is %s", m.Name, m.State)
		}
	}
}

func TestFewerReplicasOnRequest(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	servers[0].fill(numbered("key ", 50), itself)
	servers[0].leaves(servers[2].name, 2)
	servers[0].gone(servers[2].id())
	servers[2].stop()
	c.settled(2)
	if s := servers[0].machine.State(); s.Replicas != 2 || len(s.Placement[0]) != 2 {
		t.Errorf("%d replicas are wanted, placed as %v", s.Replicas, s.Placement[0])
	}
}

// What a departure has lowered is raised by order, when there are members for it again; and lowered by order, too.
func TestReplicasAreMadeAndRemovedByOrder(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	a := servers[0]
	keys := numbered("key ", 100)
	a.fill(keys, itself)
	a.leaves(servers[2].name, 2)
	a.gone(servers[2].id())
	servers[2].stop()
	c.joining("n4")
	c.settled(3)
	if s := a.machine.State(); s.Replicas != 2 {
		t.Fatalf("%d replicas are wanted, though nobody has asked for more", s.Replicas)
	}
	for _, replicas := range []int{3, 1, 2} {
		eventually(t, "the order is taken", func() error {
			v, err := servers[1].node.SetReplicas(within(t, patience), replicas)
			if err == nil && len(v.Refused) > 0 {
				err = errors.New(strings.Join(v.Refused, "; "))
			}
			if err == nil && v.Replicas != replicas {
				t.Errorf("%d replicas were asked for, and the answer is %+v", replicas, v)
			}
			return err
		})
		for _, s := range servers[:2] { // one of them at least has to hear of it first
			v := s.node.ClusterHealth(within(t, patience))
			if v.Replicas != replicas && v.Health.Complete.Yes {
				t.Errorf("%d replicas are wanted, and %s says of %d that all is complete", replicas, s.name,
					v.Replicas)
			}
		}
		eventually(t, "there are as many", func() error {
			for p, row := range a.machine.State().Placement {
				if len(row) != replicas {
					return fmt.Errorf("partition %d is placed on %v", p, row)
				}
			}
			if v := a.node.ClusterHealth(within(t, patience)); v.Health == nil || !v.Health.Complete.Yes {
				return fmt.Errorf("%+v", v.Health)
			}
			return nil
		})
		for _, key := range keys {
			if got := servers[1].get(key); got != key {
				t.Fatalf("%d replicas: %q is %q", replicas, key, got)
			}
		}
	}
	if v, err := a.node.SetReplicas(within(t, patience), 10); err != nil || len(v.Refused) != 1 || v.Replicas != 2 {
		t.Errorf("ten replicas: %+v, %v", v, err)
	}
}

// Who has no majority behind him does not say of an order that it is done, also when it would change nothing that he
// knows of.
func TestWhoLeadsNoMoreTakesNoOrder(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3, quorumReads)
	believes := func(s *server) bool { return s.loop.Leader(kv.Meta).Self }
	for _, wish := range []autopilot.Wish{{Kind: autopilot.Replicas, Replicas: 3}, {Kind: autopilot.Stay}} {
		// On a busy machine it may know that it is alone before it is asked: then there is another try.
		eventually(t, "it is asked while it believes that it leads", func() error {
			at := slices.IndexFunc(servers, believes)
			if at < 0 {
				return errors.New("nobody leads the cluster's own group")
			}
			leader := servers[at]
			if wish.Kind == autopilot.Stay {
				wish.Name = servers[(at+1)%3].name
			}
			v, e := leader.node.orderHere(within(t, patience), wish)
			if e != nil || len(v.Refused) > 0 {
				return fmt.Errorf("%s is so already: %+v, %w", wish.Kind, v, e)
			}
			c.net.isolate(leader)
			defer c.net.heal()
			if !believes(leader) {
				return errors.New("it knows that it is alone")
			}
			if v, e := leader.node.orderHere(within(t, patience), wish); e == nil {
				t.Errorf("%s: it alone says %+v", wish.Kind, v)
			}
			return nil
		})
	}
}

func TestALeaverStaysAfterAll(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 4)
	keys := numbered("key ", 100)
	servers[0].fill(keys, itself)
	leaver := servers[3]
	for range 3 {
		servers[0].leaves(leaver.name, 0)
		v := ordered(t)(servers[1].node.CancelLeave(within(t, patience), leaver.name))
		if v.State != kv.Active {
			t.Errorf("it is %s", v.State)
		}
	}
	c.settled(4)
	c.asPlanned()
	if m, is := servers[0].machine.State().Member(leaver.id()); !is || m.State != kv.Active || m.Departure != nil {
		t.Errorf("it is %+v", m)
	}
}

func TestADeadMemberIsRemovedByOrder(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 4)
	keys := numbered("key ", 100)
	servers[0].fill(keys, itself)
	dead := servers[3]
	dead.kill()
	eventually(t, "it may be removed", func() error {
		v, err := servers[1].node.RemoveMember(within(t, patience), dead.name, 0)
		if err == nil && len(v.Refused) > 0 {
			err = errors.New(strings.Join(v.Refused, "; "))
		}
		return err
	})
	servers[0].gone(dead.id())
	c.settled(3)
	if r, _ := servers[0].machine.State().RemovedMember(dead.id()); r.Cause != kv.CauseRemoved {
		t.Errorf("it was removed as %+v", r)
	}
	if err := dead.restart().refusal(); !errors.Is(err, replica.ErrReplaced) {
		t.Errorf("it comes back: %v", err)
	}
}

func TestWhoIsSilentForTooLongIsGivenUpAndWhoReturnsStays(t *testing.T) {
	t.Parallel()
	said := &words{}
	c, servers := of(t, 4, func(c *cluster) {
		c.replaceAfter = 1200 * time.Millisecond
		c.log = slog.New(slog.NewTextHandler(said, nil))
	})
	keys := numbered("key ", 100)
	servers[0].fill(keys, itself)
	lost := servers[3]
	lost.kill()
	servers[0].gone(lost.id())
	c.settled(3)
	s := servers[0].machine.State()
	if r, _ := s.RemovedMember(lost.id()); r.Cause != kv.CauseLost {
		t.Errorf("it was removed as %+v", r)
	}
	for _, key := range keys {
		if _, err := servers[1].node.Read(within(t, patience), []byte(key), kv.ReadOptions{}); err != nil {
			t.Fatalf("%q: %v", key, err)
		}
	}
	// Now there are as many as a partition has replicas: nobody more is given up.
	servers[2].kill()
	eventually(t, "it is said why", func() error {
		if !said.has("fewer members would remain") {
			return errors.New("nobody says it")
		}
		return nil
	})
	if m, is := servers[0].machine.State().Member(servers[2].id()); !is || m.State != kv.Active {
		t.Errorf("it is %+v", m)
	}
}

// One that the leader of the meta group does not hear, and others do, must not keep another one in that is dead.
func TestWhoIsHeardByOthersKeepsNobodyIn(t *testing.T) {
	t.Parallel()
	_, servers := of(t, 5, func(c *cluster) { c.replaceAfter = 1200 * time.Millisecond })
	a := servers[0]
	others := slices.SortedFunc(slices.Values(servers[1:]), func(s, o *server) int {
		return cmp.Compare(s.id(), o.id())
	})
	cutOff, dead := others[0], others[3]
	s := a.machine.State()
	dead.kill()
	silence := func(id kv.NodeID) time.Duration {
		if id == cutOff.id() || id == dead.id() {
			return time.Minute
		}
		return 0
	}
	eventually(t, "the dead one may be given up", func() error {
		if id, why := a.node.lost(within(t, patience), s, silence); id != dead.id() {
			return fmt.Errorf("%v is given up, %s", id, why)
		}
		return nil
	})
}

// An order whose outcome is unknown may be carried out later: the next one must not decide by what was before it, and
// waits for that.
func TestAnOrderThatNobodyWaitsForComesBeforeTheNext(t *testing.T) {
	t.Parallel()
	disk := disktest.NewHeld(func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
	})
	c := newCluster(t)
	a := c.start("a")
	for _, name := range []string{"b", "c", "d"} {
		c.startOn(name, errorfs.Wrap(vfs.NewMem(), disk), true, 0)
	}
	c.settled(4)
	leave := func(ctx context.Context, name string) *kv.Error {
		_, e := a.node.orderHere(ctx, autopilot.Wish{Kind: autopilot.Leave, Name: name})
		return e
	}
	eventually(t, "the outcome of an order is unknown", func() error {
		release := sync.OnceFunc(disk.Hold())
		defer release()
		ctx, cancel := context.WithCancel(within(t, patience))
		defer cancel()
		outcome := make(chan *kv.Error, 1)
		go func() { outcome <- leave(ctx, "c") }()
		disk.Await(t) // which is its own entry's, or another one's
		cancel()
		if e := <-outcome; e == nil || e.Kind != kv.Unknown {
			return fmt.Errorf("it is %v", e)
		}
		if e := leave(within(t, 10*c.tick), "d"); e == nil || e.Text != "another order is being carried out" {
			t.Errorf("the next one ends with %v", e)
		}
		return nil
	})
	eventually(t, "the next one is answered by what the former one has decided", func() error {
		v, e := a.node.orderHere(within(t, patience), autopilot.Wish{Kind: autopilot.Leave, Name: "d"})
		switch {
		case e != nil:
			return e
		case len(v.Refused) == 0:
			t.Errorf("d leaves as well: %+v", v)
		}
		return nil
	})
}
