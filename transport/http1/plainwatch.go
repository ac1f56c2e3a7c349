package http1

import (
	"context"
	"net"
	"syscall"
	"time"
)

// watchInterval is how often watch looks whether clients are still there.
const watchInterval = 250 * time.Millisecond

// watch ends the context of plain requests whose client has gone, until ctx ends. net/http
// reads in the background of each request for that; but nearly all requests are answered
// long before anybody could give up, so here only the slow ones are looked at.
func (s *plainServer) watch(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if s.abandoned() > 0 {
			continue
		}
		ticker.Stop()
		select {
		case <-s.opened:
			ticker.Reset(watchInterval)
		case <-ctx.Done():
			return
		}
	}
}

// glance is what watch remembers of a connection.
type glance struct {
	progress uint64 // conn.progress
	looked   bool   // since then it was seen to be there
}

// abandoned looks at the requests that were being answered when it looked last, and once at
// connections that have been idle since: an end that came together with the last request raises
// no event of its own (see arrivals). It returns how many connections there are.
func (s *plainServer) abandoned() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, before := range s.open {
		now := glance{progress: c.progress.Load()}
		switch answering := now.progress%2 == 1; {
		case now.progress != before.progress:
		case answering:
			if hasLeft(c.Conn) {
				c.cancel()
			}
		case before.looked:
			now.looked = true
		default:
			now.looked = true
			if hasLeft(c.Conn) {
				_ = c.SetReadDeadline(time.Unix(1, 0)) // wakes its goroutine, which closes it
			}
		}
		s.open[c] = now
	}
	return len(s.open)
}

// hasLeft reports whether the other side has closed the connection, without taking anything
// from it. Behind the next request, sent ahead, the end is not seen.
func hasLeft(c net.Conn) (left bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) { left = endOfStream(fd) })
	return left || err != nil
}
