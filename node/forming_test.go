package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/node/member"
	"pxkv/node/rpc"
	"pxkv/persist"
)

// waits waits until a node has looked and spoken often enough that it would have formed a cluster if
// it could, and says what it waits for.
func (s *server) waits(what string) {
	s.c.t.Helper()
	from := s.looks.Load()
	eventually(s.c.t, s.name+" waits for "+what, func() error {
		if n := s.looks.Load() - from; n < 6 {
			return fmt.Errorf("it has looked %d times", n)
		}
		f := s.member.forming
		f.mu.Lock()
		defer f.mu.Unlock()
		d, why := f.formation.Decide(f.clock())
		if text := strings.Join(why, "; "); d != member.Wait || !strings.Contains(text, what) {
			return fmt.Errorf("it decides %v: %s", d, text)
		}
		return nil
	})
}

// one checks that one cluster was made, of so many nodes.
func (c *cluster) one(n int) {
	c.t.Helper()
	c.settled(n)
	if made := c.clusters(); made != 1 {
		c.t.Errorf("%d clusters were made", made)
	}
}

// clusters is how many were made.
func (c *cluster) clusters() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drawn
}

// Three members stand still while three fresh nodes start with the same command line, which names all
// six: they wait until the members answer, and join them.
func TestPausedMembersGetNoSecondClusterBesideThem(t *testing.T) {
	t.Parallel()
	c, members := of(t, 3)
	for _, s := range members {
		c.net.pause(s, true)
	}
	all := []string{"a", "b", "c", "n3", "n4", "n5"}
	var fresh []*server
	for _, name := range all[3:] {
		fresh = append(fresh, c.expecting(name, 3, all...))
	}
	for _, s := range fresh {
		s.waits("it may be a cluster: a (10.0.0.1:7946): timeout")
	}
	for _, s := range members {
		c.net.pause(s, false)
	}
	c.one(6)
}

// A wiped node that may form a cluster alone asks every address of --join before it does, also when
// gossip has shown nothing yet.
func TestAWipedNodeThatExpectsOneFindsTheLivingCluster(t *testing.T) {
	t.Parallel()
	c, members := of(t, 3)
	members[2].kill()
	for _, s := range members[:2] {
		c.net.pause(s, true)
	}
	heir := &server{
		c: c, name: "c", fs: vfs.NewMem(), join: true, expect: 1, seeds: []string{"a", "b", "c"},
		started: make(chan struct{}), ended: make(chan struct{}), refused: make(chan error, 2),
	}
	must(t, heir.build())
	var heard atomic.Bool
	heir.member.o.Neighbours = func() []Neighbour {
		if heard.Load() {
			return c.net.neighbours(heir.id())
		}
		return nil
	}
	heir.run()
	heir.waits("it may be a cluster: a")
	for _, s := range members[:2] {
		c.net.pause(s, false)
	}
	eventually(t, "it has found the cluster", func() error {
		select {
		case <-heir.started:
			return nil
		default:
			return errors.New("not yet")
		}
	})
	heard.Store(true)
	c.one(3)
}

// Five are expected, and cut into two and three. On both sides gossip still shows former ids of nodes that
// were started anew since, and everyone beyond the cut: they do not count.
func TestFormerIDsOfFreshNodesDoNotCount(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	names := []string{"a", "b", "c", "d", "e"}
	var servers []*server
	for _, name := range names {
		s := &server{
			c: c, name: name, fs: vfs.NewMem(), join: true, expect: 5, seeds: names,
			started: make(chan struct{}), ended: make(chan struct{}), refused: make(chan error, 2),
		}
		must(t, s.build())
		servers = append(servers, s)
	}
	for _, s := range servers {
		gossip := s.member.o.Neighbours
		s.member.o.Neighbours = func() []Neighbour {
			all := gossip()
			for _, o := range servers {
				if o != s && !slices.ContainsFunc(all, func(n Neighbour) bool { return n.ID == o.id() }) {
					all = append(all, Neighbour{ID: o.id()})
				}
			}
			for former := range kv.NodeID(3) {
				all = append(all, Neighbour{ID: former + 1})
			}
			return all
		}
	}
	for _, x := range servers[:2] {
		for _, y := range servers[2:] {
			c.net.cutLink(x.id(), y.id())
			c.net.cutLink(y.id(), x.id())
		}
	}
	for _, s := range servers {
		s.run()
	}
	servers[0].waits("5 fresh nodes are expected (--bootstrap-expect), and 2 are here")
	servers[4].waits("5 fresh nodes are expected (--bootstrap-expect), and 3 are here")
	if c.clusters() > 0 {
		t.Fatal("one side has made a cluster")
	}
	c.net.heal()
	c.one(5)
}

// Each could form a cluster alone; all start at once.
func TestThreeThatExpectOneFormOneCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, name := range []string{"n1", "n2", "n3"} {
		c.expecting(name, 1, "n1", "n2", "n3")
	}
	c.one(3)
}

