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
	if inside := insideBinary(text); inside != nil {
		return binaryValue(inside)
	}
	return kv.Value{Kind: kv.JSON, Data: text}, nil
}

// insideBinary is the value of the member $binary of an object without white space that has exactly that one; nil of
// all others.
func insideBinary(text []byte) []byte {
	inside, ok := bytes.CutPrefix(text, []byte(`{"$binary":`))
	if !ok {
		if inside = behindEscapedName(text, "$binary"); inside == nil {
			return nil
		}
	}
	inside = inside[:len(inside)-1]
	if end, _, err := skipValue(inside, 0); err != nil || end != len(inside) {
		return nil
	}
	return inside
}

// behindEscapedName is what stands behind the first name of an object and its colon, when that is written with escapes.
func behindEscapedName(text []byte, name string) []byte {
	longest := len(name)*len(`\u0000`) + len(`{""`)
	if !bytes.HasPrefix(text, []byte(`{"`)) || !bytes.Contains(text[:min(len(text), longest)], []byte{'\\'}) {
		return nil
	}
	end, _, err := skipValue(text, 1)
	if err != nil {
		return nil
	}
	if is, ok := Unquote(bytes.Clone(text[1:end]), false); !ok || string(is) != name {
		return nil
	}
	return text[end+1:]
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
