package httpapi

import (
	"encoding/base64"
	"io"
	"unicode/utf8"

	"pxkv/node/kv"
)

const (
	// flushAt is the size of the pieces in which a streamed answer leaves.
	flushAt = 32 << 10
	// valuePiece is how much of a value is encoded at a time; a multiple of 3 for base64.
	valuePiece = 24 << 10
)

// pairWriter writes JSON answers made of keys and values into a buffer. When it streams,
// the buffer leaves whenever it reaches flushAt, also in the middle of a value.
type pairWriter struct {
	buf []byte
	w   io.Writer // nil: keep everything in buf
	err error     // the first error of w; later writes do nothing
}

func (p *pairWriter) key(key []byte) { p.buf = appendString(p.buf, key) }

// value writes a value as JSON: text as a string, JSON as it is, bytes as $binary.
func (p *pairWriter) value(v *kv.Value) {
	switch v.Kind {
	case kv.JSON:
		compact := compactor{}
		for rest := v.Data; len(rest) > 0; p.spill() {
			n := min(len(rest), valuePiece)
			if v.ContentType != "" {
				p.buf = compact.append(p.buf, rest[:n]) // a raw write keeps its white space
			} else {
				p.buf = append(p.buf, rest[:n]...)
			}
			rest = rest[n:]
		}
	case kv.Binary:
		p.buf = append(p.buf, `{"$binary":"`...)
		for rest := v.Data; len(rest) > 0; p.spill() {
			n := min(len(rest), valuePiece)
			p.buf = base64.StdEncoding.AppendEncode(p.buf, rest[:n])
			rest = rest[n:]
		}
		p.buf = append(p.buf, `"}`...)
	default:
		p.buf = append(p.buf, '"')
		for rest := v.Data; len(rest) > 0; p.spill() {
			n := textPiece(rest)
			p.buf = appendStringPart(p.buf, rest[:n])
			rest = rest[n:]
		}
		p.buf = append(p.buf, '"')
	}
}

// textPiece returns where to cut a text so that no character is cut.
func textPiece(s []byte) int {
	if len(s) <= valuePiece {
		return len(s)
	}
	n := valuePiece
	for back := 0; back < utf8.UTFMax && !utf8.RuneStart(s[n]); back++ {
		n--
	}
	return n
}

// spill sends the buffer when it is large enough to leave.
func (p *pairWriter) spill() {
	if p.w != nil && len(p.buf) >= flushAt {
		p.flush()
	}
}

// flush sends the buffer.
func (p *pairWriter) flush() {
	if p.err == nil && len(p.buf) > 0 {
		_, p.err = p.w.Write(p.buf)
	}
	p.buf = p.buf[:0]
}