// At one address of --join nobody listens: that is sure after a while.
func TestAnAddressThatRefusesIsGivenUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for _, name := range []string{"n1", "n2"} {
		c.expecting(name, 2, "n1", "n2", "n3")
	}
	c.one(2)
	c.expecting("n3", 2, "n1", "n2", "n3")
	c.one(3)
}

// A fresh node that only joins may be there before the cluster is, and is no part of what forms it.
func TestWhoOnlyJoinsWaitsForTheOthers(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.joining("n0")
	c.expecting("n1", 2, "n0", "n1", "n2")
	c.expecting("n2", 2, "n0", "n1", "n2")
	c.one(3)
}

// What one node hears of another is not enough: both must hear each other.
func TestNobodyFormsAClusterWithWhomItDoesNotHear(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]fate{"answers are lost": loseAnswer, "questions are lost": notSent} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			var from, to atomic.Uint64
			c.net.setJudge(func(r request) fate {
				if r.kind == reqForming && uint64(r.from) == from.Load() && uint64(r.to) == to.Load() {
					return lost
				}
				return deliver
			})
			a := c.expecting("a", 2, "a", "b")
			from.Store(uint64(a.id()))
			b := &server{
				c: c, name: "b", fs: vfs.NewMem(), join: true, expect: 2, seeds: []string{"a", "b"},
				started: make(chan struct{}), ended: make(chan struct{}), refused: make(chan error, 2),
			}
			must(t, b.build())
			to.Store(uint64(b.id()))
			b.run()
			a.waits("and not at its --peer address")
			if c.clusters() > 0 {
				t.Fatal("a cluster was made")
			}
			c.net.heal()
			c.one(2)
		})
	}
}

// A node promises, and everything ends before the cluster is made: the promise is on its disk, and binds
// it until the other one says that it will not form a cluster by it.
func TestAPromiseOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var promised atomic.Bool
	c.net.setJudge(func(r request) fate {
		if r.kind == reqForming {
			if w, err := decodeWords(r.payload[1:]); err == nil && w.Open {
				promised.Store(true)
				return loseAnswer // b promises, and a does not hear of it
			}
		}
		return deliver
	})
	a := c.expecting("a", 2, "a", "b")
	b := c.expecting("b", 2, "a", "b")
	eventually(t, "b has promised", func() error {
		if f := b.member.forming; promised.Load() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.identity.Promise.To == a.id() {
				return nil
			}
		}
		return errors.New("not yet")
	})
	a.kill()
	b.kill()
	var given persist.Promise
	changeIdentity(t, b.fs, func(id *persist.Identity) { given = id.Promise })
	if given.To != a.id() || given.Number == 0 {
		t.Fatalf("on its disk is %+v", given)
	}
	c.net.heal()

	// With another node, of which it is not the first either, b forms nothing.
	b = c.startOn("b", b.fs, true, 2, "b", "aa")
	aa := c.expecting("aa", 2, "b", "aa")
	b.waits("has promised node " + a.id().String())
	if aa.waits("has promised"); c.clusters() > 0 {
		t.Fatal("it broke its promise")
	}
	a.restart()
	c.one(3)
}

func TestOddWordsOfFreshNodesAreRefused(t *testing.T) {
	t.Parallel()
	s := newCluster(t).expecting("a", 3, "a", "b")
	for name, b := range map[string][]byte{
		"nothing": nil, "another version": {9, '{', '}'}, "no JSON": {rpc.Version, 'x'},
		"far too long":       append(rpc.NewRequest(0), make([]byte, maxMetaBytes)...),
		"nodes out of order": append([]byte{rpc.Version}, `{"sees":["0000000000000002","0000000000000001"]}`...),
	} {
		ended := make(chan error, 1)
		s.node.HandleRequest(7, reqForming, time.Now().Add(patience), b, func(_ []byte, err error) { ended <- err })
		if <-ended == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Whoever asks a fresh node whether it is ready learns for what it waits.
func TestReadyTellsForWhatAFreshNodeWaits(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	s := c.expecting("a", 3, "a", "b")
	s.waits("3 fresh nodes are expected")
	eventually(t, "it says so", func() error {
		const want = "this node has not joined a cluster yet: "
		err := s.node.Ready()
		if err == nil || !strings.HasPrefix(err.Error(), want) ||
			!strings.Contains(err.Error(), "3 fresh nodes are expected (--bootstrap-expect), and 1 are here") {
			return fmt.Errorf("ready: %v", err)
		}
		if not := s.node.Cluster().NotReady; not != err.Error() {
			return fmt.Errorf("ready: %v; the cluster's view says %q", err, not)
		}
		return nil
	})
	_, members := of(t, 1)
	if err := members[0].node.Ready(); err != nil && strings.Contains(err.Error(), "has not joined") {
		t.Errorf("a member says %v", err)
	}
}
