package raftlog

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/wal"
)

// A batch is a version and operations. FORMAT.md describes them.
const (
	logFormat = 1

	opCheckpoint = 1 // how many tombstones and replicas follow, which are all that there are
	opTombstone  = 2
	opReplica    = 3 // all that older segments say about a replica, but its entries
	opCreate     = 4
	opPut        = 5 // data of a replica that the same batch creates
	opAppend     = 6
	opMove       = 7 // an entry from an old segment, once more
	opHardState  = 8
	opTruncate   = 9
	opInstall    = 10
	opDestroy    = 11
	opVoid       = 12
	opLimit      = 13
)

// op begins an operation; with sync Commit makes it outlive a crash.
func (b *Batch) op(kind byte, p kv.PartitionID, sync bool) {
	if b.number == 0 {
		b.number = b.log.batches.Add(1)
		b.buf = append(b.log.takeBuffer(), make([]byte, wal.HeaderLen)...)
		b.buf = append(b.buf, logFormat)
	}
	b.sync = b.sync || sync
	b.buf = binary.BigEndian.AppendUint32(append(b.buf, kind), uint32(p))
}

func (b *Batch) uvarints(all ...uint64) {
	for _, v := range all {
		b.buf = binary.AppendUvarint(b.buf, v)
	}
}

func (b *Batch) bytes(v []byte) {
	b.buf = append(binary.AppendUvarint(b.buf, uint64(len(v))), v...)
}

func (b *Batch) hardState(h hardState) { b.uvarints(h.term, h.vote, h.commit) }

func (b *Batch) entryID(e entryID) { b.uvarints(e.index, e.term) }

// entry puts an entry into the operation, and tells where it lies.
func (b *Batch) entry(p kv.PartitionID, e *raftpb.Entry) place {
	room, at := b.room(e.GetIndex(), entrySize(e))
	putEntry(room, p, e)
	return at
}

// room makes room for an encoded entry behind its index, and tells where that lies.
func (b *Batch) room(index uint64, size int) ([]byte, place) {
	b.buf = binary.BigEndian.AppendUint64(b.buf, index)
	b.uvarints(uint64(size))
	n := len(b.buf)
	b.buf = append(b.buf, make([]byte, size)...)
	return b.buf[n:], place{b.number, uint32(n - wal.HeaderLen), uint32(size)}
}

// opReader reads the operations of a batch.
type opReader struct {
	codec.Cursor
	number  uint64
	payload []byte
}

func readOps(number uint64, payload []byte) *opReader {
	r := &opReader{Cursor: codec.Cursor{Rest: payload}, number: number, payload: payload}
	r.Version(logFormat, "batch of the log")
	return r
}

// next reads the beginning of an operation; false at the batch's end.
func (r *opReader) next() (kind byte, p kv.PartitionID, ok bool) {
	if r.Err != nil || len(r.Rest) == 0 {
		return 0, 0, false
	}
	kind = r.Byte()
	if b := r.Cursor.Bytes(4); b != nil {
		p = kv.PartitionID(binary.BigEndian.Uint32(b))
	}
	if kind < opCheckpoint || kind >= opLimit {
		r.Fail(fmt.Sprintf("unknown operation %d", kind))
	}
	return kind, p, r.Err == nil
}

func (r *opReader) hardState() hardState {
	return hardState{term: r.Uvarint(), vote: r.Uvarint(), commit: r.Uvarint()}
}

func (r *opReader) entryID() entryID { return entryID{index: r.Uvarint(), term: r.Uvarint()} }

func (r *opReader) replicaID() kv.ReplicaID {
	id := kv.ReplicaID(r.Uvarint())
	if r.Err == nil && id == 0 {
		r.Fail("replica id is 0")
	}
	return id
}

func (r *opReader) sized() []byte { return r.Cursor.Bytes(r.Uvarint()) }

// entry reads an entry and where it lies.
func (r *opReader) entry() (index uint64, encoded []byte, at place) {
	index = r.Uint64()
	encoded = r.sized()
	end := len(r.payload) - len(r.Rest)
	return index, encoded, place{r.number, uint32(end - len(encoded)), uint32(len(encoded))}
}
