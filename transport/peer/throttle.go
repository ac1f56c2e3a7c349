package peer

import (
	"log/slog"
	"sync"
	"time"
)

const (
	throttleEvery = 30 * time.Second
	throttleKeys  = 128
)

// throttle logs the same complaint at most once in throttleEvery: a misconfigured node
// dials again and again for as long as it runs.
type throttle struct {
	log  *slog.Logger
	mu   sync.Mutex
	seen map[string]time.Time // when a key was logged last; at most throttleKeys
}

func (t *throttle) warn(key, text string, args ...any) {
	now := time.Now()
	t.mu.Lock()
	last, ok := t.seen[key]
	quiet := ok && now.Sub(last) < throttleEvery
	if !quiet {
		if t.seen == nil || len(t.seen) >= throttleKeys {
			t.seen = make(map[string]time.Time) // rather repeat a line than grow
		}
		t.seen[key] = now
	}
	t.mu.Unlock()
	if !quiet {
		t.log.Warn(text, args...)
	}
}
