package http1

import (
	"io"
	"net"
	"os"
	"syscall"
)

// arrivals hands on what a connection brings: it reads into what room returns and tells got how much
// that was, until room has none, or got wants no more. An error is the connection's.
//
// A Read of package net tries first and waits then, so that on a connection with one request at a
// time every second try is in vain. Here, all reads are one in the eyes of the package. A read that
// does not fill its room has emptied the socket, and what arrives afterwards raises the descriptor's
// event anew (it is edge-triggered, epoll(7)), so that the next try can wait for that. Only an end
// that came together with the last bytes is not seen before a deadline: see abandoned.
//
// Closing the connection waits until room or got return: neither may do it.
func arrivals(c net.Conn, room func() []byte, got func(n int) bool) error {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return plainArrivals(c, room, got)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var buf []byte
	var failed error
	reads, emptied := 0, false
	err = raw.Read(func(fd uintptr) (done bool) {
		for {
			if buf == nil {
				if buf = room(); buf == nil {
					return true
				}
				if emptied {
					emptied = false
					return false
				}
			}
			n, err := syscall.Read(int(fd), buf)
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				return false
			case err != nil:
				failed = os.NewSyscallError("read", err)
				return true
			case n == 0:
				failed = io.EOF
				return true
			}
			reads++
			emptied = n < len(buf) && reads > settled
			buf = nil
			if !got(n) {
				return true
			}
		}
	})
	if failed != nil {
		return failed
	}
	return err
}
