package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"pxkv/cmd/pxkv/transfer/rdb"
	"pxkv/node/kv"
)

// maxEntryBytes bounds the text of one pair: an 8 MiB value of which every byte is escaped, and what is known of it.
const maxEntryBytes = 49 << 20

// Reader reads the pairs of a file, one after the other.
type Reader struct {
	Format Format
	next   func() (Entry, error)
	close  func()
}

// Open reads a file that may be compressed. Without a format its content tells; see detect.
func Open(file io.Reader, format Format) (*Reader, error) {
	return open(file, format, maxEntryBytes)
}

func open(file io.Reader, format Format, limit int) (*Reader, error) {
	raw, end, err := decompress(bufio.NewReaderSize(file, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("it is compressed and cannot be read: %w", err)
	}
	in := bufio.NewReaderSize(raw, peeked)
	if mark, _ := in.Peek(3); string(mark) == "\xef\xbb\xbf" { // a byte order mark, as Windows writes it
		_, _ = in.Discard(len(mark))
	}
	if begin, _ := in.Peek(6); rdb.Is(begin) || format == Dump {
		dump, err := rdb.NewReader(in, rdb.Limits{KeyBytes: kv.MaxKeyBytes, ValueBytes: kv.DefaultMaxValueBytes})
		if err != nil {
			end()
			return nil, fmt.Errorf("as a dump of Redis: %w", err)
		}
		return &Reader{Format: Dump, close: end, next: (&dumpEntries{from: dump}).next}, nil
	}
	if format == "" {
		begin, _ := in.Peek(peeked)
		format = detect(begin)
	}
	r := &Reader{Format: format, close: end}
	if format == Lines {
		r.next = (&lineEntries{lines: lines{in: in, limit: limit}}).next
	} else {
		r.next = (&objectEntries{in: in, limit: limit, Place: Place{Line: 1}}).next
	}
	return r, nil
}

// Next returns the next pair. The error is a *Fault for one that cannot be imported, and io.EOF at the end; no other.
func (r *Reader) Next() (Entry, error) { return r.next() }

// Close gives back what decompressing took.
func (r *Reader) Close() { r.close() }

// lines reads lines of any length up to a limit.
type lines struct {
	in    *bufio.Reader
	buf   []byte
	limit int
}

var errTooLong = errors.New("too long")

// next returns a line without its end, which lives until the next call. The error may come with a last line that has
// no end. A line that is too long is read to its end, and left out.
func (l *lines) next() (line []byte, err error) {
	l.buf = l.buf[:0]
	for tooLong := false; ; {
		piece, err := l.in.ReadSlice('\n')
		if tooLong = tooLong || len(l.buf)+len(piece) > l.limit; !tooLong {
			l.buf = append(l.buf, piece...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil && tooLong:
			return nil, errTooLong
		case err != nil && tooLong:
			return nil, errors.Join(errTooLong, err)
		default:
			return bytes.TrimSuffix(bytes.TrimSuffix(l.buf, []byte{'\n'}), []byte{'\r'}), err
		}
	}
}

// lineEntries reads the pairs of a file of lines.
type lineEntries struct {
	lines
	Place
	ended bool
}

func (l *lineEntries) next() (Entry, error) {
	for !l.ended {
		line, err := l.lines.next()
		l.Line++
		l.ended = err != nil && err != errTooLong //nolint:errorlint // a line that is the last one ends the file
		blank := len(bytes.TrimSpace(line)) == 0
		switch {
		case errors.Is(err, errTooLong):
			l.Number++
			return Entry{}, &Fault{Place: l.Place, Why: fmt.Sprintf("it is longer than %d bytes", l.limit)}
		case l.ended && !errors.Is(err, io.EOF):
			l.Number++
			return Entry{}, &Fault{Place: l.Place, Why: torn(err).Error(), Last: true}
		case blank:
			continue
		}
		l.Number++
		return entry(line, l.Place)
	}
	return Entry{}, io.EOF
}

// entry decodes a line that stands at a place.
func entry(line []byte, at Place) (Entry, error) {
	e, err := parseEntry(line)
	if err != nil {
		return e, &Fault{Place: at, Why: err.Error()}
	}
	e.Place = at
	return e, nil
}

// torn says how a file ended too early.
func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file breaks off here")
	}
	return fmt.Errorf("the file cannot be read on: %w", err)
}
