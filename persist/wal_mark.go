package persist

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// walMark ends every batch in the WAL, as data that Pebble carries and does not look at. It
// is what checkWAL needs to tell a torn tail, which a power loss may leave, from corruption,
// which would make the node forget what it has promised.
//
// Pebble has a means for this of its own (the synced offsets in its WAL chunks), but it looks
// at later blocks of 32 KiB only, the offsets lag behind, and a new database's first WAL has
// none: a flipped bit near the end silently cuts the WAL short there.
type walMark struct {
	number uint64 // of the synced batch that this ends; 0 when it was not to be synced
	synced uint64 // the last batch that was synced before this one was written
}

const (
	walMarkMagic = "pxkv"
	walMarkLen   = len(walMarkMagic) + 8 + 8

	// How Pebble puts a LogData of that length into a batch: kind, length, data.
	logDataKind   = 3
	walMarkSuffix = 2 + walMarkLen
)

func (m walMark) writeTo(b *pebble.Batch) error {
	data := append(make([]byte, 0, walMarkLen), walMarkMagic...)
	data = binary.BigEndian.AppendUint64(data, m.number)
	data = binary.BigEndian.AppendUint64(data, m.synced)
	return b.LogData(data, nil)
}

// markAtEnd reads the mark that ends a batch. There is none where Pebble wrote a record of
// its own, or where the mark is split over two chunks.
func markAtEnd(batch []byte) (walMark, bool) {
	if len(batch) < walMarkSuffix {
		return walMark{}, false
	}
	b := batch[len(batch)-walMarkSuffix:]
	if b[0] != logDataKind || int(b[1]) != walMarkLen || string(b[2:2+len(walMarkMagic)]) != walMarkMagic {
		return walMark{}, false
	}
	b = b[2+len(walMarkMagic):]
	return walMark{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, true
}
