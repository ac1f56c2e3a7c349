package replica

import (
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
)

// asleep is a trio whose group rests on all three nodes, led by the first.
func asleep(t *testing.T) *trio {
	t.Helper()
	c := newTrio(t)
	c.elect()
	c.await("all replicas rest", DefaultRestAfter+4*heartbeatTicks, func() bool { return c.resting() == 3 })
	return c
}

// resting counts the replicas that rest.
func (c *trio) resting() (n int) {
	for _, x := range c.nodes {
		if g := x.h.groups.of[0]; g.rest.on {
			n++
		}
	}
	return n
}

// agreed is the node that leads as all see it that are not cut off, 0 when they do not agree.
func (c *trio) agreed() (leader kv.NodeID) {
	for id, x := range c.nodes {
		if c.cut[id] {
			continue
		}
		l := x.h.Handle(0).Leader().Node
		if l == 0 || leader != 0 && l != leader {
			return 0
		}
		leader = l
	}
	return leader
}

// A group in which nothing happens costs next to nothing, and stays as it is.
func TestAnIdleGroupRests(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	term := c.nodes[1].h.groups.of[0].raft.term
	raft, alive := 0, 0
	c.loses = func(m Message) bool {
		switch m.Kind {
		case RaftMessage:
			raft++
		case Liveness:
			alive++
		}
		return false
	}
	const periods = 8
	c.ticks(periods * heartbeatTicks * restTicks)
	if want := periods * 4; raft > want { // two heartbeats and two answers
		t.Errorf("%d messages of the group, want %d at most", raft, want)
	}
	// Each way between the leader and the others, a tick later where something else had been said.
	want := periods * restTicks * 4
	if alive < want-5*raft || alive >= want-raft {
		t.Errorf("nodes said %d times that they are there, and %d times something else: want %d in sum, and of the "+
			"former only where nothing else is said", alive, raft, want)
	}
	if n := c.resting(); n != 3 {
		t.Errorf("%d replicas rest, want 3", n)
	}
	if g := c.nodes[1].h.groups.of[0]; !g.leads() || g.raft.term != term {
		t.Errorf("node 1 leads: %v, in term %d, and led in term %d", g.leads(), g.raft.term, term)
	}
	for id := kv.ReplicaID(2); id <= 3; id++ {
		if g := c.nodes[1].h.groups.of[0]; !g.answers(id) || !g.active(id) {
			t.Errorf("replica %d counts as silent, though its node is there", id)
		}
	}
}

// Whatever somebody wants of a group that rests is done at once.
func TestARestingGroupWakes(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]func(t *testing.T, c *trio) (done func() bool){
		"write": func(t *testing.T, c *trio) func() bool {
			done := 0
			c.nodes[1].in.Ops = append(c.nodes[1].in.Ops, Op{Command: setCommand("k", "v"), Reply: func(r entry.Reply) {
				if r.Err != nil {
					t.Errorf("the write failed: %v", r.Err)
				}
				done++
			}})
			return func() bool { return done == 1 }
		},
		"read": func(t *testing.T, c *trio) func() bool {
			done := 0
			c.nodes[1].in.Reads = append(c.nodes[1].in.Reads, ReadOp{Reply: func(err *kv.Error) {
				if err != nil {
					t.Errorf("the read failed: %v", err)
				}
				done++
			}})
			return func() bool { return done == 1 }
		},
		"hand-over": func(t *testing.T, c *trio) func() bool {
			c.order(1, func(h *Host) {
				if err := h.Transfer(0, 2); err != nil {
					t.Errorf("the hand-over is refused: %v", err)
				}
			})
			return func() bool { return c.agreed() == 2 }
		},
		"departure": func(_ *testing.T, c *trio) func() bool {
			c.order(1, func(h *Host) { h.HandOver() })
			c.settle()
			c.tick()
			return func() bool { return c.agreed() > 1 }
		},
		"change": func(t *testing.T, c *trio) func() bool {
			c.order(1, func(h *Host) {
				err := h.ProposeConf(0, &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{
					{Type: pb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(3))}}}, nil)
				if err != nil {
					t.Errorf("the change is refused: %v", err)
				}
			})
			return func() bool { return len(c.nodes[2].h.groups.of[0].applied.Conf.GetVoters()) == 2 }
		},
		"election": func(_ *testing.T, c *trio) func() bool {
			c.order(2, func(h *Host) {
				h.disconnected(Disconnection{Node: 1})
			})
			c.order(3, func(h *Host) {
				h.disconnected(Disconnection{Node: 1})
			})
			c.cut[1] = true
			c.settle()
			c.ticks(leaseTicks)
			return func() bool { return c.agreed() > 1 }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := asleep(t)
			done := want(t, c)
			c.settle()
			if !done() {
				t.Error("it is not done at once")
			}
			if n := c.resting(); n > 1 { // none but whom nobody has asked
				t.Errorf("%d replicas rest", n)
			}
			c.ticks(2 * ElectionTicks)
			if c.agreed() == 0 {
				t.Error("the nodes do not agree who leads")
			}
		})
	}
}

