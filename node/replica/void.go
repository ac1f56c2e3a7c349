package replica

import (
	"errors"
	"fmt"
	"math"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/data"
)

// A replica that was the odd one out has a void state: nobody reads it, nothing is applied to it, and
// the mark outlives a restart. Its log and its promises are as good as ever, and so are the configurations
// in it, so it goes on voting and acknowledging, and follows who belongs to the group: the group bears
// the failure of as many others as before. It answers nobody, and leads only where nobody else can be
// elected: see carry.
//
// It asks its leader for a snapshot that is newer than what it has applied, installs it under its log
// in the way of the Raft paper (section 7: what follows the snapshot's last entry is kept), and
// starts Raft anew on that, as a restart would. It is a replica like any other then.

// voidTicks is between two words of a replica that its state is void.
const voidTicks = 4

// carryTicks is how long nobody must have led before a void replica stands for election: any other that
// can be elected has been by then.
const carryTicks = 6 * ElectionTicks

// condemn is for the odd one out.
func (g *group) condemn() {
	g.h.cfg.Logger.Error("this replica differs from the majority of its group: it is the odd one out. It has stopped, "+
		"keeps its vote, and is rebuilt from its leader; nothing is to be done. When a node says so again, test its "+
		"memory and its disk",
		"partition", g.p.String(), "replica", uint64(g.id), "index", g.trust.doubt.own.index)
	g.voidState()
}

// damaged is for an error of an entry that needs what a value holds which does not unpack here. It did when the value
// was proposed, so it does where the others have it: the state here is wrong, and void, if another replica can replace
// it. It reports whether it is. What the entry has changed so far is as void as the rest.
func (g *group) damaged(index uint64, err error) bool {
	if !errors.Is(err, data.ErrDamagedValue) || damagedValueEndsNode {
		return false
	}
	if alone, e := g.store.Alone(); e != nil || alone {
		return false
	}
	g.h.cfg.Logger.Error("a value of this replica is damaged, and an entry needs it: this replica has stopped, "+
		"keeps its vote, and is rebuilt from its leader; nothing is to be done. When a node says so again, test its "+
		"memory and its disk", "partition", g.p.String(), "replica", uint64(g.id), "index", index, "err", err)
	g.h.applying.batch.SetApplied(g.store, g.applied)
	g.touch()
	g.doubtState()
	g.voidState()
	return true
}

// voidState ends what rests on the state.
func (g *group) voidState() {
	h := g.h
	h.stats.Diverged.Add(1)
	g.setDoubt(nil)
	g.hashes.questions = nil
	g.setVoid(true)
	// else the job at hand replaces it: a mark behind that would be of the new state
	if g.incoming.staging == nil && !voidForgotten {
		h.job().batch.Void(g.store)
	}
	g.stepDown()
	if g.raft.role != raft.StateFollower {
		g.setLeader(g.raft.term, 0, raft.StateFollower)
	}
	g.writes.refuse(h, g.notLeader())
	g.writes.lose(h) // whoever leads next may have them
	committed := g.work.committed
	g.dropCommitted()
	for _, m := range committed {
		g.passOver(m)
	}
	if snapshotCondemned {
		g.incoming.discard()
	}
	g.tellVoid()
}

// passOver takes committed entries for applied without touching the state, but for the configurations in
// them. What the disk has of the state, and the index that it is of, stay as they are: a start goes through
// the same entries again.
func (g *group) passOver(m *pb.Message) {
	ap := g.applied
	for _, e := range m.Entries {
		if e.GetType() != pb.EntryConfChangeV2 || voidKeepsConf {
			continue
		}
		if err := g.applyConf(&ap, e); err != nil {
			g.h.fail(fmt.Errorf("partition %s, index %d: %w", g.p, e.GetIndex(), err))
			return
		}
	}
	g.applied.Conf, g.applied.Replicas = ap.Conf, ap.Replicas
	for _, r := range m.Responses {
		_ = g.raft.Step(r)
	}
}

// tickVoid lets time pass for a void replica.
func (g *group) tickVoid() {
	if g.raft.lead != 0 {
		g.trust.led = g.h.clock.ticks
	}
	if (g.h.clock.ticks+uint64(g.p))%voidTicks == 0 {
		g.tellVoid()
	}
	g.carry()
}

// stands reports whether this replica may ask for votes.
func (g *group) stands() bool {
	return !g.trust.void || g.h.clock.ticks-g.trust.led >= carryTicks && !voidNeverStands
}

