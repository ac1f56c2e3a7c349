package httpapi

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
func (d *door) watch(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			d.abandoned()
		case <-ctx.Done():
			return
		}
	}
}

// abandoned looks at the requests that were being answered when it looked last.
func (d *door) abandoned() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c, before := range d.open {
		now := c.steps.Load()
		if now%2 == 1 && now == before && hasLeft(c.Conn) {
			c.cancel()
		}
		d.open[c] = now
	}
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
