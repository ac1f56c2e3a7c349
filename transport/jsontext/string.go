package jsontext

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// Keys may be any bytes, JSON strings may not. A byte that is not part of valid UTF-8 is
// shown as the escape of the lone surrogate U+DC00 + byte, so 0xFF is "\udcff", in both
// directions. Valid UTF-8 cannot contain surrogates, so no two keys look alike, and a key
// taken from an answer can be sent back as it is. Python knows the scheme as
// "surrogateescape" (PEP 383).
const (
	escapedByteMin = 0xDC80
	escapedByteMax = 0xDCFF
)

const hexDigits = "0123456789abcdef"

// AppendString appends s as a JSON string. Only what JSON requires is escaped.
func AppendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	dst = appendStringPart(dst, s)
	return append(dst, '"')
}

// appendStringPart appends s as a part of a JSON string, without quotes. Parts of one
// string must be cut between characters.
func appendStringPart[T string | []byte](dst []byte, s T) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[from:i]...)
			dst = appendEscape(dst, c)
			i++
			from = i
			continue
		}
		if size := runeLen(s[i:]); size > 0 {
			i += size
			continue
		}
		dst = append(dst, s[from:i]...)
		dst = append(dst, `\udc`...)
		dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		i++
		from = i
	}
	return append(dst, s[from:]...)
}

// runeLen returns the length of the character that s begins with, or 0 when s does not
// begin with valid UTF-8.
func runeLen[T string | []byte](s T) int {
	r, size := utf8.DecodeRuneInString(string(s[:min(len(s), utf8.UTFMax)]))
	if r == utf8.RuneError && size == 1 {
		return 0
	}
	return size
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// Unquote decodes a JSON string, quotes included, in place. With bytesToo, escaped bytes (see
// escapedByteMin) become those bytes. It reports false for any other lone surrogate, which no UTF-8 can
// express.
func Unquote(text []byte, bytesToo bool) ([]byte, bool) {
	inside := text[1 : len(text)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return inside, true
	}
	return unescape(inside, bytesToo)
}

// unescape decodes the inside of a valid JSON string in place: an escape is never shorter
// than what it stands for. The rest is as for Unquote.
func unescape(s []byte, bytesToo bool) ([]byte, bool) {
	out := s[:0]
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++
		switch c = s[i]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(s, i+1)
			i += 4
			switch {
			case !utf16.IsSurrogate(r):
				out = utf8.AppendRune(out, r)
			case bytesToo && escapedByteMin <= r && r <= escapedByteMax:
				out = append(out, byte(r))
			default:
				low, ok := secondHalf(s, i+1)
				pair := utf16.DecodeRune(r, low)
				if !ok || pair == utf8.RuneError {
					return nil, false
				}
				i += 6
				out = utf8.AppendRune(out, pair)
			}
		default: // " \ /
			out = append(out, c)
		}
	}
	return out, true
}

// secondHalf reads the \uXXXX at s[i].
func secondHalf(s []byte, i int) (rune, bool) {
	if len(s)-i < 6 || s[i] != '\\' || s[i+1] != 'u' {
		return 0, false
	}
	return hex4(s, i+2)
}
