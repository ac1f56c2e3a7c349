package sim

import (
	"math/rand/v2"
	"time"
)

// drawTurns makes turns seldom and small in a third of the runs, so that much comes together in one
// that has room for little; lets disks stall in a third, behind which little may gather; and lets turns
// panic in a third.
func (o *Options) drawTurns() {
	r := rand.New(rand.NewPCG(o.Seed, 3))
	if r.IntN(3) == 0 {
		o.TurnDelay = time.Duration(1+r.IntN(20)) * time.Millisecond
		o.Limits.ApplyBytes = 1 + r.IntN(200)
		o.Partitions += r.IntN(3)
	}
	if r.IntN(3) == 0 {
		o.Limits.JobBytes = 1 + r.IntN(3000)
		o.Limits.NodeUncommittedBytes = 1 + r.IntN(4000)
		o.SlowDisk = max(o.SlowDisk, 0.02)
	}
	if r.IntN(3) == 0 {
		o.PanicRate = 0.6 * r.Float64()
	}
}
