package transfer

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

// Lister is asked for lists.
type Lister interface {
	// List answers GET /kv with these parameters: it returns the body of a 200. Asked again, it may ask another node.
	List(ctx context.Context, query url.Values) (io.ReadCloser, error)
}

// Export writes the pairs of a cluster into a file.
type Export struct {
	From     Lister
	Query    url.Values // which pairs
	Format   Format
	Progress func(Progress)
	Once     bool          // a list that broke off is not asked for again
	Pause    time.Duration // before a list that broke off is asked for again; grows. 0 is 100 ms
}

// Exported is what was written.
type Exported struct {
	Pairs        int
	Deadlines    int // pairs that have one
	ContentTypes int // pairs that have one
	// Lookalikes are JSON objects that are written as bytes are, as {"$binary":"..."}: by their type alone the two
	// can be told apart.
	Lookalikes int
}

// mostTries is how often in a row a list may break off without having brought a pair.
const mostTries = 5

// OutputError is that what was read could not be written.
type OutputError struct{ Err error }

// Error implements error.
func (e *OutputError) Error() string {
	return fmt.Sprintf("cannot write what the node sends: %v", e.Err)
}

// Unwrap gives errors.Is the cause.
func (e *OutputError) Unwrap() error { return e.Err }

// Run writes all pairs to w. When the list breaks off it goes on behind the last pair that it has whole. With an error,
// what was written is not all: of one object, its end is missing.
func (x *Export) Run(ctx context.Context, w io.Writer) (Exported, error) {
	r := &exporting{Export: x, out: bufio.NewWriterSize(w, 64<<10), tell: teller{tell: x.Progress}}
	pause := cmp.Or(x.Pause, 100*time.Millisecond)
	for tries, wait := 1, pause; ; tries++ {
		before := r.done.Pairs
		err := r.list(ctx)
		if err == nil {
			break
		}
		if r.done.Pairs > before {
			tries, wait = 1, pause
		}
		_, output := errors.AsType[*OutputError](err)
		if output || r.Once || r.last == nil || tries >= mostTries || ctx.Err() != nil {
			r.out.Flush() // the other error counts
			return r.done, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			wait *= 2
		}
	}
	r.end()
	if err := r.out.Flush(); err != nil {
		return r.done, &OutputError{err}
	}
	return r.done, nil
}

// exporting is an export that runs.
type exporting struct {
	*Export
	out   *bufio.Writer
	tell  teller
	bytes int64
	done  Exported
	last  []byte // the key of the last pair written; nil before the first
}

// list asks for what is behind the last pair, and writes it.
func (r *exporting) list(ctx context.Context) error {
	query := maps.Clone(r.Query)
	if query == nil {
		query = url.Values{}
	}
	query.Set("meta", "true")
	query.Set("format", string(Lines))
	if r.last != nil {
		query.Set("from", behind(r.last))
	}
	body, err := r.From.List(ctx, query)
	if err != nil {
		return err
	}
	defer body.Close()
	in := lines{in: bufio.NewReaderSize(body, 64<<10), limit: maxEntryBytes}
	for {
		line, err := in.next()
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF // half a line
		case err != nil:
			return err
		}
		if err := r.pair(line); err != nil {
			return err
		}
	}
}

// behind returns the key that comes next after another one, or itself when there can be none that is so long.
func behind(key []byte) string {
	if len(key) < kv.MaxKeyBytes {
		return string(key) + "\x00"
	}
	return string(key)
}

// pair writes one, unless it was written already.
func (r *exporting) pair(line []byte) error {
	m, err := readMembers(line)
	if err == nil && (m.key.End == 0 || m.value.End == 0 || line[m.key.Begin] != '"') {
		err = errors.New("it is no pair")
	}
	if err != nil {
		return fmt.Errorf("a line of the list is not what a pxkv node says: %w", err)
	}
	key, ok := jsontext.Unquote(bytes.Clone(m.key.Of(line)), true)
	if !ok {
		return errors.New("a key of the list is no text")
	}
	if r.last != nil && bytes.Compare(key, r.last) <= 0 {
		return nil // the list may begin with it, after it broke off
	}
	if err := r.write(line, &m); err != nil {
		return &OutputError{err}
	}
	r.last = append(r.last[:0], key...)
	r.done.Pairs++
	if m.expires.End > 0 {
		r.done.Deadlines++
	}
	if m.contentType.End > 0 {
		r.done.ContentTypes++
	}
	if string(m.kind.Of(line)) == `"object"` && looksLikeBytes(m.value.Of(line)) {
		r.done.Lookalikes++
	}
	r.bytes += int64(len(line))
	r.tell.at(r.done.Pairs, r.bytes)
	return nil
}

// write writes a pair in the file's format. One object has a pair a line, too.
func (r *exporting) write(line []byte, m *members) error {
	if r.Format == Lines {
		r.out.Write(line)
		return r.out.WriteByte('\n') // a bufio.Writer keeps its first error
	}
	separator := ",\n"
	if r.done.Pairs == 0 {
		separator = "{\n"
	}
	r.out.WriteString(separator)
	r.out.Write(m.key.Of(line))
	r.out.WriteString(": ")
	_, err := r.out.Write(m.value.Of(line))
	return err
}

// end closes the object.
func (r *exporting) end() {
	switch {
	case r.Format == Lines:
	case r.done.Pairs == 0:
		r.out.WriteString("{}\n")
	default:
		r.out.WriteString("\n}\n")
	}
}
