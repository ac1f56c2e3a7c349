package httpapi

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"pxkv/node/kv"
)

// pairBody is the decoded body of PUT /kv or DELETE /kv.
type pairBody struct {
	key      []byte // nil when it is absent or no string
	value    kv.Value
	hasValue bool // there is a value and it is not null
	expiry   kv.Expiry
	wrongTTL error // what is wrong with its "ttl", if anything
}

// span is a JSON value inside a body.
type span struct {
	begin, end int
	spaced     bool // has white space to remove
}

// parsePairBody decodes {"key":..., "value":...}. Of members of the same name the last
// counts, unknown members are ignored, and the value keeps the text of its numbers and
// the order of its members. The result shares body's bytes, which it changes.
func parsePairBody(body []byte) (p pairBody, err error) {
	if !utf8.Valid(body) {
		return p, errInvalidJSON
	}
	key, value, err := p.scan(body)
	if err == errTooDeep {
		return p, err
	}
	if err != nil {
		return p, errInvalidJSON
	}
	if value.end > 0 && body[value.begin] != 'n' {
		p.hasValue = true
		if p.value, err = valueOf(body, value); err != nil {
			return p, err
		}
	}
	if key.end > 0 && body[key.begin] == '"' {
		var ok bool
		if p.key, ok = unquote(body[key.begin:key.end], true); !ok {
			return p, invalid("The key holds half a surrogate pair, which is not text")
		}
	}
	return p, nil
}

// scan checks the whole body and finds the last key and the last value. A span's end is 0
// when there is none.
func (p *pairBody) scan(body []byte) (key, value span, err error) {
	i := skipSpace(body, 0)
	if i >= len(body) || body[i] != '{' {
		return key, value, wholeValue(body, i)
	}
	var ttl span
	end, err := eachMember(body, i, func(name string, at span) error {
		switch name {
		case "key":
			key = at
		case "value":
			value = at
		case "ttl":
			ttl = at
		}
		return nil
	})
	if err == nil {
		err = onlySpace(body, end)
	}
	if err == nil && ttl.end > 0 {
		p.expiry, p.wrongTTL = ttlMember(body[ttl.begin:ttl.end])
	}
	return key, value, err
}

// eachMember calls f for each member of the object that begins at body[i], and returns where the
// object ends. Names that memberName does not know are empty.
func eachMember(body []byte, i int, f func(name string, at span) error) (end int, err error) {
	i = skipSpace(body, i+1)
	if i < len(body) && body[i] == '}' {
		return i + 1, nil
	}
	for {
		name := i
		var ignored bool
		if i, err = skipName(body, i, &ignored); err != nil {
			return i, err
		}
		at := span{begin: i}
		if at.end, at.spaced, err = skipValue(body, i); err != nil {
			return i, err
		}
		if err = f(memberName(body[name:i]), at); err != nil {
			return i, err
		}
		i = skipSpace(body, at.end)
		if i >= len(body) || body[i] != ',' && body[i] != '}' {
			return i, errSyntax
		}
		if body[i] == '}' {
			return i + 1, nil
		}
		i = skipSpace(body, i+1)
	}
}

// memberName returns which of the known members begins with this text (name, colon and
// space), or "".
func memberName(b []byte) string {
	end, _ := skipString(b, 0)
	name := b[1 : end-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name, _ = unescape(bytes.Clone(name), true)
	}
	switch string(name) {
	case "key":
		return "key"
	case "value":
		return "value"
	case "ttl":
		return "ttl"
	case "op":
		return "op"
	case "ops":
		return "ops"
	case "if_version":
		return "if_version"
	}
	return ""
}

// wholeValue checks that body is one JSON value from i on. Such a body is JSON without a
// key, unless it is an object.
func wholeValue(body []byte, i int) error {
	end, _, err := skipValue(body, i)
	if err != nil {
		return err
	}
	return onlySpace(body, end)
}

func onlySpace(body []byte, i int) error {
	if skipSpace(body, i) != len(body) {
		return errSyntax
	}
	return nil
}

// unquote decodes a JSON string in place.
func unquote(text []byte, bytesToo bool) ([]byte, bool) {
	inside := text[1 : len(text)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return inside, true
	}
	return unescape(inside, bytesToo)
}

var binaryMember = []byte(`{"$binary":`)

// valueOf makes the value of a JSON text that is not null.
func valueOf(body []byte, at span) (kv.Value, error) {
	text := body[at.begin:at.end]
	if text[0] == '"' {
		data, ok := unquote(text, false)
		if !ok {
			return kv.Value{}, invalid(`The value holds half a surrogate pair, which is not text: send bytes as {"$binary":"<base64>"}`)
		}
		return kv.Value{Kind: kv.String, Data: data}, nil
	}
	if at.spaced {
		text = appendCompact(text[:0], text)
	}
	if bytes.HasPrefix(text, binaryMember) {
		inside := text[len(binaryMember) : len(text)-1]
		// Exactly that one member: with more it is an object like any other.
		if end, _, err := skipValue(inside, 0); err == nil && end == len(inside) {
			return binaryValue(inside)
		}
	}
	return kv.Value{Kind: kv.JSON, Data: text}, nil
}

func binaryValue(text []byte) (kv.Value, error) {
	if text[0] == '"' {
		if inside, ok := unquote(text, false); ok {
			if data, err := base64.StdEncoding.AppendDecode(make([]byte, 0, base64.StdEncoding.DecodedLen(len(inside))), inside); err == nil {
				return kv.Value{Kind: kv.Binary, Data: data}, nil
			}
		}
	}
	return kv.Value{}, invalid(`The value's "$binary" is not standard base64 with padding`)
}
