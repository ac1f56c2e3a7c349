package kv

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Limits that hold in every protocol.
const (
	MaxKeyBytes          = 4096    // longest key
	DefaultMaxValueBytes = 8 << 20 // longest value unless --max-value-bytes says otherwise
	MaxContentTypeBytes  = 255     // longest Content-Type that is kept with a value
)

// Kind says what the bytes of a value are.
type Kind uint8

const (
	String Kind = 1 // valid UTF-8
	JSON   Kind = 2 // the compact JSON text of a number, bool, object or array
	Binary Kind = 3 // any other bytes
)

// String returns "string", "json" or "binary".
func (k Kind) String() string {
	switch k {
	case String:
		return "string"
	case JSON:
		return "json"
	case Binary:
		return "binary"
	}
	return "invalid"
}

// Value is what a key holds.
type Value struct {
	Kind        Kind
	ContentType string // as a raw write gave it; empty for values written as JSON members
	Data        []byte // UTF-8 text, JSON text or bytes, according to Kind; or these packed
	// Packing and Plain are of a value on its way into the log, and as it is stored. What is read from a store, and
	// what leaves a node, is not packed.
	Packing Packing
	Plain   int // how long Data is unpacked, in bytes; 0 when it is not packed
}

// Packing is how the data of a value was made shorter, for the log and the disk. Package pack does it.
type Packing uint8

// The numbers are in logs and on disks.
const (
	NotPacked    Packing = 0
	Zlib         Packing = 1 // RFC 1950
	Zstd         Packing = 2 // RFC 8878
	packingLimit Packing = 3
)

// String returns "none", "zlib" or "zstd".
func (p Packing) String() string {
	switch p {
	case NotPacked:
		return "none"
	case Zlib:
		return "zlib"
	case Zstd:
		return "zstd"
	}
	return "unknown"
}

// Length is how long the data is in bytes, unpacked: the only length that users know.
func (v *Value) Length() int {
	if v.Packing != NotPacked {
		return v.Plain
	}
	return len(v.Data)
}

// WellPacked reports whether what is said of the packing can be: a packing that this version knows, of data that
// it has made shorter. Whether the data unpacks is for package pack to say.
func (v *Value) WellPacked() bool {
	if v.Packing == NotPacked {
		return v.Plain == 0
	}
	return v.Packing < packingLimit && len(v.Data) > 0 && len(v.Data) < v.Plain && v.Plain <= DefaultMaxValueBytes
}

// RawValue makes the value of a raw write. A body that contentType calls JSON and that is
// a JSON number, bool, object or array becomes kind JSON, byte for byte as given; other
// valid UTF-8 becomes String; the rest Binary. data is kept, not copied.
func RawValue(data []byte, contentType string) Value {
	v := Value{Kind: Binary, ContentType: contentType, Data: data}
	switch {
	case isJSONType(contentType) && isJSONStructure(data):
		v.Kind = JSON
	case utf8.Valid(data):
		v.Kind = String
	}
	return v
}

func isJSONType(ct string) bool {
	media, _, _ := bytes.Cut([]byte(ct), []byte(";"))
	return string(bytes.ToLower(bytes.TrimSpace(media))) == "application/json"
}

// isJSONStructure reports whether data is a valid JSON text other than a string or null.
func isJSONStructure(data []byte) bool {
	d := bytes.TrimLeft(data, " \t\r\n")
	if len(d) == 0 || d[0] == '"' || d[0] == 'n' {
		return false
	}
	return json.Valid(data)
}

// Item is a key with its value and what the store knows about it.
type Item struct {
	Key      []byte
	Value    Value
	Version  uint64 // grows with every write of the key, never reused
	Modified int64  // Unix milliseconds, by the clock of the leader that took the write
	Deadline int64  // Unix milliseconds after which the item is gone; 0 is never
}

// Expired reports whether a deadline, 0 being none, is reached at a time, both in Unix milliseconds.
func Expired(deadlineMS, timeMS int64) bool { return deadlineMS != 0 && deadlineMS <= timeMS }
