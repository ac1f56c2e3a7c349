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

	flagDeadline    = 1 << 0
	flagContentType = 1 << 1
	knownFlags      = flagDeadline | flagContentType

	// maxRecordHeader: format, kind, flags, three varints, length byte, content type.
	maxRecordHeader = 3 + 3*binary.MaxVarintLen64 + 1 + kv.MaxContentTypeBytes
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
	b = append(b, recordFormat, byte(rec.Value.Kind), flags)
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

// DecodeRecord decodes what AppendTo made. Value.Data aliases b. An unknown format version,
// kind or flag is an error (codec.ErrFormat or codec.ErrCorrupt), never a guess.
func DecodeRecord(b []byte) (Record, error) {
	c := codec.Cursor{Rest: b}
	c.Version(recordFormat, "value")
	kind, flags := kv.Kind(c.Byte()), c.Byte()
	if c.Err == nil && (kind < kv.String || kind > kv.Binary) {
		c.Fail("unknown kind of value")
	}
	if c.Err == nil && flags&^byte(knownFlags) != 0 {
		c.Fail("unknown flag of value")
	}
	rec := Record{Value: kv.Value{Kind: kind}, Version: c.Uvarint(), ModifiedMS: c.Varint()}
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
	c.Rest = nil
	return rec, c.End("value")
}

// Item is the record in the words of the node, without its key. It shares the value's bytes.
func (rec Record) Item() kv.Item {
	return kv.Item{Value: rec.Value, Version: rec.Version, Modified: rec.ModifiedMS, Deadline: rec.DeadlineMS}
}

// item makes the kv.Item of a stored record. It owns its memory.
func (rec Record) item(key []byte, keysOnly bool) kv.Item {
	it := rec.Item()
	it.Key = append([]byte(nil), key...)
	if keysOnly {
		it.Value.Data = nil
	} else {
		it.Value.Data = append(make([]byte, 0, len(rec.Value.Data)), rec.Value.Data...)
	}
	return it
}
