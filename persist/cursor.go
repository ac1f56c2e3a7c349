package persist

import (
	"encoding/binary"
	"fmt"
)

// cursor reads a record's fields one after the other. The first fault sticks, and later
// reads return zero, so that a decoder checks once at its end.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrCorrupt, what)
	}
	c.rest = nil
}

func (c *cursor) byte() byte {
	if len(c.rest) == 0 {
		c.fail("record ends early")
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 {
		c.fail("bad number in record")
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.rest)
	if n <= 0 {
		c.fail("bad number in record")
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) uint64() uint64 {
	b := c.bytes(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// bytes aliases the record; it is nil when fewer than n are left.
func (c *cursor) bytes(n uint64) []byte {
	if n > uint64(len(c.rest)) {
		c.fail("record ends early")
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}

// count reads the length of a list whose items take at least itemBytes each, so that a
// corrupt length cannot ask for more memory than the record itself takes.
func (c *cursor) count(itemBytes int) int {
	n := c.uvarint()
	if n > uint64(len(c.rest)/itemBytes) {
		c.fail("list is longer than its record")
		return 0
	}
	return int(n)
}

// version reads the leading format byte and refuses any but want.
func (c *cursor) version(want byte, what string) {
	got := c.byte()
	if c.err == nil && got != want {
		c.err = fmt.Errorf("%w %d of %s (this pxkv knows %d; run the version that wrote it, or a newer one)", ErrFormat, got, what, want)
		c.rest = nil
	}
}

// end reports the first fault; bytes left over are one.
func (c *cursor) end(what string) error {
	if c.err == nil && len(c.rest) > 0 {
		c.fail("bytes left over")
	}
	if c.err != nil {
		return fmt.Errorf("%s: %w", what, c.err)
	}
	return nil
}
