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
	Data        []byte // UTF-8 text, JSON text or bytes, according to Kind
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
