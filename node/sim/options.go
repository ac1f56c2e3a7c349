package sim

import (
	"log/slog"
	"math/rand/v2"
	"time"
)

// Options of a run. Probabilities are per message, or per second where it says so.
type Options struct {
	Seed       uint64
	Nodes      int // members at the end; the first bootstraps, the others join
	Partitions int
	Replicas   int
	Clients    int
	Keys       int           // at a time; fresh ones come every KeyLife
	KeyLife    time.Duration //
	Writes     float64       // share of the operations that write
	Plain      bool          // no deadlines and transactions: nothing but writes makes log entries
	Faults     time.Duration // how long they strike
	LogBytes   int64         // small: snapshots happen

	Drop, Duplicate, Slow float64
	SlowDelay             time.Duration
	// Per simulated second, over the whole cluster.
	CrashRate, CutRate, PauseRate, TransferRate, AmbushRate, JumpRate float64
	// Unsynced is how much of what was not synced survives a crash, in percent; -1 draws 0, 50
	// or 100 anew for each crash.
	Unsynced    int
	PowerLoss   float64 // probability of one crash of all nodes at once
	SlowDisk    float64 // probability that an fsync takes up to half a second
	ClockDrift  float64 // largest difference of a clock's rate from 1
	QuorumReads bool
	CacheSize   int

	// Log gets what the nodes log, each line with the virtual time; nil discards it.
	Log *slog.Logger
}

// Draw makes options for a seed: each fault has its own probability, and is often absent, so
// that some runs are about one thing.
func Draw(seed uint64) Options {
	r := rand.New(rand.NewPCG(seed, 1))
	some := func(limit float64) float64 {
		if r.IntN(3) == 0 {
			return 0
		}
		return limit * r.Float64()
	}
	o := Options{
		Seed:         seed,
		Nodes:        3 + r.IntN(2),
		Partitions:   1 + r.IntN(2),
		Replicas:     []int{1, 3, 3, 3, 3}[r.IntN(5)],
		Clients:      3 + r.IntN(3),
		Keys:         2 + r.IntN(3),
		KeyLife:      1500 * time.Millisecond,
		Writes:       []float64{0.55, 0.55, 0.1, 0.01}[r.IntN(4)],
		Faults:       4*time.Second + time.Duration(r.IntN(4))*time.Second,
		LogBytes:     int64(400 + r.IntN(4000)),
		Drop:         some(0.1),
		Duplicate:    some(0.1),
		Slow:         some(0.1),
		SlowDelay:    time.Duration(5+r.IntN(600)) * time.Millisecond,
		CrashRate:    some(1.2),
		CutRate:      some(1.2),
		PauseRate:    some(0.8),
		TransferRate: some(2),
		AmbushRate:   some(0.6),
		Unsynced:     -1,
		PowerLoss:    some(0.3),
		SlowDisk:     some(0.05),
		ClockDrift:   some(0.02),
		QuorumReads:  r.IntN(8) == 0,
		CacheSize:    []int{0, 64, 64, 64}[r.IntN(4)],
		JumpRate:     some(1),
	}
	return o
}

// Ambushes makes options for a run about leaders that lose their followers one by one, and
// hand over at bad moments, on an otherwise good network: where leases are at stake.
func Ambushes(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 2))
	o.Nodes, o.Replicas, o.Partitions = 3, 3, 1
	o.Drop, o.Duplicate, o.Slow, o.SlowDisk, o.PowerLoss = 0, 0, 0, 0, 0
	o.CrashRate, o.CutRate, o.PauseRate = 0, 0, 0
	o.AmbushRate, o.TransferRate = 0.2+0.6*r.Float64(), r.Float64()
	o.Clients, o.Keys = 6, 3
	// A follower that missed a write cannot be elected: let there be few.
	o.Writes, o.Plain = 0.01*r.Float64(), true
	o.LogBytes = 1 << 20
	o.QuorumReads = false
	return o
}
