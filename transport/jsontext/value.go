package jsontext

import (
	"bytes"
	"encoding/base64"
	"errors"

	"pxkv/node/kv"
)

// Why a JSON value is no value of a key.
var (
	// ErrHalfSurrogate is that a string holds what no UTF-8 can express.
	ErrHalfSurrogate = errors.New("half a surrogate pair, which is not text")
	// ErrBinary is that what "$binary" says is not base64.
	ErrBinary = errors.New(`"$binary" is not standard base64 with padding`)
)

var binaryMember = []byte(`{"$binary":`)

// Value makes the value of a JSON value that is not null. It keeps the text of its numbers and the order of
// its members, and shares the text's bytes, which it changes.
func Value(text []byte, at Span) (kv.Value, error) {
	text = at.Of(text)
	if text[0] == '"' {
		data, ok := Unquote(text, false)
		if !ok {
			return kv.Value{}, ErrHalfSurrogate
		}
		return kv.Value{Kind: kv.String, Data: data}, nil
	}
	if at.spaced {
		text = AppendCompact(text[:0], text)
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

var strictBase64 = base64.StdEncoding.Strict()

func binaryValue(text []byte) (kv.Value, error) {
	if text[0] == '"' {
		if inside, ok := Unquote(text, false); ok {
			data := make([]byte, 0, base64.StdEncoding.DecodedLen(len(inside)))
			data, err := strictBase64.AppendDecode(data, inside)
			// What comes back must be what was given: no other bits behind the end, no line ends within.
			if err == nil && base64.StdEncoding.EncodedLen(len(data)) == len(inside) {
				return kv.Value{Kind: kv.Binary, Data: data}, nil
			}
		}
	}
	return kv.Value{}, ErrBinary
}
