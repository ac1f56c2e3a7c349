package kv

import (
	"encoding/binary"
	"errors"
)

// ErrTruncated is the error of a Decoder that ran past the end of its input, or met a
// length or number that the input cannot hold.
var ErrTruncated = errors.New("encoding is truncated or malformed")

// Decoder reads the compact binary encoding that commands, results, log payloads and
// frames share: single bytes, unsigned varints and length-prefixed byte strings. The first
// fault sticks: later reads return zero values, and Err reports it. It never panics and
// never allocates; byte strings alias the input.
type Decoder struct {
	b   []byte
	err error
}

// NewDecoder returns a Decoder that reads b.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

// Uvarint reads an unsigned varint (encoding/binary).
func (d *Decoder) Uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// Varint reads a zigzag-encoded signed varint.
func (d *Decoder) Varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// Bytes reads a length-prefixed byte string, which aliases the input; it is never nil
// unless the Decoder failed.
func (d *Decoder) Bytes() []byte {
	n := d.Uvarint()
	if d.err != nil || n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// String reads a length-prefixed byte string as a string.
func (d *Decoder) String() string { return string(d.Bytes()) }

// Count reads the number of elements that follow, each of at least one byte, so that a
// caller may allocate for them without trusting the input.
func (d *Decoder) Count() int {
	n := d.Uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

// Rest returns what was not read yet.
func (d *Decoder) Rest() []byte { return d.b }

// Err returns the first fault, or nil.
func (d *Decoder) Err() error { return d.err }

// End returns Err, or ErrTruncated when input is left over.
func (d *Decoder) End() error {
	if d.err == nil && len(d.b) != 0 {
		d.fail()
	}
	return d.err
}

func (d *Decoder) fail() {
	if d.err == nil {
		d.err = ErrTruncated
	}
	d.b = nil
}

// AppendBytes appends a length-prefixed byte string.
func AppendBytes[T ~string | ~[]byte](b []byte, v T) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}
