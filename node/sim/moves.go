package sim

import (
	"math/rand/v2"
	"time"

	"pxkv/node/kv"
	"pxkv/node/rebalance"
)

// Moves is what happens to members, so that replicas and leaderships have to move.
type Moves struct {
	Lose   bool // a member goes down and does not come back, perhaps while it joins
	Return bool // or only when everything has become as it can be without it
	// Flap is how long one member falls again and again, while all others are well. 0: it does not.
	Flap time.Duration
	// Up and Down are how long it runs and how long it is away each time. Stopped: it is the same
	// process, which stands still meanwhile.
	Up, Down time.Duration
	Stopped  bool
	// Together: all members stand still at once, as on one host that is overloaded.
	Together bool
	Limits   rebalance.Limits // of every node
	// StateBytes is what the state of a partition is said to have, times one more than the partition modulo 3. What the
	// store says depends on when it flushes, and no schedule may.
	StateBytes int64
}

// stateBytes is a replica.Config.StateBytes.
func (m *Moves) stateBytes(p kv.PartitionID) int64 { return m.StateBytes * int64(p%3+1) }

// drawMoves adds moves to what was drawn.
func (o *Options) drawMoves() {
	r := rand.New(rand.NewPCG(o.Seed, 6))
	ticks := func(of ...uint64) uint64 { return of[r.IntN(len(of))] }
	o.Moves.Limits = rebalance.Limits{
		Filling: 1 + r.IntN(2), FillTicks: ticks(0, 20, 100), KeepUpTicks: ticks(0, 2, 20),
		// No longer than what a schedule waits for at its end.
		MostSteadyTicks: ticks(28, 60, 120), ForgiveTicks: ticks(0, 100), Stalls: int(ticks(0, 1, 2)),
	}
	x := r.IntN(40)
	l := &o.Moves.Limits
	l.FillingBytes, l.LeastFillingBytes, l.Drifting = int64(ticks(1, 1, 1, 1000)), 400, int(ticks(0, 1, 2))
	o.Moves.StateBytes = int64(ticks(100, 300, 2000))
	switch {
	case x < 8:
		o.Moves.Lose, o.Moves.Return = true, r.IntN(2) == 0
	case x == 8:
		o.drawFlap(r)
	case x == 9:
		o.drawStops(r)
	}
}

// Falls makes options for a run about one member that falls again and again, or all of them together, and nothing else.
func Falls(seed uint64, together bool) Options {
	o := Wounds(seed)
	o.Wounds, o.GiveUps = 0, 0
	r := rand.New(rand.NewPCG(seed, 15))
	if together {
		o.drawStops(r)
	} else {
		o.drawFlap(r)
	}
	return o
}

// drawStops makes the run one in which all members stand still at once, again and again.
func (o *Options) drawStops(r *rand.Rand) {
	o.drawFlap(r)
	o.Moves.Stopped, o.Moves.Together = true, true
	o.Moves.Flap, o.Faults = 26*time.Second, 32*time.Second
	o.Moves.Up = time.Second + time.Duration(r.IntN(2000))*time.Millisecond
}

// drawFlap makes the run one about a member that falls again and again, and nothing else.
func (o *Options) drawFlap(r *rand.Rand) {
	o.CrashRate, o.CutRate, o.PauseRate, o.TransferRate, o.AmbushRate, o.PowerLoss, o.SlowDisk = 0, 0, 0, 0, 0, 0, 0
	o.PanicRate = 0
	o.Drop, o.Slow, o.Duplicate, o.Disks, o.Shutdown = 0, 0, 0, Disks{}, Shutdown{}
	o.PanicRate, o.Shutdown = 0, Shutdown{}
	o.Snapshots, o.LateJoin, o.Partitions = Snapshots{}, false, 1+r.IntN(2)
	o.Nodes, o.Replicas, o.Clients, o.TurnDelay = 3, 3, 3, 200*time.Microsecond
	o.Moves.Limits.MostSteadyTicks, o.Moves.Limits.ForgiveTicks, o.Moves.Limits.Stalls = 120, 0, 0
	o.Moves.Flap, o.Faults = 26*time.Second, 32*time.Second
	o.Moves.Up, o.Moves.Down = 3*time.Second+time.Duration(r.IntN(600))*time.Millisecond, 900*time.Millisecond
	if r.IntN(2) == 0 {
		o.Moves.Stopped, o.Moves.Up = true, 300*time.Millisecond
		o.Moves.Flap, o.Faults = 12*time.Second, 14*time.Second
	}
}

// play begins what the schedule says of moves. peace is how long nothing else happens.
func (w *World) play(peace time.Duration) {
	if w.o.Moves.Lose {
		w.after(w.between(800*time.Millisecond, peace+w.o.Faults), func() { w.lose(3) })
	}
	if w.o.Moves.Flap > 0 {
		w.after(peace+100*time.Millisecond, w.flap)
	}
}
