//go:build race

package node

import "time"

// testTick is longer under the race detector, where a turn may take tens of milliseconds.
const testTick = 20 * time.Millisecond

// layersCount is few schedules, since each takes seconds.
const layersCount = 3
