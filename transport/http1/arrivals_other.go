//go:build !linux

package http1

import "net"

func arrivals(c net.Conn, room func() []byte, got func(n int) bool) error {
	return plainArrivals(c, room, got)
}
