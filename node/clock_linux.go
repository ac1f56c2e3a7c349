package node

import (
	"time"

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
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		// Every Linux since 2.6.39 has it; without it no lease could be trusted.
		panic("CLOCK_BOOTTIME cannot be read: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
