package socket

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Cork holds back what is written to a connection until its side is ended (CloseWrite), so that the last words and the
// end arrive together: a client that has read the words sees the end before it sends anything more.
func Cork(c net.Conn) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	// Without it they arrive one shortly after the other.
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_CORK, 1) })
}
