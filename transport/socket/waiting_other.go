//go:build !unix

package socket

import "net"

// isWaiting says no: there is no way to know.
func isWaiting(net.Listener) bool { return false }