// carry hands the leadership over that a void replica was elected to. It may be the only one that has an
// entry which a majority acknowledged, since the others with it are gone: then those that are there can
// be elected only when they have its log. It gives them that as any leader does, answers nobody
// meanwhile, proposes nothing, and lets whoever has most of it lead. Of a joint configuration that may be one
// who is to go: where no incoming voter could lead, nobody would ever leave it.
func (g *group) carry() {
	if g.raft.role != raft.StateLeader || g.raft.BasicStatus().LeadTransferee != 0 {
		return
	}
	conf := g.applied.Conf
	to := g.heir(conf.GetVoters())
	if to == 0 {
		to = g.heir(conf.GetVotersOutgoing())
	}
	if to != 0 {
		g.raft.TransferLeader(uint64(to))
		g.h.groups.mark(g)
	}
}

// dropCommitted forgets what was to be applied: after the snapshot the library gives it out again.
func (g *group) dropCommitted() {
	g.work.committed = nil
	g.h.applying.drop(g)
}

// tellVoid lets the leader know that a snapshot is wanted, and of what index it must be newer.
func (g *group) tellVoid() {
	if g.trust.void && !g.trust.rebuilding && g.raft.lead != 0 && g.raft.lead != g.id {
		g.say(g.raft.lead, Void, appliedHash{index: g.applied.Index})
	}
}

// heardVoid sends a snapshot to a replica whose state is void. It has to be newer than the void one, or
// a start could not tell one from the other: a barrier makes it so where nothing is written.
func (g *group) heardVoid(m Message) {
	g.known.void(m.From, g.h.clock.Boot)
	if !g.ready() || m.From == g.id || !InConf(g.applied.Conf, m.From) {
		return
	}
	if g.applied.Index <= m.Index {
		g.h.Propose(Op{Partition: g.p, Reply: func(entry.Reply) {}})
		return
	}
	g.h.shipping.replace(g, m.From)
}

// isVoid reports whether a replica said lately that its state is void.
func (g *group) isVoid(id kv.ReplicaID) bool {
	r := g.known.find(id)
	return r != nil && r.void != 0 && g.h.clock.Boot-r.void < 3*voidTicks*g.h.cfg.Tick
}

// rebuild puts a snapshot in the place of a void state. From here until it is installed the group
// does nothing, so that what is on disk then is all that there is.
func (g *group) rebuild(s ArrivedSnapshot) {
	h, ap := g.h, s.Staged.Applied()
	last := g.lastIndex()
	if g.trust.rebuilding || s.Request.Term < g.raft.term || ap.Index <= g.applied.Index || !InConf(ap.Conf, g.id) {
		s.Staged.Discard()
		return
	}
	var rest []*pb.Entry
	if term, err := g.store.Term(ap.Index); err == nil && term == ap.Term && last > ap.Index {
		if rest, err = g.store.Entries(ap.Index+1, last+1, math.MaxUint64); err != nil {
			s.Staged.Discard()
			h.fail(fmt.Errorf("partition %s: read the log behind a snapshot: %w", g.p, err))
			return
		}
	} else if g.raft.hard.GetCommit() > ap.Index {
		s.Staged.Discard()
		h.fail(fmt.Errorf("partition %s: a snapshot of index %d and term %d does not fit the log, of which %d "+
			"entries are committed", g.p, ap.Index, ap.Term, g.raft.hard.GetCommit()))
		return
	}
	g.install(s.Staged, g.raft.hard)
	if !rebuiltWithoutLog {
		h.job().batch.Append(g.store, rest)
	}
	g.trust.rebuilding, g.trust.rebuiltBy = true, s.Request
}

// revive starts Raft anew when the snapshot is installed.
func (g *group) revive() error {
	by := g.trust.rebuiltBy
	g.trust.rebuilding = false
	g.setVoid(false)
	g.dropCommitted()
	if err := g.startRaft(g.applied.Index); err != nil {
		return err
	}
	g.h.cfg.Logger.Warn("the replica is rebuilt", "partition", g.p.String(), "replica", uint64(g.id), "index",
		g.applied.Index, "from", g.h.cfg.Names.Of(g.known.node(by.From)))
	if by.Term == g.raft.term {
		// The library did not see the snapshot, and its leader may wait for an answer.
		g.h.frames.add(g.known.node(by.From),
			&Message{Kind: RaftMessage, Partition: g.p, From: g.id, To: by.From, Raft: &pb.Message{
				Type: pb.MsgAppResp.Enum(), From: new(uint64(g.id)), To: new(uint64(by.From)), Term: new(g.raft.term),
				Index: new(g.applied.Index),
			}})
	}
	g.h.groups.mark(g)
	return nil
}

// fills reports whether the log of a void replica is so long that it takes nothing more until it is
// rebuilt: nothing of it can be cut before. What its leader needs to commit something in its own term it takes:
// without that nobody can rebuild it.
func (g *group) fills() bool {
	if !g.trust.void || g.store.LogBytes() <= 4*g.h.cfg.Limits.logBytes(len(g.h.groups.ordered)) {
		return false
	}
	term, err := g.store.Term(g.raft.commit)
	return fullVoidTakesNothing || err == nil && term == g.raft.term
}
