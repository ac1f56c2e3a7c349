//go:build !unix

package peer

import "syscall"

const canWriteAtOnce = false

func writeAtOnce(syscall.RawConn, []byte) int { return 0 }
