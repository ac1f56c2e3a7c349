package transfer

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"pxkv/cmd/pxkv/transfer/rdb"
	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

// Entry is one pair of a file. Its bytes live until the next one is read.
type Entry struct {
	Key     []byte
	Value   kv.Value
	Expires int64 // Unix milliseconds after which the pair is gone; 0 is never
	// Raw says that no JSON body of a call says what the pair is: the JSON of its value is that of bytes, or is too
	// long.
	Raw bool
	// Database and Type are of a key of a dump. Only a string has a value here.
	Database uint64
	Type     rdb.Type
	Place
}

// Place is where a pair stands in its file.
type Place struct {
	Line   int // the line in which it begins, from 1; 0 in a file that has none
	Number int // the how many-th pair it is, from 1; good and bad ones count
}

// Fault is what stands in a file and cannot be imported.
type Fault struct {
	Place
	Why  string
	Last bool // nothing behind it can be read
}

// Error implements error.
func (f *Fault) Error() string {
	text := fmt.Sprintf("pair %d: %s", f.Number, f.Why)
	if f.Line > 0 {
		text = fmt.Sprintf("line %d, %s", f.Line, text)
	}
	if f.Last {
		text += "; what is behind it cannot be read"
	}
	return text
}

var (
	errNotUTF8 = errors.New("it is no UTF-8")
	errNotJSON = errors.New("it is no JSON")
)

// members are those of a line, by where they lie in it.
type members struct{ key, value, kind, expires, contentType, ttl jsontext.Span }

// readMembers finds the members of a line. Of members of one name the last counts, as for a node.
func readMembers(line []byte) (m members, err error) {
	object, err := jsontext.Document(line, func(name []byte, at jsontext.Span) {
		switch string(name) {
		case "key":
			m.key = at
		case "value":
			m.value = at
		case "type":
			m.kind = at
		case "expires":
			m.expires = at
		case "content_type":
			m.contentType = at
		case "ttl":
			m.ttl = at
		}
	})
	switch {
	case err == nil && !object:
		return m, errors.New(`it is no object like {"key":"k","value":"v"}`)
	case errors.Is(err, jsontext.ErrSyntax) && !utf8.Valid(line):
		return m, errNotUTF8
	case errors.Is(err, jsontext.ErrSyntax):
		return m, errNotJSON
	}
	return m, err
}

// parseEntry decodes a line in place.
func parseEntry(line []byte) (e Entry, err error) {
	m, err := readMembers(line)
	switch {
	case err != nil:
		return e, err
	case m.key.End == 0:
		return e, errors.New(`it has no "key"`)
	case line[m.key.Begin] != '"':
		return e, errors.New(`its "key" is no string`)
	case m.value.End == 0:
		return e, errors.New(`it has no "value"`)
	case line[m.value.Begin] == 'n':
		return e, errors.New("its value is null, which no key can hold")
	case m.ttl.End > 0:
		return e, errors.New(`it has a "ttl", which means nothing in a file: give the moment, as "expires"`)
	}
	var ok bool
	if e.Key, ok = jsontext.Unquote(m.key.Of(line), true); !ok {
		return e, errors.New("its key holds half a surrogate pair, which is not text")
	}
	if err := kv.ValidateKey(e.Key); err != nil {
		return e, err
	}
	return e, e.setValue(line, &m)
}

// setValue takes the value and what is known of it.
func (e *Entry) setValue(line []byte, m *members) (err error) {
	if looksLikeBytes(m.value.Of(line)) && string(m.kind.Of(line)) == `"object"` {
		e.Value, e.Raw = kv.Value{Kind: kv.JSON, Data: jsontext.AppendCompact(nil, m.value.Of(line))}, true
	} else if e.Value, err = jsontext.Value(line, m.value); err != nil {
		return fmt.Errorf("its value: %w", err)
	}
	if n := len(e.Value.Data); n > kv.DefaultMaxValueBytes {
		return fmt.Errorf("its value of %d bytes is larger than the limit of %d bytes", n, kv.DefaultMaxValueBytes)
	}
	if text, ok := text(line, m.contentType); !ok {
		return errors.New(`its "content_type" is no string`)
	} else if len(text) > kv.MaxContentTypeBytes {
		return fmt.Errorf(`its "content_type" is longer than %d bytes`, kv.MaxContentTypeBytes)
	} else if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New(`its "content_type" is no text of printable ASCII`)
	} else {
		e.Value.ContentType = text
	}
	e.Raw = e.Raw || e.tooLong()
	when, ok := text(line, m.expires)
	if !ok || when == "" {
		if m.expires.End > 0 {
			err = errors.New(`its "expires" is no string`)
		}
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, when)
	if err != nil || at.UnixMilli() <= 0 {
		return fmt.Errorf(`its "expires", %q, is no moment like "2026-01-02T03:04:05.678Z"`, when)
	}
	e.Expires = at.UnixMilli()
	return nil
}

// text returns the string that stands at a place, "" when nothing does.
func text(line []byte, at jsontext.Span) (string, bool) {
	if at.End == 0 {
		return "", true
	}
	if line[at.Begin] != '"' {
		return "", false
	}
	inside, ok := jsontext.Unquote(at.Of(line), false)
	return string(inside), ok
}
