package httpapi

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"time"

	"pxkv/node/kv"
	"pxkv/transport/jsontext"
)

const (
	// pageBytes is the size at which a page of a limited list ends early, so that it can be
	// kept until its cursor is known.
	pageBytes = 4 << 20
	// pageStep is how much of the budget a growing page takes at a time.
	pageStep = 64 << 10
)

// list answers GET /kv without a key, in the shape that is asked for. With limit it is a page, whose header says
// where the next begins; without, it is
// streamed and only a piece of it is ever held.
func (x *exchange) list(q *query) error {
	if q.has(paramCursor) && !bytes.HasPrefix(q.cursor, q.prefix) {
		return invalid("Parameter cursor does not belong to this prefix")
	}
	if err := q.shape.check(); err != nil {
		return err
	}
	if _, err := x.server.filters.Compile(q.filter); err != nil {
		return err
	}
	if bytes.Compare(q.cursor, q.from) > 0 {
		q.from = q.cursor
	}
	if x.r.Method == http.MethodHead && q.limit == 0 {
		x.w.Header()["Content-Type"] = q.shape.contentType()
		x.sendHeader(http.StatusOK) // no need to walk over the cluster for nobody
		return nil
	}
	ctx, cancel := context.WithCancelCause(kv.WithAccount(x.r.Context(), &x.account))
	defer cancel(nil)
	out := &listWriter{x: x, listShape: q.shape, limit: q.limit, patience: x.timeout(q.timeout)}
	out.timer = time.AfterFunc(out.patience, func() { cancel(context.DeadlineExceeded) })
	defer out.timer.Stop()

	buf := borrow()
	out.pairs.Buf = *buf
	if q.limit == 0 {
		out.pairs.To = out
	}
	err := out.run(ctx, kv.ListQuery{
		Prefix: q.prefix, From: q.from, To: q.to, Filter: q.filter, KeysOnly: q.shape.keysOnly,
		Consistency: q.read.Consistency, Limit: listLimit(q.limit), Progress: out.goesOn,
	})
	*buf = out.pairs.Buf
	giveBack(buf)
	return err
}

// listLimit asks for one item more than a page has: its key is the cursor.
func listLimit(limit int) int {
	if limit == 0 {
		return 0
	}
	return limit + 1
}

// listWriter writes the items of one list.
type listWriter struct {
	x *exchange
	listShape
	pairs jsontext.Writer
	limit int // 0 streams
	count int // items written
	held  int // bytes of the budget taken for a page

	// A list has no time limit as a whole. The timer ends it when the service needs longer
	// than patience for the next piece; it stands still while the client takes one.
	timer    *time.Timer
	patience time.Duration
}

// run writes the whole list. It returns errors from before the answer began; later ones
// break the connection.
func (l *listWriter) run(ctx context.Context, query kv.ListQuery) error {
	next, err := l.items(ctx, query)
	if err == nil && ctx.Err() != nil {
		err = ctx.Err() // a service that just stops when cancelled has not listed all
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		if l.x.status == 0 {
			return err
		}
		level := slog.LevelWarn
		if l.pairs.Err != nil || l.x.r.Context().Err() != nil {
			level = slog.LevelDebug // the client went away, or stopped reading
		}
		l.x.server.log.Log(context.WithoutCancel(ctx), level, "a list broke off", "after_items", l.count, "error", err)
		panic(http.ErrAbortHandler)
	}
	l.close()
	if l.x.status != 0 {
		l.pairs.Flush()
		return nil
	}
	if next != nil {
		l.x.w.Header()["X-Pxkv-Cursor"] = []string{cursorText(next)}
	}
	l.x.w.Header()["Content-Type"] = l.contentType()
	l.x.send(http.StatusOK, l.pairs.Buf)
	return nil
}

// goesOn gives the service new patience: it looks for items, and finds few.
func (l *listWriter) goesOn() { l.timer.Reset(l.patience) }

// items writes the items and returns the key of the first that is not on this page, if any.
func (l *listWriter) items(ctx context.Context, query kv.ListQuery) (next []byte, err error) {
	for item, err := range l.x.server.service.List(ctx, query) {
		if err != nil {
			return nil, err
		}
		full, err := l.pageFull(&item)
		if err != nil {
			return nil, err
		}
		if full {
			return bytes.Clone(item.Key), nil
		}
		l.add(&item)
		if l.pairs.Spill(); l.pairs.Err != nil {
			return nil, l.pairs.Err
		}
	}
	return nil, nil
}

// pageFull reports whether the next item belongs to the next page: by count, by size, or
// because the node holds too much for other requests. A page has at least one item.
func (l *listWriter) pageFull(next *kv.Item) (bool, error) {
	if l.limit == 0 {
		return false, nil
	}
	size := len(l.pairs.Buf)
	need := max(cap(l.pairs.Buf), size+len(next.Key)+len(next.Value.Data))
	for l.held <= need {
		if !l.x.account.Take(pageStep) {
			if l.count == 0 {
				return false, errOverloaded
			}
			return true, nil
		}
		l.held += pageStep
	}
	return l.count == l.limit || l.count > 0 && size >= pageBytes, nil
}

// Write implements io.Writer for pairs: it sends one piece. Before the first an error
// still has a status.
func (l *listWriter) Write(piece []byte) (int, error) {
	if l.x.status == 0 {
		l.x.w.Header()["Content-Type"] = l.contentType()
		l.x.sendHeader(http.StatusOK)
	}
	l.timer.Stop()
	defer l.timer.Reset(l.patience)
	return l.x.w.Write(piece)
}
