package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// HeaderLen is the room that the caller leaves at the front of each record for its header:
// checksum (4 bytes), length of the payload (4), number of the record (8), number of the last
// record that was synced before this one was written (8). All little endian.
const HeaderLen = 24

const (
	// alignment of records in their file. It makes the search behind a torn place cheaper.
	alignment = 8
	// maxPayload is far above what the caller writes; a longer length is damage.
	maxPayload = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header of a record. A seal has length 0 and the number of the record before it.
type header struct {
	checksum, length uint32
	number, synced   uint64
}

func readHeader(b []byte) header {
	return header{
		checksum: binary.LittleEndian.Uint32(b),
		length:   binary.LittleEndian.Uint32(b[4:]),
		number:   binary.LittleEndian.Uint64(b[8:]),
		synced:   binary.LittleEndian.Uint64(b[16:]),
	}
}

// writeTo fills in the header of a whole record of the segment.
func (h header) writeTo(record []byte, segment uint64) {
	binary.LittleEndian.PutUint32(record[4:], h.length)
	binary.LittleEndian.PutUint64(record[8:], h.number)
	binary.LittleEndian.PutUint64(record[16:], h.synced)
	binary.LittleEndian.PutUint32(record, checksum(record, segment))
}

// checksum covers the segment's number as well: a file that is used again holds records of
// its former life behind its end, and none of them must ever pass for a new one.
func checksum(record []byte, segment uint64) uint32 {
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], segment)
	return crc32.Update(crc32.Update(0, castagnoli, number[:]), castagnoli, record[4:])
}

// parse reads the record at which b begins. ok is false when there is no whole one.
func parse(b []byte, segment uint64) (h header, record []byte, ok bool) {
	if len(b) < HeaderLen {
		return h, nil, false
	}
	h = readHeader(b)
	if h.length > maxPayload || int(h.length) > len(b)-HeaderLen {
		return h, nil, false
	}
	record = b[:HeaderLen+int(h.length)]
	return h, record, checksum(record, segment) == h.checksum
}

// aligned is n rounded up to where the next record may begin.
func aligned(n int64) int64 { return (n + alignment - 1) &^ (alignment - 1) }