// Who asks a replica of a group at rest how old its state is wakes the group, and the next one hears that it is fresh.
func TestAStaleReadWakesAGroup(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	c.ticks(heartbeatTicks * restTicks)
	if got := c.age(2); got < ElectionTicks {
		t.Fatalf("a state that nobody has told anything of for long is %d ticks old", got)
	}
	c.ticks(3 * heartbeatTicks)
	if got := c.age(2); got < 0 || got > 2*heartbeatTicks {
		t.Errorf("soon after that it is %d ticks old", got)
	}
}

// The leader of a group at rest is missed as soon as that of any other: when its node has been silent for as long as
// three heartbeats take, the time of the group goes as it did.
func TestARestingGroupSoonMissesItsLeader(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	c.cut[1] = true
	c.await("another one leads", answerTicks+2*ElectionTicks+2, func() bool { return c.agreed() > 1 })
}

// A leader that rests and hears none of its followers any more steps down as soon as any other.
func TestALeaderAtRestSoonMissesItsFollowers(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	c.cut[2], c.cut[3] = true, true
	c.await("the leader steps down", answerTicks+2*ElectionTicks+2, func() bool { return c.agreed() == 0 })
}

// A node whose version knows of no rest is asked, and never told anything that it would refuse.
func TestANodeThatKnowsOfNoRestKeepsItsGroupAwake(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	c.elect()
	c.loses = func(m Message) bool {
		if m.FromNode == 3 && m.Raft != nil && m.Raft.GetType() == pb.MsgHeartbeatResp && m.Rests {
			c.nodes[1].in.Messages = append(c.nodes[1].in.Messages, Message{Kind: m.Kind, Partition: m.Partition,
				From: m.From, To: m.To, FromNode: 3, Raft: m.Raft})
			return true
		}
		if m.To == 3 && m.Kind == Awake {
			t.Errorf("node 3 is told %+v", m)
		}
		return false
	}
	c.ticks(3 * DefaultRestAfter)
	if g := c.nodes[1].h.groups.of[0]; g.rest.on || !c.nodes[2].h.groups.of[0].rest.on {
		t.Errorf("the leader rests: %v, who agreed: %v", g.rest.on, c.nodes[2].h.groups.of[0].rest.on)
	}
	for id := range kv.NodeID(2) {
		told := c.nodes[id+1].h.resting.nodes
		if slices.ContainsFunc(told, func(n needed) bool { return n.node == 3 }) {
			t.Errorf("node %d tells %v that it is there", id+1, told)
		}
	}
	c.order(1, func(h *Host) { h.groups.of[0].stepDown() })
	c.settle()
	c.ticks(3 * ElectionTicks)
	if c.agreed() == 0 {
		t.Error("the nodes do not agree who leads")
	}
}

// A leader at rest that leads no more says so.
func TestWhoLeadsNoMoreWakesTheOthers(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	c.order(1, func(h *Host) { h.groups.of[0].stepDown() })
	c.settle()
	if n := c.resting(); n > 0 {
		t.Errorf("%d replicas rest", n)
	}
}

