package jsontext

import (
	"errors"
	"fmt"
)

// maxDepth is how deep arrays and objects may nest in a JSON value.
const maxDepth = 1000

// Why a text is not taken.
var (
	// ErrSyntax is that it is no JSON (RFC 8259).
	ErrSyntax = errors.New("not JSON")
	// errTooDeep is that its arrays and objects nest too deep.
	errTooDeep = fmt.Errorf("JSON is nested deeper than %d levels", maxDepth)
)

// nesting is a stack of maxDepth bits: is the level an object?
type nesting struct {
	bits  [(maxDepth + 63) / 64]uint64
	depth int
}

func (n *nesting) push(object bool) error {
	if n.depth == maxDepth {
		return errTooDeep
	}
	bit := uint64(1) << (n.depth % 64)
	if object {
		n.bits[n.depth/64] |= bit
	} else {
		n.bits[n.depth/64] &^= bit
	}
	n.depth++
	return nil
}

func (n *nesting) inObject() bool { return n.bits[(n.depth-1)/64]>>((n.depth-1)%64)&1 == 1 }

// skipValue checks the JSON value that begins at b[i] by RFC 8259 and returns where it
// ends, and whether there is white space inside it outside strings. It neither recurses
// nor allocates. It does not check that strings are UTF-8.
func skipValue(b []byte, i int) (end int, spaced bool, err error) {
	var n nesting
	for {
		// b[i] begins a value.
		if i >= len(b) {
			return i, spaced, ErrSyntax
		}
		switch c := b[i]; c {
		case '{', '[':
			if err := n.push(c == '{'); err != nil {
				return i, spaced, err
			}
			next := skipSpace(b, i+1)
			spaced = spaced || next != i+1
			if i = next; i < len(b) && b[i] == c+2 { // in ASCII } is { + 2, and ] is [ + 2
				break // an empty one: closed below
			}
			if c == '{' {
				if i, err = skipName(b, i, &spaced); err != nil {
					return i, spaced, err
				}
			}
			continue
		case '"':
			i, err = skipString(b, i)
		case 't':
			i, err = skipLiteral(b, i, "true")
		case 'f':
			i, err = skipLiteral(b, i, "false")
		case 'n':
			i, err = skipLiteral(b, i, "null")
		default:
			i, err = skipNumber(b, i)
		}
		if err != nil {
			return i, spaced, err
		}
		if i, err = n.closeLevels(b, i, &spaced); err != nil || n.depth == 0 {
			return i, spaced, err
		}
	}
}

// closeLevels goes on after a value, or at the bracket of an empty array or object: it
// closes all levels that end here, and steps over a comma to where the next value begins.
func (n *nesting) closeLevels(b []byte, i int, spaced *bool) (int, error) {
	for n.depth > 0 {
		next := skipSpace(b, i)
		*spaced = *spaced || next != i
		if i = next; i >= len(b) {
			return i, ErrSyntax
		}
		object := n.inObject()
		switch {
		case b[i] == ',':
			next := skipSpace(b, i+1)
			*spaced = *spaced || next != i+1
			if object {
				return skipName(b, next, spaced)
			}
			return next, nil
		case b[i] == '}' && object, b[i] == ']' && !object:
			n.depth--
			i++
		default:
			return i, ErrSyntax
		}
	}
	return i, nil
}

// skipName steps over a member's name and colon.
func skipName(b []byte, i int, spaced *bool) (int, error) {
	if i >= len(b) || b[i] != '"' {
		return i, ErrSyntax
	}
	i, err := skipString(b, i)
	if err != nil {
		return i, err
	}
	colon := skipSpace(b, i)
	if colon >= len(b) || b[colon] != ':' {
		return colon, ErrSyntax
	}
	next := skipSpace(b, colon+1)
	*spaced = *spaced || colon != i || next != colon+1
	return next, nil
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

func skipLiteral(b []byte, i int, text string) (int, error) {
	if len(b)-i < len(text) || string(b[i:i+len(text)]) != text {
		return i, ErrSyntax
	}
	return i + len(text), nil
}

// skipString steps over the string whose opening quote is b[i].
func skipString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1, nil
		case c < 0x20:
			return i, ErrSyntax
		case c == '\\':
			i++
			if i >= len(b) {
				return i, ErrSyntax
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if _, ok := hex4(b, i+1); !ok {
					return i, ErrSyntax
				}
				i += 4
			default:
				return i, ErrSyntax
			}
		}
	}
	return i, ErrSyntax
}

// hex4 reads four hexadecimal digits at b[i].
func hex4(b []byte, i int) (r rune, ok bool) {
	if len(b)-i < 4 {
		return 0, false
	}
	for _, c := range b[i : i+4] {
		digit := unhex(c)
		if digit > 15 {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

// unhex returns a hexadecimal digit's value, or 255.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// skipNumber steps over -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
func skipNumber(b []byte, i int) (int, error) {
	at := func(i int) byte {
		if i < len(b) {
			return b[i]
		}
		return 0
	}
	digits := func(i int) int {
		for '0' <= at(i) && at(i) <= '9' {
			i++
		}
		return i
	}
	if at(i) == '-' {
		i++
	}
	whole := digits(i)
	if whole == i || at(i) == '0' && whole > i+1 {
		return i, ErrSyntax
	}
	i = whole
	if at(i) == '.' {
		fraction := digits(i + 1)
		if fraction == i+1 {
			return i, ErrSyntax
		}
		i = fraction
	}
	if at(i) == 'e' || at(i) == 'E' {
		i++
		if at(i) == '+' || at(i) == '-' {
			i++
		}
		exponent := digits(i)
		if exponent == i {
			return i, ErrSyntax
		}
		i = exponent
	}
	return i, nil
}

// compactor removes the white space outside strings from valid JSON that comes in pieces.
type compactor struct{ inString, escaped bool }

// append appends a piece without its white space. dst may be piece[:0].
func (c *compactor) append(dst, piece []byte) []byte {
	for _, b := range piece {
		switch {
		case c.escaped:
			c.escaped = false
		case c.inString && b == '\\':
			c.escaped = true
		case b == '"':
			c.inString = !c.inString
		case !c.inString && (b == ' ' || b == '\n' || b == '\t' || b == '\r'):
			continue
		}
		dst = append(dst, b)
	}
	return dst
}

// AppendCompact appends a whole JSON text without white space outside strings.
func AppendCompact(dst, text []byte) []byte { return new(compactor).append(dst, text) }
