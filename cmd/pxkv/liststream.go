package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"pxkv/cmd/pxkv/transfer"
)

// listStream reads a list as it arrives: a JSON object of pairs, or an array of keys. It holds one
// pair in memory, and keeps the text of keys and values as it came.
type listStream struct {
	in  *bufio.Reader
	buf []byte
}

// maxElement bounds what one key or value may take here in bytes, far above any limit of a node.
const maxElement = 1 << 30

// decodeList calls each for every pair, with a nil value for a key alone, and returns how many
// there were. The texts live until each returns.
func decodeList(r io.Reader, each func(key, value json.RawMessage) error) (n int, err error) {
	s := &listStream{in: bufio.NewReaderSize(r, 64<<10)}
	open, err := s.next()
	if err != nil {
		return 0, err
	}
	if open != '{' && open != '[' {
		return 0, fmt.Errorf("it begins with %q instead of an object; is this the HTTP address of a pxkv node?", open)
	}
	for ; ; n++ {
		c, err := s.next()
		if err != nil {
			return n, err
		}
		switch {
		case c == open+2: // '}' and ']' stand two behind '{' and '[' in ASCII
			return n, nil
		case n > 0 && c == ',':
			if c, err = s.next(); err != nil {
				return n, err
			}
		case n > 0:
			return n, fmt.Errorf("found %q between two pairs", c)
		}
		if c != '"' {
			return n, fmt.Errorf("found %q where a key should be", c)
		}
		s.buf = s.buf[:0]
		if err := s.element(c); err != nil {
			return n, err
		}
		key := len(s.buf)
		if open == '{' {
			if c, err = s.next(); err == nil && c != ':' {
				err = fmt.Errorf("found %q behind a key", c)
			}
			if err == nil {
				c, err = s.next()
			}
			if err == nil {
				err = s.element(c)
			}
			if err != nil {
				return n, err
			}
		}
		var value json.RawMessage
		if open == '{' {
			if value = s.buf[key:]; !json.Valid(value) {
				return n, errors.New("found a value that is no JSON")
			}
		}
		if err := each(s.buf[:key], value); err != nil {
			return n, err
		}
	}
}

// next returns the next byte that is no white space.
func (s *listStream) next() (byte, error) {
	for {
		c, err := s.in.ReadByte()
		if err != nil {
			return 0, whole(err)
		}
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, nil
		}
	}
}

// element appends the JSON value that begins with c to buf.
func (s *listStream) element(c byte) error {
	var value transfer.Element
	for {
		if len(s.buf) == maxElement {
			return errors.New("found a pair that is too long")
		}
		s.buf = append(s.buf, c)
		ended, err := value.Take(c, s.in)
		if err == nil && !ended {
			c, err = s.in.ReadByte()
		}
		switch {
		case err != nil:
			return whole(err)
		case ended:
			return nil
		}
	}
}

// whole turns an end of input inside a list into the error that it is.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