// A follower whose leader leads no more, and which never heard of it though that node is there, does not rest for ever.
func TestNobodyRestsForLongUnasked(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	c.loses = func(m Message) bool { return m.FromNode == 1 && m.Kind != Liveness }
	c.order(1, func(h *Host) { h.groups.of[0].stepDown() })
	c.await("another one leads", restsFor+restTicks+2*ElectionTicks+2, func() bool {
		return c.nodes[2].h.Handle(0).Leader().Self || c.nodes[3].h.Handle(0).Leader().Self
	})
}

// A replica alone rests as well.
func TestOneVoterRests(t *testing.T) {
	t.Parallel()
	c := newTrioOf(t, &pb.ConfState{Voters: []uint64{1}})
	g := c.nodes[1].h.groups.of[0]
	c.await("it rests", DefaultRestAfter+10, func() bool { return g.rest.on })
	if c.ticks(200); !g.rest.on || !g.leads() || len(g.h.groups.awake) > 0 {
		t.Errorf("it rests: %v, leads: %v", g.rest.on, g.leads())
	}
}

// A follower that wakes while its leader rests would miss heartbeats, and ask for votes for nothing. So its leader
// wakes with it, whatever woke it.
func TestAFollowerWakesItsLeader(t *testing.T) {
	t.Parallel()
	for name, happens := range map[string]func(c *trio){
		"a former leader was late": func(c *trio) {
			last := c.group(2).lastIndex()
			term, _ := c.group(2).store.Term(last)
			c.nodes[2].in.Messages = append(c.nodes[2].in.Messages, Message{Kind: RaftMessage, From: 9, To: 2,
				FromNode: 3, Raft: &pb.Message{Type: pb.MsgApp.Enum(), From: new(uint64(9)), To: new(uint64(2)),
					Term: new(c.group(2).raft.term - 1), LogTerm: &term, Index: &last, Commit: &last}})
		},
		"a former follower was late": func(c *trio) {
			c.nodes[2].in.Messages = append(c.nodes[2].in.Messages, Message{Kind: Awake, From: 3, To: 2, FromNode: 3})
		},
		"it has something to do": func(c *trio) {
			c.order(2, func(h *Host) { h.groups.of[0].stepDown() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := asleep(t)
			asked := 0
			c.loses = func(m Message) bool {
				if m.Raft != nil && m.Raft.GetType() == pb.MsgPreVote {
					asked++
				}
				return false
			}
			happens(c)
			c.settle()
			if c.group(1).rest.on || c.group(2).rest.on {
				t.Errorf("the leader rests: %v, the follower: %v", c.group(1).rest.on, c.group(2).rest.on)
			}
			c.ticks(2 * ElectionTicks)
			if asked > 0 {
				t.Errorf("%d questions for votes", asked)
			}
		})
	}
}

// A read that comes just when its group falls asleep wakes it, and its time goes no faster for that.
func TestAGroupThatWakesAtOnceIsAwakeOnce(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	c.await("the leader is about to rest", DefaultRestAfter+2*heartbeatTicks, func() bool {
		return g.h.clock.ticks+1-g.rest.since >= DefaultRestAfter && g.allRest()
	})
	g.handle.HasLease(c.now) // and then it asks for a round, in a later turn
	c.tick()
	if n := len(g.h.groups.awake); n != 1 || g.rest.on {
		t.Errorf("the group rests: %v, and is awake %d times", g.rest.on, n)
	}
}

// What a follower said to a former leader is no word to this one.
func TestNobodyRestsByAnOldWord(t *testing.T) {
	t.Parallel()
	c := newTrio(t)
	g := c.elect()
	c.loses = func(m Message) bool {
		return m.FromNode == 3 && m.Raft != nil && m.Raft.GetType() == pb.MsgHeartbeatResp && m.Rests
	}
	c.await("the leader waits for one", DefaultRestAfter+4*heartbeatTicks, func() bool {
		return g.offersRest() && g.known.find(2).rests && !g.known.find(3).rests
	})
	c.nodes[1].in.Messages = append(c.nodes[1].in.Messages, Message{Kind: RaftMessage, From: 3, To: 1, FromNode: 3,
		Rests: true, Raft: &pb.Message{Type: pb.MsgHeartbeatResp.Enum(), From: new(uint64(3)), To: new(uint64(1)),
			Term: new(g.raft.term - 1)}})
	c.tick()
	if c.tick(); g.rest.on {
		t.Error("the leader rests")
	}
}

// A node that was put back to a version which knows of no rest is told nothing that it would refuse.
func TestANodeThatKnowsOfNoRestAnyMoreIsToldOfNone(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	c.order(1, func(h *Host) { h.groups.mark(h.groups.of[0]) })
	c.loses = func(m Message) bool {
		if m.FromNode == 3 && m.Raft != nil && m.Raft.GetType() == pb.MsgHeartbeatResp && m.Rests {
			m.Rests = false
			c.nodes[1].in.Messages = append(c.nodes[1].in.Messages, m)
			return true
		}
		if m.To == 3 && m.Kind == Awake {
			t.Errorf("node 3 is told %+v", m)
		}
		return false
	}
	c.ticks(2 * DefaultRestAfter)
	c.order(1, func(h *Host) { h.groups.of[0].stepDown() })
	c.settle()
}

// A leader at rest that hears of a newer term is awake at once, and waits for the next leader as long as anybody does.
func TestALeaderAtRestThatIsDeposedWakes(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	g := c.group(1)
	c.nodes[1].in.Messages = append(c.nodes[1].in.Messages, Message{Kind: RaftMessage, From: 2, To: 1, FromNode: 2,
		Rests: true, Raft: &pb.Message{Type: pb.MsgHeartbeatResp.Enum(), From: new(uint64(2)), To: new(uint64(1)),
			Term: new(g.raft.term + 1)}})
	c.settle()
	if g.leads() || g.rest.on {
		t.Errorf("it leads: %v, and rests: %v", g.leads(), g.rest.on)
	}
}

// A leader at rest takes the word of a node for that of its replica, but not for ever.
func TestALeaderAtRestMissesAReplicaWhoseNodeIsThere(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	c.loses = func(m Message) bool { return m.FromNode == 3 && m.Kind == RaftMessage }
	c.await("the leader wakes", (answerTicks+2)*restTicks, func() bool { return !c.group(1).rest.on })
	if c.ticks(2 * answerTicks); c.group(1).answers(3) {
		t.Error("the replica counts as one that answers")
	}
}

// A node under load loses ticks: one that comes too soon after a late one is dropped. Its groups rest all the same.
func TestGroupsRestWhoseLeaderLosesTicks(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	for n := range 8 * heartbeatTicks * restTicks {
		c.now += DefaultTick
		for id := kv.NodeID(1); id <= 3; id++ {
			c.nodes[id].in.Tick = id != 1 || n%3 > 0
			c.turn(id)
		}
		if c.settle(); c.resting() != 3 {
			t.Fatalf("after %d ticks %d replicas rest", n, c.resting())
		}
	}
}

// A group that was awake for a moment between two looks is told from one that rested all the while.
func TestThatAGroupWokeIsKnownWhenItRestsAgain(t *testing.T) {
	t.Parallel()
	c := asleep(t)
	c.tick()
	rest, before := c.nodes[1].h.AllRest()
	if c.ticks(heartbeatTicks * restTicks); !rest {
		t.Fatal("the group does not rest")
	}
	if rest, woken := c.nodes[1].h.AllRest(); !rest || woken != before {
		t.Errorf("nothing has happened, and all rest: %v, woken %d times, %d before", rest, woken, before)
	}
	c.nodes[1].in.Ops = append(c.nodes[1].in.Ops, Op{Command: setCommand("k", "v"), Reply: func(entry.Reply) {}})
	c.settle()
	c.await("it rests again", 2*DefaultRestAfter, func() bool { rest, _ := c.nodes[1].h.AllRest(); return rest })
	if _, woken := c.nodes[1].h.AllRest(); woken == before {
		t.Error("nobody can tell that it was awake")
	}
}
