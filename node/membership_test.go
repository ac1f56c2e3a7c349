package node

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/persist"
)

func TestAWipedNodeReplacesItsDeadFormerSelf(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	keys := numbered("key ", 200)
	servers[0].fill(keys, itself)
	former := servers[2]
	introductions := map[kv.NodeID]*atomic.Int32{}

	// While the former self is alive, the heir waits, and says so.
	heir := c.expecting(former.name, 3) // the command line of the first start is right for ever
	introductions[heir.id()] = &atomic.Int32{}
	c.net.setJudge(func(r request) fate {
		if n := introductions[r.from]; n != nil && r.kind == reqMeta {
			n.Add(1)
		}
		return deliver
	})
	eventually(t, "it asks again and again", func() error {
		if n := introductions[heir.id()].Load(); n < 4 {
			return fmt.Errorf("asked %d times", n)
		}
		return nil
	})
	if heir.cluster.Load() != 0 || len(servers[0].machine.State().Members) != 3 {
		t.Fatal("it took the name of a living member")
	}
	select {
	case err := <-heir.refused:
		t.Fatalf("it gave up: %v", err)
	default:
	}

	former.kill()
	c.settled(3)
	c.asPlanned()
	s := servers[0].machine.State()
	if c.drawn != 1 {
		t.Errorf("%d clusters were made", c.drawn)
	}
	if m, ok := s.MemberByName(heir.name); !ok || m.ID != heir.id() || heir.id() == former.id() ||
		!s.WasRemoved(former.id()) {
		t.Errorf("members are %+v, former ones %+v", s.Members, s.Removed)
	}
	for _, key := range keys {
		res, err := heir.node.Read(within(t, patience), []byte(key), kv.ReadOptions{Consistency: kv.Stale})
		if err != nil || string(res.Item.Value.Data) != key || res.Receipt.Node != heir.name {
			t.Fatalf("the heir has %q: %+v, %v", key, res, err)
		}
	}

	// The former self is no member any more: its data would only mislead.
	back := c.startOn(former.name, former.fs, true, 0)
	if err := back.refusal(); !errors.Is(err, replica.ErrReplaced) || !strings.Contains(err.Error(), "removed") {
		t.Errorf("the former self came back: %v", err)
	}
}

// refusal waits until the cluster has refused the node for good.
func (s *server) refusal() error {
	s.c.t.Helper()
	select {
	case err := <-s.refused:
		return err
	case <-within(s.c.t, patience).Done():
		s.c.t.Fatalf("node %s was not refused", s.name)
		return nil
	}
}

func TestAnOldOrCopiedDataDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		starts func(uint64) uint64 // as the directory has them, of those the cluster has seen
		err    error
	}{
		"an old copy":       {func(n uint64) uint64 { return n - 2 }, replica.ErrOutdated},
		"a copy of the day": {func(n uint64) uint64 { return n - 1 }, replica.ErrTwice},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, servers := of(t, 3)
			b := servers[1]
			for range 2 {
				b.stop()
				b = b.restart()
				c.settled(3)
				eventually(t, "the cluster knows of the start", func() error {
					if m, _ := servers[0].machine.State().Member(b.id()); m.Starts != b.identity.Starts {
						return fmt.Errorf("it knows of start %d", m.Starts)
					}
					return nil
				})
			}
			b.stop()
			changeIdentity(t, b.fs, func(id *persist.Identity) { id.Starts = test.starts(id.Starts) })
			if err := b.restart().refusal(); !errors.Is(err, test.err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// changeIdentity edits the identity on a disk that nobody uses.
func changeIdentity(t *testing.T, fs vfs.FS, change func(*persist.Identity)) {
	t.Helper()
	db, err := persist.Open(persist.Options{FS: fs, Dir: "pxkv", Light: true})
	must(t, err)
	id, _, err := db.Identity()
	must(t, err)
	change(&id)
	must(t, errors.Join(db.SaveIdentity(id), db.Close()))
}

func TestARestartKeepsTheNodeAndTellsTheCluster(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	b := servers[1]
	servers[0].write(put("k", "v"))
	b.stop()
	again := c.startOn("renamed", b.fs, false, 0) // with data, no flag decides
	c.settled(3)
	eventually(t, "the cluster knows of the restart", func() error {
		m, ok := servers[0].machine.State().Member(b.id())
		if !ok || m.Name != "renamed" || m.Addresses.Peer != "renamed:1" || m.Starts != 2 ||
			m.Incarnation != again.core.Start.Incarnation {
			return fmt.Errorf("it has %+v", m)
		}
		return nil
	})
	c.asPlanned()
	if again.id() != b.id() || c.drawn != 1 {
		t.Errorf("node %s was %s, %d clusters were made", again.id(), b.id(), c.drawn)
	}
	if got := again.get("k"); got != "v" {
		t.Errorf("read %q", got)
	}
}

func TestAWholeClusterRestarts(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	keys := numbered("key ", 100)
	servers[0].fill(keys, itself)
	c.stop()
	for _, s := range servers {
		s.restart()
	}
	c.settled(3)
	for _, s := range c.running() {
		if got := s.listed(kv.ListQuery{Prefix: []byte("key ")}); len(got) != len(keys) {
			t.Errorf("%s lists %d keys, want %d", s.name, len(got), len(keys))
		}
		s.write(put("after", s.name))
	}
}

// The first replicas of a cluster are on disk, and the crash came before the node noted down
// that it is a member: the next start finds that out.
func TestAnInterruptedBootstrapIsAdopted(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]struct {
		join   bool
		expect int
	}{"alone": {}, "with --join": {join: true}, "with --bootstrap-expect": {join: true, expect: 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			a := c.start("a")
			cluster := a.node.Cluster().ID
			a.kill()
			changeIdentity(t, a.fs, func(id *persist.Identity) {
				id.Cluster, id.ClusterName, id.MetaReplica = 0, "", 0
			})
			again := c.startOn("a", a.fs, flags.join, flags.expect).awaitStart()
			again.write(put("k", "v"))
			c.settled(1)
			if got := again.node.Cluster().ID; got != cluster || c.drawn != 1 || again.id() != a.id() {
				t.Errorf("cluster %s became %s, %d were made", cluster, got, c.drawn)
			}
			again.stop()
			third := again.restart().awaitStart()
			if got := third.get("k"); got != "v" || third.identity.Cluster != cluster ||
				third.identity.MetaReplica == 0 {
				t.Errorf("read %q as %+v", got, third.identity)
			}
		})
	}
}

func TestDataOfAnotherNodeAreNotAdopted(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a := c.start("a")
	a.kill()
	changeIdentity(t, a.fs, func(id *persist.Identity) { *id = persist.Identity{Node: 77} })
	other := &server{c: c, name: "a", fs: a.fs, started: make(chan struct{}), ended: make(chan struct{}),
		refused: make(chan error, 2)}
	must(t, other.build())
	if err := other.live(within(t, patience)); err == nil || !strings.Contains(err.Error(), "is no member") ||
		!strings.Contains(err.Error(), "empty data directory") {
		t.Errorf("started with %v", err)
	}
}

// Answers to a join can be lost: the join is made again, and is the same one.
func TestALostAnswerToAJoinDoesNoHarm(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 1)
	var joins atomic.Int32
	c.net.setJudge(func(r request) fate {
		if r.kind == reqMeta && joins.Add(1) <= 2 {
			return []fate{deliver, loseAnswer, notSent}[joins.Load()%3]
		}
		return deliver
	})
	b := c.joining("b")
	c.settled(2)
	s := servers[0].machine.State()
	if m, ok := s.Member(b.id()); !ok || m.MetaReplica == 0 || len(s.Members) != 2 || s.NextJoin != 3 {
		t.Errorf("members are %+v", s.Members)
	}
	if joins.Load() < 3 {
		t.Errorf("it asked %d times", joins.Load())
	}
}

