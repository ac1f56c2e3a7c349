//go:build !linux

package node

import (
	"time"

	"pxkv/node/replica"
)

var processStart = time.Now()

// Clock reads both clocks. Outside Linux leases are measured on Go's monotonic clock, which
// stands still while the system sleeps: run with quorum reads on machines that are suspended.
func Clock() replica.Now { return replica.Now{Boot: bootTime(), WallMS: time.Now().UnixMilli()} }

func bootTime() time.Duration { return time.Since(processStart) }
