package jsontext

import (
	"bytes"
	"unicode/utf8"
)

// Span is where a JSON value lies in a text. The zero Span is that of no value.
type Span struct {
	Begin, End int
	spaced     bool // has white space to remove
}

// Of returns the value's text.
func (s Span) Of(text []byte) []byte { return text[s.Begin:s.End] }

// Document checks a whole text, and calls f for each member of the object that it is. It reports false
// when the text is a value of another kind.
func Document(text []byte, f func(name []byte, at Span)) (object bool, err error) {
	if !utf8.Valid(text) {
		return false, ErrSyntax
	}
	i := skipSpace(text, 0)
	if object = i < len(text) && text[i] == '{'; object {
		i, err = Members(text, i, f)
	} else {
		i, _, err = skipValue(text, i)
	}
	if err == nil && skipSpace(text, i) != len(text) {
		err = ErrSyntax
	}
	return object, err
}

// Members calls f for each member of the object that begins at text[i], and returns where the object
// ends. Of members of the same name each is told. A name is decoded as keys are, and valid until f
// returns.
func Members(text []byte, i int, f func(name []byte, at Span)) (end int, err error) {
	i = skipSpace(text, i+1)
	if i < len(text) && text[i] == '}' {
		return i + 1, nil
	}
	for {
		name := i
		var ignored bool
		if i, err = skipName(text, i, &ignored); err != nil {
			return i, err
		}
		at := Span{Begin: i}
		if at.End, at.spaced, err = skipValue(text, i); err != nil {
			return i, err
		}
		f(memberName(text[name:i]), at)
		i = skipSpace(text, at.End)
		if i >= len(text) || text[i] != ',' && text[i] != '}' {
			return i, ErrSyntax
		}
		if text[i] == '}' {
			return i + 1, nil
		}
		i = skipSpace(text, i+1)
	}
}

// memberName decodes the name that begins this text (name, colon and space), which stays as it is.
func memberName(text []byte) []byte {
	end, _ := skipString(text, 0)
	name := text[1 : end-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name, _ = unescape(bytes.Clone(name), true)
	}
	return name
}

// Elements calls f with the beginning of each element of an array that was checked already, until f
// returns an error. f may change the bytes of its element.
func Elements(text []byte, array Span, f func(begin int) error) error {
	i := skipSpace(text, array.Begin+1)
	for text[i] != ']' {
		end, _, err := skipValue(text, i)
		if err != nil {
			return err
		}
		next := skipSpace(text, end)
		if text[next] == ',' {
			next = skipSpace(text, next+1)
		}
		if err := f(i); err != nil {
			return err
		}
		i = next
	}
	return nil
}
