package node

import (
	"context"
	"time"
)

// passes waits for d, and reports whether it is over: false when ctx ends before.
func passes(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
