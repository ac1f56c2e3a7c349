package resp

import (
	"strconv"

	"github.com/tidwall/redcon"
)

// The methods of this file append one reply, or the head of one, to the connection's answers,
// in the protocol that the client chose. RESP2 has no maps, sets, nulls or texts of its own:
// there they are arrays, arrays, a bulk of length -1 and bulks.

func (c *conn) ok()               { c.out = redcon.AppendOK(c.out) }
func (c *conn) status(s string)   { c.out = redcon.AppendString(c.out, s) }
func (c *conn) integer(n int64)   { c.out = redcon.AppendInt(c.out, n) }
func (c *conn) bulk(b []byte)     { c.out = redcon.AppendBulk(c.out, b) }
func (c *conn) bulkText(s string) { c.out = redcon.AppendBulkString(c.out, s) }
func (c *conn) array(n int)       { c.out = redcon.AppendArray(c.out, n) }
func (c *conn) fail(text string)  { c.out = redcon.AppendError(c.out, text) }

// null is the answer for a value that is not there.
func (c *conn) null() {
	if c.protocol == 3 {
		c.out = append(c.out, "_\r\n"...)
		return
	}
	c.out = redcon.AppendNull(c.out)
}

// nullArray is the answer of EXEC when a watched key has changed.
func (c *conn) nullArray() {
	if c.protocol == 3 {
		c.out = append(c.out, "_\r\n"...)
		return
	}
	c.out = append(c.out, "*-1\r\n"...)
}

// mapOf begins a map of n pairs.
func (c *conn) mapOf(n int) {
	if c.protocol == 3 {
		c.head('%', n)
		return
	}
	c.array(2 * n)
}

// setOf begins a set of n members.
func (c *conn) setOf(n int) {
	if c.protocol == 3 {
		c.head('~', n)
		return
	}
	c.array(n)
}

// text is a bulk that is meant for people.
func (c *conn) text(s string) {
	if c.protocol != 3 {
		c.bulkText(s)
		return
	}
	c.head('=', len(s)+4)
	c.out = append(c.out, "txt:"...)
	c.out = append(c.out, s...)
	c.out = append(c.out, "\r\n"...)
}

func (c *conn) head(kind byte, n int) {
	c.out = append(c.out, kind)
	c.out = strconv.AppendInt(c.out, int64(n), 10)
	c.out = append(c.out, "\r\n"...)
}
