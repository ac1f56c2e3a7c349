//go:build unix

package http1

import "golang.org/x/sys/unix"

// endOfStream looks whether nothing will come from a socket any more.
func endOfStream(fd uintptr) bool {
	var b [1]byte
	n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch err {
	case nil:
		return n == 0
	case unix.EAGAIN, unix.EINTR:
		return false
	}
	return true
}
