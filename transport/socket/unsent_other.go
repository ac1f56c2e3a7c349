//go:build !linux

package socket

import "syscall"

func limitUnsent(int) func(_, _ string, _ syscall.RawConn) error { return nil }