// The cluster has committed the newcomer, which died before it heard of that.
func TestANodeThatCrashedWhileJoiningJoinsAgain(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 1)
	c.net.setJudge(func(r request) fate {
		if r.kind == reqMeta {
			return holdAnswer
		}
		return deliver
	})
	b := c.joining("b")
	eventually(t, "it is a member and does not know", func() error {
		if n := len(servers[0].machine.State().Members); n != 2 {
			return fmt.Errorf("%d members", n)
		}
		return nil
	})
	b.kill()
	c.net.heal()
	if b.cluster.Load() != 0 {
		t.Fatal("it knew")
	}
	again := b.restart()
	c.settled(2)
	if s := servers[0].machine.State(); again.id() != b.id() || len(s.Removed) != 0 {
		t.Errorf("members %+v, former ones %+v", s.Members, s.Removed)
	}
	again.write(put("k", "v"))
}

// A join reaches the meta group's leader over any member, which says who that is.
func TestAJoinIsLedToTheMetaLeader(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	// The newcomer sees one member only, and that one does not lead the meta group.
	door := servers[2]
	if door.loop.Handle(kv.Meta).Leader().Self {
		t.Fatal("the youngest member leads the meta group")
	}
	led := servers[0].id()
	var asked atomic.Int32
	c.net.setJudge(func(r request) fate {
		if r.kind == reqMeta && r.to == led {
			asked.Add(1)
		}
		return deliver
	})
	d := &server{c: c, name: "d", fs: vfs.NewMem(), join: true, started: make(chan struct{}),
		ended: make(chan struct{}), refused: make(chan error, 2)}
	must(t, d.build())
	d.member.o.Neighbours = func() []Neighbour {
		return []Neighbour{{ID: door.id(), Cluster: kv.ClusterID(door.cluster.Load())}}
	}
	d.run()
	c.settled(4)
	if asked.Load() == 0 {
		t.Error("the meta leader was never asked")
	}
}

// Of two nodes, one is stopped: no partition has a majority without it, so it cannot be replaced, and
// comes back with its own data.
func TestANodeWhoseVoteIsNeededIsNotReplaced(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 2)
	servers[0].write(put("k", "v"))
	b := servers[1]
	b.kill()
	heir := c.joining("b")
	eventually(t, "the newcomer is told why it waits", func() error {
		v := servers[0].node.Cluster()
		if len(v.Waiting) != 1 || v.Waiting[0].Name != "b" || !strings.Contains(v.Waiting[0].Why, "has no leader") {
			return fmt.Errorf("waiting: %+v", v.Waiting)
		}
		return nil
	})
	if s := servers[0].machine.State(); len(s.Removed) != 0 || heir.cluster.Load() != 0 {
		t.Fatalf("it was replaced: %+v", s.Removed)
	}
	heir.kill()
	again := b.restart()
	c.settled(2)
	if got := again.get("k"); got != "v" {
		t.Errorf("read %q", got)
	}
}

// When the directories of two members are swapped, all is served, but status says what the cluster makes of it.
func TestStatusTellsOfANameThatIsTaken(t *testing.T) {
	t.Parallel()
	c, servers := of(t, 3)
	a, b := servers[0], servers[1]
	a.stop()
	b.stop()
	for _, s := range []*server{c.startOn(b.name, a.fs, a.join, 0), c.startOn(a.name, b.fs, b.join, 0)} {
		want := fmt.Sprintf("the cluster does not take node %s as it has started, and shows it as it was before: "+
			"name %q is in use by member", s.name, s.name)
		eventually(t, s.name+" warns", func() error {
			got := s.node.Cluster().Warnings
			if len(got) != 1 || !strings.HasPrefix(got[0], want) {
				return fmt.Errorf("warnings: %q", got)
			}
			return nil
		})
	}
	if got := servers[2].node.Cluster().Warnings; len(got) != 0 {
		t.Errorf("a member that was taken warns: %q", got)
	}
}
