package persist

import (
	"encoding/binary"

	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
)

// Format versions of the bookkeeping records.
const (
	appliedFormat       = 1
	appliedRecordFormat = 1
)

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

// hardState is raftpb.HardState as plain values.
type hardState struct {
	term, vote, commit uint64
}

// entryID names an entry: the last one that a log no longer holds.
type entryID struct {
	index, term uint64
}

// appendAppliedRecord appends what Pebble keeps: which replica it is that has come so far.
func appendAppliedRecord(b []byte, id kv.ReplicaID, ap *Applied) []byte {
	b = binary.AppendUvarint(append(b, appliedRecordFormat), uint64(id))
	return ap.appendTo(b)
}

func decodeAppliedRecord(b []byte) (kv.ReplicaID, Applied, error) {
	c := cursor{rest: b}
	c.version(appliedRecordFormat, "applied record")
	id := kv.ReplicaID(c.uvarint())
	if c.err == nil && id == 0 {
		c.fail("replica id is 0")
	}
	if c.err != nil {
		return 0, Applied{}, c.end("applied record")
	}
	ap, err := decodeApplied(c.rest)
	return id, ap, err
}

func (ap Applied) appendTo(b []byte) []byte {
	b = append(b, appliedFormat)
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
	for _, ids := range [][]uint64{ap.Conf.GetVoters(), ap.Conf.GetLearners(), ap.Conf.GetVotersOutgoing(), ap.Conf.GetLearnersNext()} {
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

func decodeApplied(b []byte) (Applied, error) {
	c := cursor{rest: b}
	c.version(appliedFormat, "applied state")
	ap := Applied{
		Index:    c.uvarint(),
		Term:     c.uvarint(),
		Revision: c.uvarint(),
		TimeMS:   c.varint(),
		Hash:     c.uint64(),
		Conf:     &raftpb.ConfState{},
	}
	switch c.byte() {
	case 0:
	case 1:
		autoLeave := true
		ap.Conf.AutoLeave = &autoLeave
	default:
		c.fail("auto-leave is neither 0 nor 1")
	}
	for _, ids := range []*[]uint64{&ap.Conf.Voters, &ap.Conf.Learners, &ap.Conf.VotersOutgoing, &ap.Conf.LearnersNext} {
		for range c.count(1) {
			*ids = append(*ids, c.uvarint())
		}
	}
	for range c.count(9) {
		ap.Replicas = append(ap.Replicas, kv.Replica{ID: kv.ReplicaID(c.uvarint()), Node: kv.NodeID(c.uint64())})
	}
	return ap, c.end("applied state")
}
