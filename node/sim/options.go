package sim

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"pxkv/node/kv"
	"pxkv/node/replica"
	"pxkv/persist"
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
	Settle     time.Duration // how long a healed cluster may take to become as its placement wants it
	LogBytes   int64         // small: snapshots happen

	Drop, Duplicate, Slow float64
	SlowDelay             time.Duration
	// Per simulated second, over the whole cluster.
	CrashRate, CutRate, PauseRate, TransferRate, AmbushRate, JumpRate, PanicRate, FlipRate float64
	// Unsynced is how much of what was not synced survives a crash, in percent: 100 is the end of
	// the process alone, less is a power loss; -1 draws 0, 50 or 100 anew for each crash.
	Unsynced    int
	PowerLoss   float64 // probability of one crash of all nodes at once
	SlowDisk    float64 // probability that an fsync takes up to half a second
	ClockDrift  float64 // largest difference of a clock's rate from 1
	QuorumReads bool
	CacheSize   int
	Limits      replica.Limits // of every node's host
	Store       persist.Limits // of every node's store
	TurnDelay   time.Duration  // longest wait for a turn, while more gathers for it

	Snapshots Snapshots
	LateJoin  bool // the last node comes while faults strike

	Burst     float64 // probability that a client sends up to BurstSize operations more at once
	BurstSize int
	Large     float64 // probability that a value is large, up to 1 << (LargeBits-1) bytes
	LargeBits int
	Stale     float64 // probability that a client also reads from any replica
	Disks
	Shutdown
	Links

	Forming
	Compression
	MemoryNodes
	Departures
	Rests
	Moves    Moves
	Replace  int     // how a member comes to be replaced by another of its name; 0: none is
	CopyRate float64 // per second: a disk is copied, and the copy used later
	GiveUps  float64 // probability that a node that starts finds its copy of a partition given up
	Encryption
	Wounds int // how often a member is lost right after another one's copies were given up

	// Log gets what the nodes log, each line with the virtual time; nil discards it.
	Log *slog.Logger
}

// limits are those of a node's host.
func (o *Options) limits() replica.Limits {
	l := o.Limits
	l.LeastLogBytes, l.MostLogBytes = o.LogBytes, o.LogBytes
	return l
}

// snapshotLimits are those that the hosts have, with what is the default filled in.
func (o *Options) snapshotLimits() replica.SnapshotLimits {
	l, _ := o.Limits.Snapshots.WithDefaults()
	return l
}

// small reports whether the state of a partition counts as small.
func (o *Options) small(p kv.PartitionID) bool {
	return o.Moves.stateBytes(p) <= o.snapshotLimits().SmallBytes
}

// Schedule makes options for a seed of a series: most are drawn at large, some are about one thing.
func Schedule(seed uint64) Options {
	switch seed % 16 {
	case 0, 8:
		return Ambushes(seed)
	case 3:
		return Fresh(seed)
	case 4:
		o := Restarts(seed)
		o.drawMemoryNodes()
		return o
	case 6:
		return Leaving(seed)
	case 9:
		return BrokenDisks(seed)
	case 7, 11:
		return Wounds(seed)
	case 13:
		return Copies(seed)
	case 14:
		return Resting(seed)
	case 15:
		return Replacements(seed)
	}
	o := Draw(seed)
	o.drawMemoryNodes()
	return o
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
		TurnDelay:    200 * time.Microsecond,
		Nodes:        3 + r.IntN(2),
		Partitions:   1 + r.IntN(2),
		Replicas:     []int{1, 3, 3, 3, 3}[r.IntN(5)],
		Clients:      3 + r.IntN(3),
		Keys:         2 + r.IntN(3),
		KeyLife:      1500 * time.Millisecond,
		Writes:       []float64{0.55, 0.55, 0.1, 0.01}[r.IntN(4)],
		Faults:       4*time.Second + time.Duration(r.IntN(4))*time.Second,
		Settle:       40 * time.Second,
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
		ClockDrift:   some(0.025), // so two differ by 5 % at most

		QuorumReads: r.IntN(8) == 0,
		CacheSize:   []int{0, 64, 64, 64}[r.IntN(4)],
		JumpRate:    some(1),
		Burst:       some(0.1),
		BurstSize:   []int{4, 16, 48}[r.IntN(3)],
		Large:       some(0.3),
		LargeBits:   []int{8, 12, 15}[r.IntN(3)],
	}
	if r.IntN(2) == 0 {
		o.Limits, o.Store = drawLimits(r), drawStoreLimits(r)
	}
	o.Stale = some(0.5)
	o.drawWide()
	o.drawTurns()
	o.Disks = drawDisks(rand.New(rand.NewPCG(seed, 3)))
	o.Shutdown = drawShutdown(rand.New(rand.NewPCG(seed, 5)))
	o.drawSnapshots()
	o.drawMoves()
	o.drawMembers(rand.New(rand.NewPCG(seed, 7)))
	o.drawForming(rand.New(rand.NewPCG(seed, 8)))
	o.drawFlips()
	o.drawGivenUp()
	o.drawTouch()
	o.drawCompression()
	o.drawEncryption()
	o.drawLinks()
	o.drawRests()
	return o
}

// Ambushes makes options for a run about leaders that lose their followers one by one, and
// hand over at bad moments, on an otherwise good network: where leases are at stake.
func Ambushes(seed uint64) Options {
	o := Draw(seed)
	r := rand.New(rand.NewPCG(seed, 2))
	o.Nodes, o.Replicas, o.Partitions = 3, 3, 1
	o.Drop, o.Duplicate, o.Slow, o.SlowDisk, o.PowerLoss = 0, 0, 0, 0, 0
	o.CrashRate, o.CutRate, o.PauseRate, o.CopyRate, o.FlipRate = 0, 0, 0, 0, 0
	o.Replace, o.Forming = 0, Forming{}
	o.AmbushRate, o.TransferRate = 0.2+0.6*r.Float64(), r.Float64()
	o.Clients, o.Keys = 6, 3
	// A follower that missed a write cannot be elected: let there be few.
	o.Writes, o.Plain, o.Burst = 0.01*r.Float64(), true, 0
	o.LogBytes, o.Disks, o.Shutdown = 1<<20, Disks{}, Shutdown{}
	o.QuorumReads = false
	o.Moves, o.GiveUps = Moves{Limits: o.Moves.Limits}, 0
	return o
}
