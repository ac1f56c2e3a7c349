package transfer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// objectEntries reads the pairs of a file that is one JSON object. A value that is no JSON is a fault of its pair;
// where the object itself is broken, nothing behind can be told apart.
type objectEntries struct {
	in    *bufio.Reader
	buf   []byte
	limit int
	Place // Line: of the byte that was read last
	begun bool
	ended bool
	long  bool // the pair is too long: what is beyond the limit is left out
}

func (o *objectEntries) next() (Entry, error) {
	if o.ended {
		return Entry{}, io.EOF
	}
	at, err := o.pair()
	switch {
	case err != nil:
		o.ended = true
		return Entry{}, &Fault{Place: Place{Line: o.Line, Number: o.Number + 1}, Why: err.Error(), Last: true}
	case o.ended:
		return Entry{}, io.EOF
	}
	o.Number++
	at.Number = o.Number
	if o.long {
		return Entry{}, &Fault{Place: at, Why: fmt.Sprintf("it is longer than %d bytes", o.limit)}
	}
	return entry(o.buf, at)
}

// pair puts the next pair into buf, as a line would have it, or sets ended.
func (o *objectEntries) pair() (at Place, err error) {
	c, err := o.separator()
	if err != nil || o.ended {
		return at, err
	}
	if c != '"' {
		return at, fmt.Errorf("found %q where a key should be", c)
	}
	at.Line = o.Line
	o.buf, o.long = append(o.buf[:0], `{"key":`...), false
	if err = o.element(c); err != nil {
		return at, err
	}
	if c, err = o.nonSpace(); err == nil && c != ':' {
		err = fmt.Errorf("found %q behind a key", c)
	}
	if err == nil {
		c, err = o.nonSpace()
	}
	if err != nil {
		return at, err
	}
	switch c {
	case ',', ':', '}', ']':
		return at, fmt.Errorf("found %q where a value should be", c)
	}
	o.buf = append(o.buf, `,"value":`...)
	err = o.element(c)
	o.buf = append(o.buf, '}')
	return at, err
}

// separator reads what stands before a key, and the first byte of the key; or the end.
func (o *objectEntries) separator() (c byte, err error) {
	if c, err = o.nonSpace(); err != nil {
		return c, err
	}
	switch {
	case !o.begun && c != '{':
		return c, fmt.Errorf("found %q where the object of pairs should begin", c)
	case !o.begun:
		o.begun = true
		if c, err = o.nonSpace(); err == nil && c == '}' {
			err = o.end()
		}
		return c, err
	case c == '}':
		return c, o.end()
	case c != ',':
		return c, fmt.Errorf("found %q between two pairs", c)
	}
	return o.nonSpace()
}

// end checks that nothing stands behind the object.
func (o *objectEntries) end() error {
	for {
		c, err := o.byte()
		switch {
		case err == io.EOF: //nolint:errorlint // the reader's own, which is not wrapped
			o.ended = true
			return nil
		case err != nil:
			return torn(err)
		case c == '{':
			return errors.New("a second object begins behind the first; are these lines, to read with --format ndjson?")
		case c > ' ':
			return fmt.Errorf("found %q behind the object of pairs", c)
		}
	}
}

func (o *objectEntries) byte() (byte, error) {
	c, err := o.in.ReadByte()
	if c == '\n' && err == nil {
		o.Line++
	}
	return c, err
}

// nonSpace returns the next byte that is no white space.
func (o *objectEntries) nonSpace() (byte, error) {
	for {
		c, err := o.byte()
		if err != nil {
			return 0, torn(err)
		}
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, nil
		}
	}
}

// element appends the value that begins with c to buf, as far as the limit goes.
func (o *objectEntries) element(c byte) error {
	var value Element
	for {
		if o.long = o.long || len(o.buf) >= o.limit; !o.long {
			o.buf = append(o.buf, c)
		}
		ended, err := value.Take(c, o.in)
		if err == nil && !ended {
			c, err = o.byte()
		}
		switch {
		case err != nil:
			return torn(err)
		case ended:
			return nil
		}
	}
}
