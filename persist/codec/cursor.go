package codec

import (
	"encoding/binary"
	"fmt"
)

// Cursor reads the fields of an encoding one after the other. The first fault sticks, and later
// reads return zero, so that a decoder checks once at its end.
type Cursor struct {
	Rest []byte // what was not read yet
	Err  error  // the first fault
}

// Fail notes a fault, unless there was one before.
func (c *Cursor) Fail(what string) {
	if c.Err == nil {
		c.Err = fmt.Errorf("%w: %s", ErrCorrupt, what)
	}
	c.Rest = nil
}

// Byte reads one.
func (c *Cursor) Byte() byte {
	if len(c.Rest) == 0 {
		c.Fail("it ends early")
		return 0
	}
	b := c.Rest[0]
	c.Rest = c.Rest[1:]
	return b
}

// Uvarint reads a number without a sign.
func (c *Cursor) Uvarint() uint64 {
	v, n := binary.Uvarint(c.Rest)
	if n <= 0 {
		c.Fail("bad number")
		return 0
	}
	c.Rest = c.Rest[n:]
	return v
}

// Varint reads a number with a sign.
func (c *Cursor) Varint() int64 {
	v, n := binary.Varint(c.Rest)
	if n <= 0 {
		c.Fail("bad number")
		return 0
	}
	c.Rest = c.Rest[n:]
	return v
}

// Uint64 reads a number of eight bytes.
func (c *Cursor) Uint64() uint64 {
	b := c.Bytes(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Bytes reads n, which alias the encoding; it is nil when fewer are left.
func (c *Cursor) Bytes(n uint64) []byte {
	if n > uint64(len(c.Rest)) {
		c.Fail("it ends early")
		return nil
	}
	b := c.Rest[:n:n]
	c.Rest = c.Rest[n:]
	return b
}

// Count reads the length of a list whose items take at least itemBytes each, so that a
// corrupt length cannot ask for more memory than the encoding itself takes.
func (c *Cursor) Count(itemBytes int) int {
	n := c.Uvarint()
	if n > uint64(len(c.Rest)/itemBytes) {
		c.Fail("a list is longer than what is left")
		return 0
	}
	return int(n)
}

// Version reads the leading format byte and refuses any but want.
func (c *Cursor) Version(want byte, what string) {
	got := c.Byte()
	if c.Err == nil && got != want {
		c.Err = fmt.Errorf("%w %d of %s (this pxkv knows %d; run the version that wrote it, or a newer one)",
			ErrFormat, got, what, want)
		c.Rest = nil
	}
}

// Versions is Version for an encoding of which several are known, and returns which it is.
func (c *Cursor) Versions(oldest, newest byte, what string) byte {
	if len(c.Rest) > 0 && c.Rest[0] >= oldest && c.Rest[0] < newest {
		return c.Byte()
	}
	c.Version(newest, what)
	return newest
}

// End reports the first fault; bytes left over are one.
func (c *Cursor) End(what string) error {
	if c.Err == nil && len(c.Rest) > 0 {
		c.Fail("bytes left over")
	}
	if c.Err != nil {
		return fmt.Errorf("%s: %w", what, c.Err)
	}
	return nil
}
