package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// keyText is a key in JSON as nodes write it: a byte that is no UTF-8 is the escape of a lone
// surrogate, \udc80 to \udcff, which nodes take for that byte when they read it. encoding/json
// would put U+FFFD in its place, and the key would be another one.
type keyText string

// MarshalJSON implements json.Marshaler.
func (k keyText) MarshalJSON() ([]byte, error) {
	out := []byte{'"'}
	for s := string(k); s != ""; {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			out = append(out, `\udc`...)
			out = strconv.AppendUint(out, uint64(s[0]), 16)
		default:
			quoted, err := json.Marshal(s[:size])
			if err != nil {
				return nil, err
			}
			out = append(out, quoted[1:len(quoted)-1]...)
		}
		s = s[size:]
	}
	return append(out, '"'), nil
}

var errKeyText = errors.New("a key is no JSON text")

// parseKeyText reads a JSON string, quotes included, as MarshalJSON writes it.
func parseKeyText(text []byte) (string, error) {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return "", errKeyText
	}
	var out []byte
	for s := text[1 : len(text)-1]; len(s) > 0; {
		if s[0] != '\\' {
			out, s = append(out, s[0]), s[1:]
			continue
		}
		if len(s) < 2 {
			return "", errKeyText
		}
		if s[1] != 'u' {
			var one string
			if err := json.Unmarshal([]byte{'"', '\\', s[1], '"'}, &one); err != nil {
				return "", errKeyText
			}
			out, s = append(out, one...), s[2:]
			continue
		}
		r, ok := escaped(s)
		if !ok {
			return "", errKeyText
		}
		s = s[6:]
		if low, ok := escaped(s); ok && utf16.IsSurrogate(r) {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				out, s = utf8.AppendRune(out, pair), s[6:]
				continue
			}
		}
		if r >= 0xdc80 && r <= 0xdcff {
			out = append(out, byte(r))
			continue
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out), nil
}

// escaped reads the escape \uXXXX at the beginning of s.
func escaped(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[2:6]), 16, 16)
	return rune(n), err == nil
}
