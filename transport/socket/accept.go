package socket

import (
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"time"
)

const (
	// After an error that will pass, accepting pauses for as long, twice as long each time in a row.
	shortestPause = 5 * time.Millisecond
	longestPause  = time.Second

	// maxRefusing bounds the connections that are being told that they are too many.
	maxRefusing = 64
	// refusalTime and refusalBytes bound how long such a connection may still occupy a file descriptor, and
	// what is taken of it (see Discard, which is more patient).
	refusalTime  = time.Second
	refusalBytes = 64 << 20
)

// lasting are the errors of accept(2) that say something of the listening socket. All others are of one
// connection, or of a system that is short of something.
var lasting = []error{syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK, syscall.EOPNOTSUPP, syscall.EFAULT}

// passes reports whether connections may be accepted again after such an error: out of file descriptors,
// say, of which some will be free soon.
func passes(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	return ok && !slices.Contains(lasting, error(errno))
}

// refuse turns a connection away. l.mu is held.
func (l *Listener) refuse(c net.Conn) {
	if l.opt.Refusal == nil {
		c.Close()
		return
	}
	select {
	case l.refusing <- struct{}{}:
		l.serving.Go(func() {
			say(c, l.opt.Refusal)
			<-l.refusing
		})
	default: // a flood: no time for manners
		c.Close()
	}
}

// say tells a client why its connection is closed. Closing with unread input would reset the connection and
// destroy the words on their way, so the input is read for a moment first.
func say(c net.Conn, words []byte) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(refusalTime))
	if _, err := c.Write(words); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, c, refusalBytes)
	}
}
