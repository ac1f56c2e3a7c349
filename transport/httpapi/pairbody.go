package httpapi

import (
	"errors"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

// pairBody is the decoded body of PUT /kv or DELETE /kv.
type pairBody struct {
	key      []byte // nil when it is absent or no string
	value    kv.Value
	hasValue bool // there is a value and it is not null
	expiry   kv.Expiry
	wrongTTL error // what is wrong with its "ttl", if anything
}

// parsePairBody decodes {"key":..., "value":...}. Of members of the same name the last
// counts, unknown members are ignored, and the value keeps the text of its numbers and
// the order of its members. The result shares body's bytes, which it changes.
func parsePairBody(body []byte) (p pairBody, err error) {
	var key, value, ttl jsontext.Span
	if _, err = jsontext.Document(body, func(name []byte, at jsontext.Span) {
		switch string(name) {
		case "key":
			key = at
		case "value":
			value = at
		case "ttl":
			ttl = at
		}
	}); err != nil {
		return p, refusalOfJSON(err)
	}
	if ttl.End > 0 {
		p.expiry, p.wrongTTL = ttlMember(ttl.Of(body))
	}
	if value.End > 0 && body[value.Begin] != 'n' {
		p.hasValue = true
		if p.value, err = jsontext.Value(body, value); err != nil {
			return p, refusalOfJSON(err)
		}
	}
	if key.End > 0 && body[key.Begin] == '"' {
		var ok bool
		if p.key, ok = jsontext.Unquote(key.Of(body), true); !ok {
			return p, invalid("The key holds half a surrogate pair, which is not text")
		}
	}
	return p, nil
}

// refusalOfJSON turns an error of package jsontext into what the client sees.
func refusalOfJSON(err error) *refusal {
	switch {
	case errors.Is(err, jsontext.ErrSyntax):
		return errInvalidJSON
	case errors.Is(err, jsontext.ErrHalfSurrogate):
		return invalid(`The value holds %s: send bytes as {"$binary":"<base64>"}`, err)
	case errors.Is(err, jsontext.ErrBinary):
		return invalid("The value's %s", err)
	}
	return invalid("%s", err)
}
