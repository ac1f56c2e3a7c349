package sim

import (
	"math/rand/v2"
	"time"
)

// drawWide makes one run in eight one of a larger cluster: more nodes, from two to five replicas,
// more partitions.
func (o *Options) drawWide() {
	r := rand.New(rand.NewPCG(o.Seed, 4))
	if r.IntN(8) != 0 {
		return
	}
	o.Nodes = 4 + r.IntN(4)
	o.Replicas = []int{2, 3, 4, 5, 5}[r.IntN(5)]
	o.Partitions = 1 + r.IntN(8)
	o.Clients = 6
}

// Long makes options for a soak: minutes of faults that come seldom.
func Long(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 5))
	o.Faults = time.Duration(2*60+r.IntN(4*60)) * time.Second
	// A learner that failed again and again waits for up to a quarter of an hour.
	o.Settle = 20 * time.Minute
	// A store that is never compacted becomes slow in such a time. A compaction writes when it likes,
	// so no write of it may be the last.
	o.Disks = Disks{Compacts: true}
	for _, rate := range []*float64{
		&o.CrashRate, &o.CutRate, &o.PauseRate, &o.TransferRate, &o.AmbushRate, &o.JumpRate, &o.FlipRate,
	} {
		*rate *= 0.3 * r.Float64()
	}
	return o
}
