package replica

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// AppendTo appends the header that goes before a snapshot's data.
func (r *SnapshotRequest) AppendTo(b []byte) []byte {
	b = append(b, frameVersion)
	b = binary.AppendUvarint(b, uint64(r.Partition))
	b = binary.AppendUvarint(b, uint64(r.From))
	b = binary.AppendUvarint(b, uint64(r.To))
	return binary.AppendUvarint(b, r.Term)
}

// DecodeSnapshotRequest reads the header of a snapshot; ToNode is not part of it.
func DecodeSnapshotRequest(b []byte) (SnapshotRequest, error) {
	d := kv.NewDecoder(b)
	if v := d.Byte(); v != frameVersion {
		return SnapshotRequest{}, fmt.Errorf("%w: snapshot header of version %d", ErrFrame, v)
	}
	r := SnapshotRequest{Partition: kv.PartitionID(d.Uvarint()), From: kv.ReplicaID(d.Uvarint()), To: kv.ReplicaID(d.Uvarint()), Term: d.Uvarint()}
	return r, d.End()
}

// Wants reports, from any goroutine, whether a snapshot for this replica id is worth
// receiving.
func (h *Host) Wants(r SnapshotRequest) bool {
	if g := h.Handle(r.Partition); g != nil {
		return g.ID == r.To
	}
	return h.cfg.Policy.Assigned(r.Partition, r.To) && r.To > h.cfg.DB.Tombstone(r.Partition)
}

// receiveSnapshot offers a staged snapshot to the library, which takes it in this turn or has
// no use for it.
func (h *Host) receiveSnapshot(s ArrivedSnapshot) {
	g := h.groups[s.Request.Partition]
	if g == nil {
		g = h.adopt(s.Request.Partition, s.Request.To)
	}
	if g == nil || g.id != s.Request.To || g.staged != nil || g.staging != nil {
		s.Staged.Discard()
		return
	}
	ap := s.Staged.Applied()
	g.staged = s.Staged
	g.step(Message{
		Kind: RaftMessage, Partition: g.p, From: s.Request.From, To: g.id, FromNode: s.FromNode,
		Raft: &pb.Message{
			Type: pb.MsgSnap.Enum(), From: new(uint64(s.Request.From)), To: new(uint64(g.id)), Term: new(s.Request.Term),
			Snapshot: &pb.Snapshot{Metadata: &pb.SnapshotMetadata{ConfState: ap.Conf, Index: new(ap.Index), Term: new(ap.Term)}},
		},
	})
	h.offered = append(h.offered, g)
}

// discardRefused throws the snapshots away that the library did not take in this turn: they
// are older than what is here.
func (h *Host) discardRefused() {
	for _, g := range h.offered {
		if g.staged != nil {
			g.staged.Discard()
			g.staged = nil
		}
	}
	h.offered = nil
}

// report tells the leader's side how sending ended.
func (h *Host) report(r SnapshotReport) {
	g := h.groups[r.Request.Partition]
	if g == nil || g.id != r.Request.From {
		return
	}
	status := raft.SnapshotFinish
	if r.Failed {
		status = raft.SnapshotFailure
	}
	g.rn.ReportSnapshot(uint64(r.Request.To), status)
	h.markDirty(g)
}
