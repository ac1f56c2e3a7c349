package http1

import "pxkv/transport/socket"

const (
	// lingerBytes bounds what is taken of a client that was answered before it had sent everything, with 413
	// say, and goes on sending (see socket.Discard): the largest body that any handler here takes has 17 MiB.
	lingerBytes = 64 << 20
	// maxLingering bounds how many connections linger at one time, each with 8 KiB of memory. Others are closed.
	maxLingering = 256
)

// linger ends the answers, and returns when the client has closed the connection, too, or must be cut off.
func (c *conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	select {
	case c.owner.lingers <- struct{}{}:
	default: // a flood
		return
	}
	c.owner.metrics.lingering.Inc()
	socket.Discard(c.Conn, make([]byte, 8<<10), lingerBytes, c.owner.Closing)
	c.owner.metrics.lingering.Dec()
	<-c.owner.lingers
}

// CloseWrite is what net/http calls half a second before Close where it has not read a body to its end, but not in
// all such cases. Nothing is left to be done when Close has returned.
func (c *conn) CloseWrite() error { return c.Close() }
