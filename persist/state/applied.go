package state

import (
	"encoding/binary"

	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/codec"
)

// Format is the version of its encoding.
const Format = 1

// Applied is the state machine's own bookkeeping. It is written in the same batch as the
// effects that it labels, so that both are there or neither.
type Applied struct {
	Index, Term uint64
	Revision    uint64            // last version number given out in this partition
	TimeMS      int64             // group time: the largest command timestamp applied, Unix milliseconds
	Hash        uint64            // running hash of effects
	Conf        *raftpb.ConfState // never changed after it was handed over; nil is empty
	Replicas    []kv.Replica      // who is behind each id in Conf (and its outgoing half), sorted by ID
}

// AppendTo appends the encoding of ap to b.
func (ap Applied) AppendTo(b []byte) []byte {
	b = append(b, Format)
	b = binary.AppendUvarint(b, ap.Index)
	b = binary.AppendUvarint(b, ap.Term)
	b = binary.AppendUvarint(b, ap.Revision)
	b = binary.AppendVarint(b, ap.TimeMS)
	b = binary.BigEndian.AppendUint64(b, ap.Hash)
	autoLeave := byte(0)
	if ap.Conf.GetAutoLeave() {
		autoLeave = 1
	}
	b = append(b, autoLeave)
	for _, ids := range [][]uint64{
		ap.Conf.GetVoters(), ap.Conf.GetLearners(), ap.Conf.GetVotersOutgoing(), ap.Conf.GetLearnersNext(),
	} {
		b = binary.AppendUvarint(b, uint64(len(ids)))
		for _, id := range ids {
			b = binary.AppendUvarint(b, id)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(ap.Replicas)))
	for _, r := range ap.Replicas {
		b = binary.AppendUvarint(b, uint64(r.ID))
		b = binary.BigEndian.AppendUint64(b, uint64(r.Node))
	}
	return b
}

// DecodeApplied decodes what AppendTo made.
func DecodeApplied(b []byte) (Applied, error) {
	c := codec.Cursor{Rest: b}
	c.Version(Format, "applied state")
	ap := Applied{
		Index:    c.Uvarint(),
		Term:     c.Uvarint(),
		Revision: c.Uvarint(),
		TimeMS:   c.Varint(),
		Hash:     c.Uint64(),
		Conf:     &raftpb.ConfState{},
	}
	switch c.Byte() {
	case 0:
	case 1:
		autoLeave := true
		ap.Conf.AutoLeave = &autoLeave
	default:
		c.Fail("auto-leave is neither 0 nor 1")
	}
	for _, ids := range []*[]uint64{
		&ap.Conf.Voters, &ap.Conf.Learners, &ap.Conf.VotersOutgoing, &ap.Conf.LearnersNext,
	} {
		for range c.Count(1) {
			*ids = append(*ids, c.Uvarint())
		}
	}
	for range c.Count(9) {
		ap.Replicas = append(ap.Replicas, kv.Replica{ID: kv.ReplicaID(c.Uvarint()), Node: kv.NodeID(c.Uint64())})
	}
	return ap, c.End("applied state")
}
