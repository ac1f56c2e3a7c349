package raftlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"go.etcd.io/raft/v3/raftpb"

	"pxkv/node/kv"
	"pxkv/persist/codec"
)

const (
	entryFormat = 1
	// entryFixed: format, checksum, type; the term follows as a uvarint, then the data.
	entryFixed     = 1 + 4 + 1
	maxEntryHeader = entryFixed + binary.MaxVarintLen64
)

// entrySize is the length of an entry's encoding.
func entrySize(e *raftpb.Entry) int {
	return entryFixed + uvarintLen(e.GetTerm()) + len(e.GetData())
}

// putEntry encodes e into b, which is entrySize(e) long. The checksum covers the partition and
// the index as well, so that an entry in a wrong place is found out.
func putEntry(b []byte, p kv.PartitionID, e *raftpb.Entry) {
	b[0] = entryFormat
	b[5] = byte(e.GetType())
	n := entryFixed + binary.PutUvarint(b[entryFixed:], e.GetTerm())
	copy(b[n:], e.GetData())
	binary.BigEndian.PutUint32(b[1:], entryChecksum(p, e.GetIndex(), b))
}

func entryChecksum(p kv.PartitionID, index uint64, b []byte) uint32 {
	var key [12]byte
	binary.BigEndian.PutUint32(key[:], uint32(p))
	binary.BigEndian.PutUint64(key[4:], index)
	sum := crc32.Update(0, codec.Castagnoli, key[:])
	return crc32.Update(sum, codec.Castagnoli, b[5:])
}

// entryHeader is an entry without a copy of its data.
type entryHeader struct {
	term uint64
	typ  raftpb.EntryType
	data []byte // aliases the encoding
}

// decodeEntryHeader checks the encoding of an entry.
func decodeEntryHeader(p kv.PartitionID, index uint64, b []byte) (entryHeader, error) {
	var h entryHeader
	if len(b) == 0 || len(b) < entryFixed && b[0] == entryFormat {
		return h, fmt.Errorf("log entry: %w: it ends early", codec.ErrCorrupt)
	}
	c := codec.Cursor{Rest: b}
	c.Version(entryFormat, "log entry")
	sum := uint32(0)
	if s := c.Bytes(4); s != nil {
		sum = binary.BigEndian.Uint32(s)
	}
	if c.Err == nil && sum != entryChecksum(p, index, b) {
		c.Fail("checksum differs")
	}
	h.typ = raftpb.EntryType(c.Byte())
	h.term = c.Uvarint()
	h.data = c.Rest
	c.Rest = nil
	switch h.typ {
	case raftpb.EntryNormal, raftpb.EntryConfChange, raftpb.EntryConfChangeV2:
	default:
		c.Fail(fmt.Sprintf("unknown type %d", h.typ))
	}
	return h, c.End("log entry")
}

// entry makes a raft entry, whose data aliases the encoding.
func (h entryHeader) entry(index uint64) *raftpb.Entry {
	// One allocation for the entry and what its scalar pointers point to.
	s := &struct {
		e           raftpb.Entry
		term, index uint64
		typ         raftpb.EntryType
	}{term: h.term, index: index, typ: h.typ}
	s.e.Term, s.e.Index, s.e.Type = &s.term, &s.index, &s.typ
	if len(h.data) > 0 {
		s.e.Data = h.data
	}
	return &s.e
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}
