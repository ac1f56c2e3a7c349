package jsontext

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

// Writer writes JSON that is made of keys and values into a buffer. When it streams,
// the buffer leaves whenever it reaches flushAt, also in the middle of a value.
type Writer struct {
	Buf []byte    // what has not left; callers append what is between keys and values
	To  io.Writer // nil: keep everything in Buf
	Err error     // the first error of To; later writes do nothing
}

// Key writes a key as a string.
func (w *Writer) Key(key []byte) { w.Buf = AppendString(w.Buf, key) }

// Value writes a value as JSON: text as a string, JSON as it is, bytes as $binary.
func (w *Writer) Value(v *kv.Value) {
	switch v.Kind {
	case kv.JSON:
		compact := compactor{}
		for rest := v.Data; len(rest) > 0; w.Spill() {
			n := min(len(rest), valuePiece)
			if v.ContentType != "" {
				w.Buf = compact.append(w.Buf, rest[:n]) // a raw write keeps its white space
			} else {
				w.Buf = append(w.Buf, rest[:n]...)
			}
			rest = rest[n:]
		}
	case kv.Binary:
		w.Buf = append(w.Buf, `{"$binary":"`...)
		for rest := v.Data; len(rest) > 0; w.Spill() {
			n := min(len(rest), valuePiece)
			w.Buf = base64.StdEncoding.AppendEncode(w.Buf, rest[:n])
			rest = rest[n:]
		}
		w.Buf = append(w.Buf, `"}`...)
	default:
		w.Buf = append(w.Buf, '"')
		for rest := v.Data; len(rest) > 0; w.Spill() {
			n := textPiece(rest)
			w.Buf = appendStringPart(w.Buf, rest[:n])
			rest = rest[n:]
		}
		w.Buf = append(w.Buf, '"')
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

// Spill sends the buffer when it is large enough to leave.
func (w *Writer) Spill() {
	if w.To != nil && len(w.Buf) >= flushAt {
		w.Flush()
	}
}

// Flush sends the buffer.
func (w *Writer) Flush() {
	if w.Err == nil && len(w.Buf) > 0 {
		_, w.Err = w.To.Write(w.Buf)
	}
	w.Buf = w.Buf[:0]
}
