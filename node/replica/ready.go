package replica

import (
	"fmt"
	pb "go.etcd.io/raft/v3/raftpb"

	"go.etcd.io/raft/v3"

	"pxkv/node/kv"
	"pxkv/persist/data"
)

// drain proposes what came in this turn and works off the library's Ready. It reports
// whether there is more than one turn should do.
func (g *group) drain() bool {
	g.propose()
	if g.trust.rebuilding {
		return false
	}
	g.issueReads()
	// To ask the library whether there is something is most of what an idle group costs.
	ready := g.raft.HasReady()
	for round := 0; ready && round < g.h.cfg.Limits.ReadyRounds && g.h.err == nil; round++ {
		g.handleReady(g.raft.Ready())
		ready = g.raft.HasReady()
	}
	if g.h.err != nil {
		return false
	}
	// A snapshot that the library accepted is in its first Ready after the offer: what is still
	// here is older than what the replica has.
	g.incoming.discard()
	return ready
}

func (g *group) handleReady(rd raft.Ready) {
	term, lead, role := g.raft.term, g.raft.lead, g.raft.role
	if !raft.IsEmptyHardState(rd.HardState) {
		term = rd.HardState.GetTerm()
		g.raft.commit = rd.HardState.GetCommit()
	}
	if rd.SoftState != nil {
		lead, role = kv.ReplicaID(rd.SoftState.Lead), rd.SoftState.RaftState
	}
	g.setLeader(term, lead, role)
	if g.outgrown() {
		g.endLease() // before anything leaves that tells of it
	}
	for _, s := range rd.ReadStates {
		g.confirmed(s)
	}
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			g.append(m)
		case raft.LocalApplyThread:
			g.queueApply(m)
		default:
			g.send(m)
		}
	}
	if len(g.writes.unplaced) > 0 {
		g.h.fail(fmt.Errorf("partition %s: %d proposals were accepted but not appended", g.p, len(g.writes.unplaced)))
	}
}

// send lets a message leave that promises nothing about this node's disk, and one that asks for a vote.
func (g *group) send(m *pb.Message) {
	to := kv.ReplicaID(m.GetTo())
	switch m.GetType() {
	case pb.MsgSnap:
		if g.leads() && m.GetTerm() == g.raft.term {
			g.h.shipping.request(g, to)
		}
		return
	case pb.MsgPreVote:
		if !g.stands() {
			return
		}
	case pb.MsgTimeoutNow:
		// The receiver may be elected at once and by votes that skip every lease check. From
		// here on this term gives no lease again, not even when the hand-over seems to fail:
		// the message, or a copy of it, may arrive late.
		if !leaseOverTransfer {
			g.endLease()
			g.reads.lease.deadTerm = g.raft.term
		}
	}
	if travels(m.GetType()) {
		out := Message{Kind: RaftMessage, Partition: g.p, From: g.id, To: to, Raft: m, Committed: g.raft.commit}
		switch m.GetType() {
		case pb.MsgHeartbeat:
			if !g.leads() {
				break // the time of a void state, and its hash, are nobody's
			}
			out.TimeMS = g.time()
			g.stampHeartbeat(m)
			out.Rests = len(m.GetContext()) == 0 && g.offersRest()
			if g.checks() && g.applied.Index == g.raft.commit {
				// The library has no use for this in a heartbeat, and a node that compares nothing passes
				// over it.
				m.RejectHint = new(g.applied.Hash)
			}
		case pb.MsgHeartbeatResp:
			g.stampAnswer(m)
			out.Rests = g.h.clock.ticks < g.rest.until
		}
		if m.GetType() == pb.MsgVote && !votesAskedEarly {
			// A candidate that the others elect before its own disk knows the term may crash, forget it, and be
			// elected in it once more: two leaderships in one term, whose entries nobody can tell apart. The
			// term comes to the open job with this Ready.
			g.h.job().frames.add(g.known.node(to), &out)
			return
		}
		g.h.frames.add(g.known.node(to), &out)
	}
}

// append puts entries, hard state and snapshot into the open job, and with them the
// promises that may leave once it is on disk.
func (g *group) append(m *pb.Message) {
	j := g.h.job()
	was := g.raft.hard
	hard := was
	if m.Term != nil {
		hard = &pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
	}
	if m.Snapshot != nil {
		if g.incoming.staged == nil || g.incoming.staged.Applied().Index != m.GetSnapshot().GetMetadata().GetIndex() {
			g.h.fail(fmt.Errorf("partition %s: the library accepted a snapshot that was not staged", g.p))
			return
		}
		hard.Commit = new(max(hard.GetCommit(), g.incoming.staged.Applied().Index))
		g.install(g.incoming.staged, hard)
		g.incoming.staged = nil
	} else if hard.GetTerm() != was.GetTerm() || hard.GetVote() != was.GetVote() || len(m.Entries) > 0 ||
		g.p == kv.Meta {
		// The commit index alone is not worth a write: a new leader tells it again. But it goes
		// with every append: the library counts votes by the applied configuration, and whoever
		// acknowledges the end of a joint configuration must remember after a crash that its
		// beginning was committed. Else it could elect itself by the configuration from before,
		// which no longer counts anywhere.
		//
		// And the meta group's is always written, without a sync, before its entries are applied.
		// What a crash takes of the effects is applied again up to the stored commit index, at
		// once. So no other group's promise, which stands behind it in the log, outlives the
		// placement that it rests on: a leader that has forgotten the newest placement would undo
		// it, and delete replicas whose ids are never given out again.
		if commitLeftOut {
			kept, _, _ := g.store.InitialState()
			hard = &pb.HardState{Term: hard.Term, Vote: hard.Vote, Commit: new(kept.GetCommit())}
		}
		j.batch.SetHardState(g.store, hard)
	}
	g.raft.hard = hard
	if len(m.Entries) > 0 {
		j.batch.Append(g.store, m.Entries)
		for _, e := range m.Entries {
			if e.GetType() == pb.EntryConfChangeV2 {
				g.reads.lease.conf = e.GetIndex()
			}
		}
		g.writes.place(g.raft.term, m.Entries)
		g.h.stats.Appended.Add(int64(len(m.Entries)))
	}
	to := j
	if ackBeforeFsync {
		to = &Job{frames: g.h.frames}
	}
	for _, r := range m.Responses {
		if r.GetTo() == uint64(g.id) {
			j.self = append(j.self, selfResponse{g, g.raft.RawNode, r})
			continue
		}
		id := kv.ReplicaID(r.GetTo())
		to.frames.add(g.known.node(id), &Message{Kind: RaftMessage, Partition: g.p, From: g.id, To: id, Raft: r})
	}
	if ackBeforeFsync {
		g.h.frames = to.frames
	}
}

// install puts a staged snapshot into the open job, in the place of the state.
func (g *group) install(s *data.Staged, hard *pb.HardState) {
	g.h.commitApply() // what was applied before must not come after the snapshot
	j := g.h.job()
	g.handle.shows(s.Applied().Index)
	g.handle.begun.Add(1)
	j.batch.Install(g.store, s, hard)
	g.incoming.staging = s
	j.installed = append(j.installed, g)
}
