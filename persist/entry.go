package persist

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"go.etcd.io/raft/v3/raftpb"
)

const (
	entryFormat = 1
	// entryFixed: format, checksum, type; the term follows as a uvarint, then the data.
	entryFixed     = 1 + 4 + 1
	maxEntryHeader = entryFixed + binary.MaxVarintLen64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// entrySize is the length of an entry's encoding.
func entrySize(e *raftpb.Entry) int {
	return entryFixed + uvarintLen(e.GetTerm()) + len(e.GetData())
}

// putEntry encodes e into b, which is entrySize(e) long. The checksum covers the key as
// well, so that an entry in a wrong place is found out.
func putEntry(b, key []byte, e *raftpb.Entry) {
	b[0] = entryFormat
	b[5] = byte(e.GetType())
	n := entryFixed + binary.PutUvarint(b[entryFixed:], e.GetTerm())
	copy(b[n:], e.GetData())
	binary.BigEndian.PutUint32(b[1:], entryChecksum(key, b))
}

func entryChecksum(key, b []byte) uint32 {
	sum := crc32.Update(0, castagnoli, key)
	return crc32.Update(sum, castagnoli, b[5:])
}

// entryHeader is an entry without a copy of its data.
type entryHeader struct {
	term uint64
	typ  raftpb.EntryType
	data []byte // aliases the encoding
}

// decodeEntryHeader checks the encoding of the entry under key.
func decodeEntryHeader(key, b []byte) (entryHeader, error) {
	var h entryHeader
	if len(b) == 0 || len(b) < entryFixed && b[0] == entryFormat {
		return h, fmt.Errorf("log entry: %w: record ends early", ErrCorrupt)
	}
	c := cursor{rest: b}
	c.version(entryFormat, "log entry")
	sum := uint32(0)
	if s := c.bytes(4); s != nil {
		sum = binary.BigEndian.Uint32(s)
	}
	if c.err == nil && sum != entryChecksum(key, b) {
		c.fail("checksum differs")
	}
	h.typ = raftpb.EntryType(c.byte())
	h.term = c.uvarint()
	h.data = c.rest
	c.rest = nil
	switch h.typ {
	case raftpb.EntryNormal, raftpb.EntryConfChange, raftpb.EntryConfChangeV2:
	default:
		c.fail(fmt.Sprintf("unknown type %d", h.typ))
	}
	return h, c.end("log entry")
}

// entry makes a raft entry that owns its memory.
func (h entryHeader) entry(index uint64) *raftpb.Entry {
	// One allocation for the entry and what its scalar pointers point to.
	s := &struct {
		e           raftpb.Entry
		term, index uint64
		typ         raftpb.EntryType
	}{term: h.term, index: index, typ: h.typ}
	s.e.Term, s.e.Index, s.e.Type = &s.term, &s.index, &s.typ
	if len(h.data) > 0 {
		s.e.Data = append(make([]byte, 0, len(h.data)), h.data...)
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
