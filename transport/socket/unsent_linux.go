package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func limitUnsent(most int) func(_, _ string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			// A system that cannot do it takes more; nothing else is different then.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, most)
		})
	}
}
