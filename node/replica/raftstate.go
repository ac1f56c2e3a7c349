package replica

import (
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// raftState is the library's part of a group, and where that stands.
type raftState struct {
	*raft.RawNode
	hard     *pb.HardState  // as last handed to the disk
	term     uint64         // current, also before it is on disk
	commit   uint64         //
	lead     kv.ReplicaID   // 0: unknown
	role     raft.StateType //
	ledSince uint64         // tick at which it came to lead
	promised time.Duration  // boot time of the last heartbeat that may earn its leader a lease
}

// startRaft makes the library's part of the group from what is on disk. What it was told and has
// not handed out is forgotten, as by a crash.
func (g *group) startRaft(applied uint64) (err error) {
	hard, _, err := g.store.InitialState()
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	g.raft.hard = &pb.HardState{Term: new(hard.GetTerm()), Vote: new(hard.GetVote()), Commit: new(hard.GetCommit())}
	g.setLeader(hard.GetTerm(), 0, raft.StateFollower)
	g.raft.commit = hard.GetCommit()
	if g.raft.RawNode, err = raft.NewRawNode(g.h.cfg.raft(g.id, g.store, applied)); err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

// leads reports whether this replica leads its group and answers for it. One whose state is void does not
// answer, also while it bears the leadership: see carry.
func (g *group) leads() bool { return g.raft.role == raft.StateLeader && !g.trust.void }

// setLeader notes who leads, and ends what belongs to the former leadership.
func (g *group) setLeader(term uint64, lead kv.ReplicaID, role raft.StateType) {
	if term == g.raft.term && lead == g.raft.lead && role == g.raft.role {
		return
	}
	if g.raft.role == raft.StateLeader && lead == 0 {
		g.release()
	}
	g.endLease()
	g.reads.dropAll(g, kv.Errorf(kv.NotLeader, "partition %s has a new leader", g.p))
	if term != g.raft.term || role != g.raft.role {
		if !purgeSlotLeaks {
			g.endPurge()
		}
		g.conf = confState{}
		if role == raft.StateLeader {
			g.raft.ledSince = g.h.clock.ticks
			g.known.unfollow()
			for _, id := range g.applied.Conf.GetVoters() { // until they had a chance to answer, no voter is silent
				g.known.hear(kv.ReplicaID(id), 0, g.h.clock.Boot)
			}
		}
	}
	g.raft.term, g.raft.lead, g.raft.role = term, lead, role
	g.stir()
	if g.leads() {
		g.time() // readers judge deadlines by it
	}
	g.publishLeader()
	if lead != 0 && role != raft.StateLeader {
		g.changed()
	}
}

func (g *group) publishLeader() {
	g.handle.leader.Store(&Leadership{Term: g.raft.term, Replica: g.raft.lead, Node: g.leaderNode(), Self: g.leads()})
}

func (g *group) leaderNode() kv.NodeID {
	switch {
	case g.leads():
		return g.h.cfg.Node
	case g.raft.lead == g.id:
		return 0 // it bears the leadership, and serves nobody
	}
	return g.known.node(g.raft.lead)
}

// notLeader is the answer to who asks the wrong replica.
func (g *group) notLeader() *kv.Error {
	leader := g.leaderNode()
	e := kv.Errorf(kv.NotLeader, "partition %s has no leader that this replica knows", g.p)
	if leader != 0 {
		e.Text = fmt.Sprintf("partition %s is led by node %s", g.p, g.h.cfg.Names.Of(leader))
	}
	e.Leader = leader
	return e
}

// mayVote holds the promise behind leases: whoever answered a heartbeat of a round helps no
// other candidate until the lease which that answer earned has ended.
func (g *group) mayVote(m *pb.Message) bool {
	const transfer = "CampaignTransfer" // the library's mark of an election the leader asked for
	if string(m.GetContext()) == transfer {
		return !g.justStarted()
	}
	return !g.bound()
}

// bound reports whether a promise to a leader may bind this replica: it neither votes nor stands for election.
// The library alone promises less: it counts ticks, which are not time, and forgets at restart.
//
// Only the answers to rounds earn leases (see startRound), so other words of a leader promise it nothing.
func (g *group) bound() bool {
	h := g.h
	if g.justStarted() {
		return true
	}
	if voteAfterRestart || leaseNotAwaited && slices.Contains(h.failover.orphans, g) {
		return false
	}
	return h.clock.Boot-g.raft.promised < leaseTicks*h.cfg.Tick // no less for drift: leases are shorter by that
}

// justStarted is for a whole election timeout: a restart forgets what was promised when.
func (g *group) justStarted() bool {
	h := g.h
	return h.clock.uptime() < ElectionTicks*h.cfg.Tick && !h.cfg.Fresh && !voteAfterRestart
}

// hearRound notes what the answer to a leader's message promises. The library marks the heartbeats of a round.
func (g *group) hearRound(m *pb.Message) {
	if m.GetType() == pb.MsgHeartbeat && len(m.GetContext()) > 0 {
		g.raft.promised = g.h.clock.Boot
	}
}

// stepDown makes the library follow. Hearing of a newer term is how a leader is made to.
func (g *group) stepDown() {
	if g.raft.BasicStatus().RaftState != raft.StateFollower {
		_ = g.raft.Step(&pb.Message{Type: pb.MsgAppResp.Enum(), From: new(uint64(g.id)), To: new(uint64(g.id)),
			Term: new(g.raft.BasicStatus().GetTerm() + 1)})
	}
	g.h.groups.mark(g)
}
