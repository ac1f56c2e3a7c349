package gossip

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxLimited is how many different things a limiter tells apart before it starts anew.
const maxLimited = 256

// limiter lets the same thing through once per interval, so that what others do at will,
// like knocking at the wrong cluster's door, does not fill the log.
type limiter struct {
	interval time.Duration

	mu   sync.Mutex
	last map[string]time.Time
}

func newLimiter(interval time.Duration) *limiter {
	return &limiter{interval: interval, last: make(map[string]time.Time)}
}

func (l *limiter) allow(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if last, ok := l.last[what]; ok && now.Sub(last) < l.interval {
		return false
	}
	if len(l.last) >= maxLimited {
		clear(l.last)
	}
	l.last[what] = now
	return true
}

// logWriter takes memberlist's log lines, "[LEVEL] memberlist: text", into slog. Its errors
// and warnings become warnings, and of one kind no more than one per interval: to memberlist
// a peer that is down or an unwanted packet is an error each time.
type logWriter struct {
	log     *slog.Logger
	limiter *limiter
	quiet   atomic.Bool // at shutdown it complains of closed sockets
}

// Write implements io.Writer for log.Logger, which calls it once per line.
func (w *logWriter) Write(line []byte) (int, error) {
	level, text := splitLine(line)
	serious := level == "WARN" || level == "ERR" || level == "ERROR"
	// What our own delegate refuses it logs itself, and better.
	if serious && !w.quiet.Load() && !strings.HasPrefix(text, "ignoring alive message") &&
		w.limiter.allow(kindOf(text)) {
		w.log.Warn("memberlist: " + text)
	} else {
		w.log.Debug("memberlist: " + text)
	}
	return len(line), nil
}

func splitLine(line []byte) (level, text string) {
	line = bytes.TrimSpace(line)
	if rest, ok := bytes.CutPrefix(line, []byte("[")); ok {
		if l, t, ok := bytes.Cut(rest, []byte("] ")); ok {
			level, line = string(l), t
		}
	}
	return level, string(bytes.TrimPrefix(line, []byte("memberlist: ")))
}

// kindOf returns the words of text that do not change from one peer to the next: those
// before the first that holds a digit or a quote, three at least.
func kindOf(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		if i >= 3 && strings.ContainsAny(w, `0123456789"'`) {
			words = words[:i]
			break
		}
	}
	return strings.Join(words, " ")
}
