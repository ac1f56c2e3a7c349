package transfer

import "bufio"

// Element follows one JSON value, byte by byte, to its end: of its string, of its last bracket, or where something
// separates it from what comes next. Whether it is JSON is for others. The zero Element is before the first byte.
type Element struct {
	depth           int  // brackets that are open
	inside, escaped bool // within a string; behind its backslash
}

// Take takes the next byte of the value, which was read from in. Where only the byte behind tells whether the value has
// ended it looks at that one, and leaves it there. An error is in's.
func (e *Element) Take(c byte, in *bufio.Reader) (ended bool, err error) {
	switch {
	case e.escaped:
		e.escaped = false
	case e.inside && c == '\\':
		e.escaped = true
	case c == '"':
		e.inside = !e.inside
	case e.inside:
	case c == '{' || c == '[':
		e.depth++
	case c == '}' || c == ']':
		e.depth--
	}
	switch {
	case e.depth != 0 || e.inside:
		return false, nil
	case c == '"' || c == '}' || c == ']':
		return true, nil
	}
	// A number or a word ends before the next separator.
	next, err := in.Peek(1)
	return err == nil && (next[0] == ',' || next[0] == '}' || next[0] == ']' || next[0] <= ' '), err
}
