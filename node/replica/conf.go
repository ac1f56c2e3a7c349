package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	pb "go.etcd.io/raft/v3/raftpb"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist/state"
)

// confState is what a leader remembers of the change it proposed last.
type confState struct {
	pending bool
	since   uint64 // tick
	moving  bool   // a leader transfer was asked for
}

// answerTicks is how long a replica may be silent and still be handed leadership: three
// heartbeats. A leader takes no writes while it waits for its successor, so waiting for one that
// is gone costs clients a whole election timeout.
const answerTicks = 3 * heartbeatTicks

// confPatience is how many ticks a proposed change or transfer may stay unapplied before the
// next one is tried: the library silently replaces a change that it refuses by an empty entry.
const confPatience = 2 * ElectionTicks

// View is a group as its leader sees it, for the planner of moves.
type View struct {
	Partition kv.PartitionID
	Self      kv.ReplicaID
	Leads     bool
	Term      uint64
	Conf      *pb.ConfState
	Replicas  []kv.Replica // who is behind each id of Conf
	Pending   bool         // a change or a transfer is under way, or the leader is in doubt of its state
	Tenure    uint64       // ticks since it came to lead
}

// Progress is how far a replica is, seen from its leader.
type Progress struct {
	Match    uint64
	Snapshot uint64 // index of the snapshot that is on its way, 0 when there is none
	Active   bool   // heard from within five election timeouts
	Answers  bool   // heard from within three heartbeats, and not void: it could lead
	// Fed: a snapshot from here is on its way to it, or it catches up after one from the log that is kept for it here
	// alone. The next leader would have to send it another one.
	Fed bool
	// Failures counts the snapshots for it that failed one after the other, and Refusal is its node's
	// word about the last of them, 0 when it had none.
	Failures int
	Refusal  kv.Refusal
}

// Partitions lists the partitions of which this node has a replica, in order.
func (h *Host) Partitions() []kv.PartitionID {
	out := make([]kv.PartitionID, len(h.groups.ordered))
	for i, g := range h.groups.ordered {
		out[i] = g.p
	}
	return out
}

// View describes a partition's group as this node's replica sees it.
func (h *Host) View(p kv.PartitionID) (View, bool) {
	g := h.groups.of[p]
	if g == nil {
		return View{}, false
	}
	return View{Partition: p, Self: g.id, Leads: g.leads(), Term: g.raft.term, Conf: g.applied.Conf,
		Replicas: g.known.replicas, Pending: g.conf.pending || g.conf.moving || g.trust.doubt != nil,
		Tenure: h.clock.ticks - g.raft.ledSince}, true
}

// Progress tells, on the leader of a partition, how far each replica of the configuration
// is, and the last index of its log. It costs a copy of all that, so ask only when it matters.
func (h *Host) Progress(p kv.PartitionID) (progress map[kv.ReplicaID]Progress, last uint64) {
	g := h.groups.of[p]
	if g == nil || !g.leads() {
		return nil, 0
	}
	last, _ = g.store.LastIndex()
	progress = map[kv.ReplicaID]Progress{}
	g.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		p := Progress{Match: pr.Match, Snapshot: pr.PendingSnapshot, Active: g.active(kv.ReplicaID(id)),
			Answers: kv.ReplicaID(id) == g.id || g.answers(kv.ReplicaID(id))}
		if f := h.shipping.of(g, kv.ReplicaID(id)); f != nil {
			p.Fed = f.stage >= underWay
			if f.failures > 0 {
				p.Failures, p.Refusal = f.failures, f.last.refusal()
			}
		}
		progress[kv.ReplicaID(id)] = p
	})
	return progress, last
}

// ProposeConf proposes a configuration change; added names the node behind each new id. It
// returns an error when this replica cannot propose now. Success shows in a later View.
func (h *Host) ProposeConf(p kv.PartitionID, cc *pb.ConfChangeV2, added []kv.Replica) error {
	g := h.groups.of[p]
	if g == nil || !g.leads() {
		return errors.New("not the leader")
	}
	if g.conf.pending {
		return errors.New("another change is under way")
	}
	if g.reliesOnSpared(cc, added) {
		return errors.New("a member that may just be given up would be relied on")
	}
	cc.Context = appendReplicas(nil, added)
	if err := g.raft.ProposeConfChange(cc); err != nil {
		return err
	}
	g.conf.pending, g.conf.since = true, h.clock.ticks
	h.groups.mark(g)
	return nil
}

