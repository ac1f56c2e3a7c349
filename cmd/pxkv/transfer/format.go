package transfer

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"pxkv/transport/jsontext"
)

// Format is how a file holds pairs.
type Format string

const (
	// JSON is one object of pairs.
	JSON Format = "json"
	// Lines is one object a line: key, value, and what is known of the pair.
	Lines Format = "ndjson"
	// Dump is an RDB file of Redis or Valkey. It is only read, and known by its content alone.
	Dump Format = "rdb"
)

// ParseFormat reads the name of one of some formats.
func ParseFormat(text string, of ...Format) (Format, error) {
	var names []string
	for _, f := range of {
		if Format(text) == f {
			return f, nil
		}
		names = append(names, string(f))
	}
	last := len(names) - 1
	return "", fmt.Errorf("a format is %s or %s, not %q", strings.Join(names[:last], ", "), names[last], text)
}

// FormatOf returns the format that a file's name tells, or "".
func FormatOf(name string) Format {
	name = strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(name), ".gz"), ".zst")
	switch filepath.Ext(name) {
	case ".json":
		return JSON
	case ".ndjson", ".jsonl":
		return Lines
	}
	return ""
}

// Compress returns a writer to w that compresses as the file's name says: .gz, .zst, or not at all. Its Close ends the
// compressed stream and leaves w open.
func Compress(w io.Writer, name string) (io.WriteCloser, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".gz":
		return gzip.NewWriter(w), nil
	case ".zst":
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) // it starts no goroutine then
	}
	return plain{w}, nil
}

type plain struct{ io.Writer }

// Close implements io.Closer.
func (plain) Close() error { return nil }

const (
	peeked    = 256 << 10 // bytes of a file that are looked at to find out its format
	maxWindow = 128 << 20 // bytes that a zstd stream may make its reader hold
)

// decompress returns what is in r, whose first bytes say how it is compressed.
func decompress(r *bufio.Reader) (io.Reader, func(), error) {
	begin, _ := r.Peek(4)
	switch {
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case bytes.HasPrefix(begin, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// detect tells the format of a file by its beginning. It is Lines when the first line is a whole object with the
// members "key", a string, and "value", and no other than those of a line; of a line that is longer than what is looked
// at, these two must come first.
func detect(begin []byte) Format {
	line, _, whole := bytes.Cut(bytes.TrimLeft(begin, " \t\r\n"), []byte{'\n'})
	if !whole && len(begin) >= peeked {
		return detectPrefix(line)
	}
	if len(line) == 0 {
		return Lines // an empty file has no pair, which is no mistake in lines
	}
	if len(bytes.TrimSpace(line)) == 0 || line[0] != '{' {
		return JSON
	}
	var key, value, other bool
	object, err := jsontext.Document(line, func(name []byte, at jsontext.Span) {
		switch string(name) {
		case "key":
			key = line[at.Begin] == '"'
		case "value":
			value = true
		case "type", "version", "modified", "expires", "content_type":
		default:
			other = true
		}
	})
	if err == nil && object && key && value && !other {
		return Lines
	}
	return JSON
}

// detectPrefix is detect for the beginning of a long line.
func detectPrefix(line []byte) Format {
	squeezed := jsontext.AppendCompact(nil, line[:min(len(line), 8<<10)])
	rest, ok := bytes.CutPrefix(squeezed, []byte(`{"key":"`))
	for i := 0; ok && i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			if bytes.HasPrefix(rest[i+1:], []byte(`,"value":`)) {
				return Lines
			}
			return JSON
		}
	}
	return JSON
}
