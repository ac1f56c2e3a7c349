//go:build !race

package node

import "time"

// testTick is short, so that elections and moves take a fraction of a second.
const testTick = 10 * time.Millisecond

// layersCount is how many schedules TestLayers plays.
const layersCount = 16
