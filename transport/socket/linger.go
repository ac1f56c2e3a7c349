package socket

import (
	"net"
	"time"
)

// A client that is answered before it has sent everything may go on sending and look for the answer only when
// it is done; most libraries do. Closing with unread input would reset the connection and destroy the answer on
// its way, so for a while the rest is taken and thrown away. The bounds are for those that never stop.
const (
	// lingerPause is how long a client may stop in between. Once nothing is unread, closing destroys nothing.
	lingerPause = time.Second
	// lingerTime is how long a client may take in all.
	lingerTime = 10 * time.Second
)

// Discard reads until the other side ends, most bytes were taken, a client has had its time, or it is over. buf
// is where it reads. The caller has ended its own side and closes the connection afterwards.
func Discard(c net.Conn, buf []byte, most int, over func() bool) {
	for end, taken := time.Now().Add(lingerTime), 0; taken < most; {
		until := time.Now().Add(lingerPause)
		if until.After(end) {
			until = end
		}
		if err := c.SetReadDeadline(until); err != nil || over() { // in this order: see Listener.Wake
			return
		}
		n, err := c.Read(buf)
		if taken += n; err != nil {
			return
		}
	}
}
