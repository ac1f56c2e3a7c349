package httpapi

import (
	"strconv"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

// listShape is what a list shows of its items, and how.
type listShape struct {
	keysOnly, valuesOnly bool
	meta                 bool // and what is known of each
	lines                bool // one JSON value a line, in place of one object or array
}

// check refuses what cannot be shown.
func (s listShape) check() error {
	switch {
	case s.keysOnly && s.valuesOnly:
		return invalid("Parameter keys_only does not go with values_only")
	case s.keysOnly && s.meta:
		return invalid("Parameter keys_only does not go with meta, which tells of the values")
	}
	return nil
}

var typeLines = []string{"application/x-ndjson"}

func (s listShape) contentType() []string {
	if s.lines {
		return typeLines
	}
	return typeJSON
}

// array reports whether the list has no names: it is an array then.
func (s listShape) array() bool { return s.keysOnly || s.valuesOnly }

// add writes an item.
func (l *listWriter) add(item *kv.Item) {
	p := &l.pairs
	l.separate()
	l.count++
	switch {
	case l.keysOnly:
		p.Key(item.Key)
	case l.lines && !l.valuesOnly:
		p.Buf = append(p.Buf, `{"key":`...)
		p.Key(item.Key)
		p.Buf = append(p.Buf, ',')
		l.members(item)
		p.Buf = append(p.Buf, '}')
	default:
		if !l.valuesOnly {
			p.Key(item.Key)
			p.Buf = append(p.Buf, ':')
		}
		if !l.meta {
			p.Value(&item.Value)
			break
		}
		p.Buf = append(p.Buf, '{')
		l.members(item)
		p.Buf = append(p.Buf, '}')
	}
	if l.lines {
		p.Buf = append(p.Buf, '\n')
	}
}

// separate writes what stands before an item.
func (l *listWriter) separate() {
	switch p := &l.pairs; {
	case l.lines:
	case l.count > 0:
		p.Buf = append(p.Buf, ',')
	case l.array():
		p.Buf = append(p.Buf, '[')
	default:
		p.Buf = append(p.Buf, '{')
	}
}

// members writes the value, and with meta what is known of it, as members of an object.
func (l *listWriter) members(item *kv.Item) {
	p := &l.pairs
	p.Buf = append(p.Buf, `"value":`...)
	p.Value(&item.Value)
	if !l.meta {
		return
	}
	p.Buf = append(append(append(p.Buf, `,"type":"`...), item.Value.Type()...), '"')
	if item.Value.ContentType != "" {
		p.Buf = jsontext.AppendString(append(p.Buf, `,"content_type":`...), item.Value.ContentType)
	}
	p.Buf = strconv.AppendUint(append(p.Buf, `,"version":`...), item.Version, 10)
	p.Buf = append(append(append(p.Buf, `,"modified":"`...), timestamp(item.Modified)...), '"')
	if item.Deadline != 0 {
		p.Buf = append(append(append(p.Buf, `,"expires":"`...), timestamp(item.Deadline)...), '"')
	}
}

// close ends the list.
func (l *listWriter) close() {
	switch p := &l.pairs; {
	case l.lines:
	case l.count == 0 && l.array():
		p.Buf = append(p.Buf, "[]"...)
	case l.count == 0:
		p.Buf = append(p.Buf, "{}"...)
	case l.array():
		p.Buf = append(p.Buf, ']')
	default:
		p.Buf = append(p.Buf, '}')
	}
}
