package http1

import (
	"context"
	"net/http"
	"sync"
)

// rest are the connections that net/http has.
type rest struct {
	mu    sync.Mutex
	conns map[*conn]struct{}
	gone  chan struct{} // is made by who waits, and closed when there are none
}

// follow is told what becomes of a connection. Its handlers lie between StateNew and StateClosed.
func (r *rest) follow(c *conn, state http.ConnState) {
	switch state {
	case http.StateIdle: // the last answer has left
		c.answering = false
		c.enter(answered)
	case http.StateNew:
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.conns == nil {
			r.conns = map[*conn]struct{}{}
		}
		r.conns[c] = struct{}{}
	case http.StateClosed, http.StateHijacked:
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.conns, c)
		if len(r.conns) == 0 && r.gone != nil {
			close(r.gone)
			r.gone = nil
		}
	}
}

// wake ends the waits for a next request (see conn.wake).
func (r *rest) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.wake()
	}
}

// wait returns nil when there are none, or an error when ctx ends before.
func (r *rest) wait(ctx context.Context) error {
	r.mu.Lock()
	if len(r.conns) == 0 {
		r.mu.Unlock()
		return nil
	}
	gone := make(chan struct{})
	r.gone = gone
	r.mu.Unlock()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
