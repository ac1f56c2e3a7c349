package node

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"pxkv/node/replica"
)

// Clock reads both clocks. Leases are measured on CLOCK_BOOTTIME, which goes on while the
// system is suspended; Go's own monotonic clock stands still then, and a lease would seem to
// last through the sleep.
func Clock() replica.Now {
	return replica.Now{Boot: bootTime(), WallMS: time.Now().UnixMilli()}
}

func bootTime() time.Duration {
	var ts unix.Timespec
	// A raw call: it never waits, and so the scheduler need not hear of it. Every read asks.
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)),
		0); errno != 0 {
		// Every Linux since 2.6.39 has it; without it no lease could be trusted.
		panic("CLOCK_BOOTTIME cannot be read: " + errno.Error())
	}
	return time.Duration(ts.Nano())
}
