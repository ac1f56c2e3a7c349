//go:build !linux

package http1

import (
	"net"
	"testing"
)

func cork(*testing.T, *net.TCPConn) {}
