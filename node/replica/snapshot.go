package replica

import (
	"encoding/binary"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/data"
)

// headerVersion is the first byte of a snapshot's header.
const headerVersion = 3

// AppendTo appends the header that goes before a snapshot's data.
func (r *SnapshotRequest) AppendTo(b []byte) []byte {
	b = append(b, headerVersion)
	b = binary.AppendUvarint(b, uint64(r.Partition))
	b = binary.AppendUvarint(b, uint64(r.From))
	b = binary.AppendUvarint(b, uint64(r.To))
	b = binary.AppendUvarint(b, r.Term)
	flags := byte(0)
	if r.Urgent {
		flags |= headerUrgent
	}
	if r.Small {
		flags |= headerSmall
	}
	return append(b, flags)
}

// What the last byte of a header says. Releases that know no small ones take each that is not 0 for urgent, which does
// no harm.
const (
	headerUrgent = 1 << iota
	headerSmall
)

// DecodeSnapshotRequest reads the header of a snapshot; ToNode is not part of it.
func DecodeSnapshotRequest(b []byte) (SnapshotRequest, error) {
	d := kv.NewDecoder(b)
	if v := d.Byte(); v != headerVersion {
		return SnapshotRequest{}, fmt.Errorf("%w: snapshot header of version %d, this node reads version %d", ErrFrame,
			v, headerVersion)
	}
	r := SnapshotRequest{Partition: kv.PartitionID(d.Uvarint()), From: kv.ReplicaID(d.Uvarint()),
		To: kv.ReplicaID(d.Uvarint()), Term: d.Uvarint()}
	flags := d.Byte()
	r.Urgent, r.Small = flags&headerUrgent != 0, flags&headerSmall != 0
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

// incoming is a snapshot on its way into the place of the state.
type incoming struct {
	staged  *data.Staged // handed to the library, not yet accepted
	staging *data.Staged // accepted, being installed
}

func (i *incoming) busy() bool { return i.staged != nil || i.staging != nil }

// discard throws a snapshot away that the library has no use for.
func (i *incoming) discard() {
	if i.staged != nil {
		i.staged.Discard()
		i.staged = nil
	}
}

// receiveSnapshot offers a staged snapshot to the library. Whether it takes it shows when the group
// is next drained.
func (h *Host) receiveSnapshot(s ArrivedSnapshot) {
	g := h.groups.of[s.Request.Partition]
	if g == nil {
		g = h.adopt(s.Request.Partition, s.Request.To)
	}
	if g == nil || !g.trust.vouched || g.id != s.Request.To || g.incoming.busy() {
		s.Staged.Discard()
		return
	}
	if g.trust.void {
		g.rebuild(s)
		return
	}
	if len(g.work.committed) > 0 { // whatever the turn's budget: see work.committed
		h.applying.drop(g)
		g.applyCommitted(true)
	}
	ap := s.Staged.Applied()
	g.incoming.staged = s.Staged
	g.step(Message{
		Kind: RaftMessage, Partition: g.p, From: s.Request.From, To: g.id, FromNode: s.FromNode,
		Raft: &pb.Message{
			Type: pb.MsgSnap.Enum(), From: new(uint64(s.Request.From)), To: new(uint64(g.id)),
			Term: new(s.Request.Term),
			Snapshot: &pb.Snapshot{
				Metadata: &pb.SnapshotMetadata{ConfState: ap.Conf, Index: new(ap.Index), Term: new(ap.Term)},
			},
		},
	})
	h.groups.mark(g)
}
