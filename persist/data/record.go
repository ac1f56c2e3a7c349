package data

import (
	"encoding/binary"

	"pxkv/node/kv"
	"pxkv/persist/codec"
)

// Record is a value as it is stored.
type Record struct {
	Value      kv.Value
	Version    uint64 // the key's version
	ModifiedMS int64  // Unix milliseconds
	DeadlineMS int64  // Unix milliseconds; 0 is no deadline
}

const (
	recordFormat = 1
	// packedFormat is that of records whose value is packed, and of no others: a pxkv that knows no packing names it
	// as one of a newer version.
	packedFormat = 2

	flagDeadline    = 1 << 0
	flagContentType = 1 << 1
	knownFlags      = flagDeadline | flagContentType

	// maxRecordHeader: format, packing, kind, flags, four varints, length byte, content type.
	maxRecordHeader = 4 + 4*binary.MaxVarintLen64 + 1 + kv.MaxContentTypeBytes
)

// AppendTo appends the encoding of rec to b. A content type longer than
// kv.MaxContentTypeBytes is cut: commands are validated long before.
func (rec Record) AppendTo(b []byte) []byte {
	return append(rec.appendHeader(b), rec.Value.Data...)
}

func (rec Record) appendHeader(b []byte) []byte {
	var flags byte
	if rec.DeadlineMS != 0 {
		flags |= flagDeadline
	}
	contentType := rec.Value.ContentType
	if contentType != "" {
		flags |= flagContentType
		contentType = contentType[:min(len(contentType), kv.MaxContentTypeBytes)]
	}
	if rec.Value.Packing == kv.NotPacked {
		b = append(b, recordFormat, byte(rec.Value.Kind), flags)
	} else {
		b = append(b, packedFormat, byte(rec.Value.Kind), flags, byte(rec.Value.Packing))
		b = binary.AppendUvarint(b, uint64(rec.Value.Plain))
	}
	b = binary.AppendUvarint(b, rec.Version)
	b = binary.AppendVarint(b, rec.ModifiedMS)
	if flags&flagDeadline != 0 {
		b = binary.AppendVarint(b, rec.DeadlineMS)
	}
	if flags&flagContentType != 0 {
		b = append(append(b, byte(len(contentType))), contentType...)
	}
	return b
}

// DecodeRecord decodes what AppendTo made. Value.Data aliases b, and may be packed. An unknown format version,
// kind, flag or packing is an error (codec.ErrFormat or codec.ErrCorrupt), never a guess.
func DecodeRecord(b []byte) (Record, error) {
	c := codec.Cursor{Rest: b}
	format := c.Versions(recordFormat, packedFormat, "value")
	kind, flags := kv.Kind(c.Byte()), c.Byte()
	if c.Err == nil && (kind < kv.String || kind > kv.Binary) {
		c.Fail("unknown kind of value")
	}
	if c.Err == nil && flags&^byte(knownFlags) != 0 {
		c.Fail("unknown flag of value")
	}
	rec := Record{Value: kv.Value{Kind: kind}}
	if format == packedFormat {
		rec.Value.Packing = kv.Packing(c.Byte())
		rec.Value.Plain = int(min(c.Uvarint(), kv.DefaultMaxValueBytes+1))
	}
	rec.Version, rec.ModifiedMS = c.Uvarint(), c.Varint()
	if flags&flagDeadline != 0 {
		if rec.DeadlineMS = c.Varint(); rec.DeadlineMS == 0 {
			c.Fail("empty deadline of value")
		}
	}
	if flags&flagContentType != 0 {
		n := c.Byte()
		if n == 0 {
			c.Fail("empty content type of value")
		}
		rec.Value.ContentType = string(c.Bytes(uint64(n)))
	}
	rec.Value.Data = c.Rest
	if c.Err == nil && (!rec.Value.WellPacked() || (format == packedFormat) != (rec.Value.Packing != kv.NotPacked)) {
		c.Fail("unknown packing of value")
	}
	c.Rest = nil
	return rec, c.End("value")
}

// Item is the record in the words of the node, without its key. It shares the value's bytes.
func (rec Record) Item() kv.Item {
	return kv.Item{Value: rec.Value, Version: rec.Version, Modified: rec.ModifiedMS, Deadline: rec.DeadlineMS}
}
