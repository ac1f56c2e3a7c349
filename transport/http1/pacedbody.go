package http1

import (
	"io"
	"time"
)

// pacedBody is the body of a request that net/http reads. It gives the client its time for each next byte,
// and notes when the client has sent all.
type pacedBody struct {
	io.ReadCloser
	conn  *conn
	began time.Time
	grace time.Duration
	rate  int // bytes per second
	taken int // bytes
}

// Read implements io.Reader. It ends in os.ErrDeadlineExceeded when the body is too slow.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.taken += n
	switch err {
	case nil:
		b.limit()
	case io.EOF:
		b.conn.unread.Store(false)
		_ = b.conn.SetReadDeadline(time.Time{}) // left alone it would end the request's context
	}
	return n, err
}

// limit says until when the next byte must be here: a client may lag behind the minimum rate by the grace
// time, so a body takes at most its length over that rate.
func (b *pacedBody) limit() {
	// An error means that the connection is gone, which the next read will say.
	_ = b.conn.SetReadDeadline(b.began.Add(b.grace + time.Duration(b.taken)*time.Second/time.Duration(b.rate)))
}
