package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// quietBurst is how many lines of a kind are written at once: there are that many when each partition
	// has something to say. After them it is one in quietPause, with the number of those left out.
	quietBurst = 100
	quietPause = 5 * time.Second
	// quietKinds bounds the kinds that are told apart; all others together are one.
	quietKinds = 128
)

// quietHandler bounds what a node writes to its log: whoever reaches a port can cause some line or other
// as often as he likes, and it must not fill a disk. Lines are of one kind when they have the same text,
// up to its first digit, and level; what they are about does not matter.
type quietHandler struct {
	slog.Handler
	quiet *quiet
}

// quieted puts that before a handler.
func quieted(h slog.Handler, now func() time.Time) slog.Handler {
	return quietHandler{h, &quiet{now: now, kinds: map[kindOfLine]*linesOfKind{}}}
}

// Handle implements slog.Handler.
func (h quietHandler) Handle(ctx context.Context, r slog.Record) error {
	write, leftOut := h.quiet.admit(r.Level, r.Message)
	if !write {
		return nil
	}
	if leftOut > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("lines_left_out", leftOut))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h quietHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(as), h.quiet}
}

// WithGroup implements slog.Handler.
func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name), h.quiet}
}

type quiet struct {
	now func() time.Time

	mu    sync.Mutex
	kinds map[kindOfLine]*linesOfKind
}

type kindOfLine struct {
	level slog.Level
	text  string
}

type linesOfKind struct {
	room    float64 // how many lines may be written, at the time at
	at      time.Time
	leftOut int
}

// admit reports whether a line is to be written, and how many of its kind were not before it.
func (q *quiet) admit(level slog.Level, text string) (write bool, leftOut int) {
	if i := strings.IndexAny(text, "0123456789"); i >= 0 {
		text = text[:i]
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now, kind := q.now(), kindOfLine{level, text}
	k := q.kinds[kind]
	if k == nil {
		if len(q.kinds) >= quietKinds {
			q.forget(now)
		}
		if len(q.kinds) >= quietKinds {
			kind = kindOfLine{}
			k = q.kinds[kind]
		}
		if k == nil {
			k = &linesOfKind{room: quietBurst, at: now}
			q.kinds[kind] = k
		}
	}
	k.room, k.at = k.roomAt(now), now
	if k.room < 1 {
		k.leftOut++
		return false, 0
	}
	k.room--
	leftOut, k.leftOut = k.leftOut, 0
	return true, leftOut
}

func (k *linesOfKind) roomAt(now time.Time) float64 {
	return min(quietBurst, k.room+float64(now.Sub(k.at))/float64(quietPause))
}

// forget lets go of kinds that may write as much as new ones, and owe no number.
func (q *quiet) forget(now time.Time) {
	for kind, k := range q.kinds {
		if k.leftOut == 0 && k.roomAt(now) == quietBurst {
			delete(q.kinds, kind)
		}
	}
}