// Transfer asks the library to hand leadership to a voter, which must have been heard from
// just now.
func (h *Host) Transfer(p kv.PartitionID, to kv.ReplicaID) error {
	g := h.groups.of[p]
	if g == nil || !g.leads() {
		return errors.New("not the leader")
	}
	if !g.answers(to) {
		return fmt.Errorf("replica %d does not answer", to)
	}
	g.conf.moving, g.conf.since = true, h.clock.ticks
	g.raft.TransferLeader(uint64(to))
	h.groups.mark(g)
	return nil
}

// applyConf applies a committed configuration change, once. The replicas behind the ids are
// kept with it, so that a group needs nobody else to find its peers.
func (g *group) applyConf(ap *state.Applied, e *pb.Entry) error {
	cc := &pb.ConfChangeV2{}
	if err := proto.Unmarshal(e.GetData(), cc); err != nil {
		return fmt.Errorf("%w: configuration change: %w", entry.ErrUnreadable, err)
	}
	added, err := readReplicas(cc.Context)
	if err != nil {
		return fmt.Errorf("%w: configuration change: %w", entry.ErrUnreadable, err)
	}
	conf := g.raft.ApplyConfChange(cc)
	g.h.cfg.Logger.Debug("configuration change", "partition", g.p.String(), "replica", uint64(g.id), "index",
		e.GetIndex(), "conf", conf.String())
	ap.Conf = conf
	ap.Replicas = slices.Clone(ap.Replicas)
	for _, r := range added {
		if !slices.ContainsFunc(ap.Replicas, func(o kv.Replica) bool { return o.ID == r.ID }) {
			ap.Replicas = append(ap.Replicas, r)
		}
	}
	ap.Replicas = slices.DeleteFunc(ap.Replicas, func(r kv.Replica) bool { return !InConf(conf, r.ID) })
	slices.SortFunc(ap.Replicas, func(a, b kv.Replica) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	g.known.become(ap.Replicas)
	g.conf.pending = false
	g.news.due = true
	g.keepConf(e.GetIndex())
	// Cheap and safe: the next round is counted under the new configuration.
	g.endLease()
	g.reads.requeue()
	g.h.groups.mark(g)
	return nil
}

// keepConf brings it to the disk that a configuration change is committed. Else that comes there with the
// next append (see append), and where nothing is written there is none: a restart would go back to the
// configuration from before, perhaps to a joint one, whose other half cannot be had any more.
func (g *group) keepConf(index uint64) {
	if confCommitForgotten || commitLeftOut {
		return
	}
	was := g.raft.hard
	hard := &pb.HardState{Term: was.Term, Vote: was.Vote, Commit: new(max(was.GetCommit(), index))}
	b := g.h.job().batch
	b.SetHardState(g.store, hard)
	b.SyncHardState(g.store)
	g.raft.hard = hard
}

// InConf reports whether a configuration, joint or not, contains a replica.
func InConf(c *pb.ConfState, id kv.ReplicaID) bool {
	x := uint64(id)
	return slices.Contains(c.GetVoters(), x) || slices.Contains(c.GetLearners(), x) ||
		slices.Contains(c.GetVotersOutgoing(), x) || slices.Contains(c.GetLearnersNext(), x)
}

func appendReplicas(b []byte, rs []kv.Replica) []byte {
	b = append(b, 1) // version
	b = binary.AppendUvarint(b, uint64(len(rs)))
	for _, r := range rs {
		b = binary.AppendUvarint(b, uint64(r.ID))
		b = binary.AppendUvarint(b, uint64(r.Node))
	}
	return b
}

func readReplicas(b []byte) ([]kv.Replica, error) {
	d := kv.NewDecoder(b)
	if v := d.Byte(); v != 1 {
		return nil, fmt.Errorf("version %d", v)
	}
	out := make([]kv.Replica, d.Count())
	for i := range out {
		out[i] = kv.Replica{ID: kv.ReplicaID(d.Uvarint()), Node: kv.NodeID(d.Uvarint())}
	}
	return out, d.End()
}
