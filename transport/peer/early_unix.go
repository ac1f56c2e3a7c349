//go:build unix

package peer

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const canWriteAtOnce = true

// writeAtOnce writes what fits without waiting, and returns how much that was. An error is
// left to the next write to find.
func writeAtOnce(raw syscall.RawConn, b []byte) (n int) {
	_ = raw.Write(func(fd uintptr) bool {
		// The sockets of package net do not block.
		n, _ = unix.Write(int(fd), b)
		return true
	})
	return max(n, 0)
}
