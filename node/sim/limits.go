package sim

import (
	"math/rand/v2"

	"pxkv/node/replica"
	"pxkv/persist"
)

// drawLimits makes the limits of a run's hosts: each is often its default, which no short run
// reaches, and else so small that it is reached all the time.
func drawLimits(r *rand.Rand) replica.Limits {
	tiny := func(below int) int {
		if r.IntN(3) == 0 {
			return 0
		}
		return 1 + r.IntN(below-1)
	}
	l := replica.Limits{
		EntryBytes:       tiny(600),
		MessageBytes:     tiny(800),
		FrameBytes:       tiny(800),
		InflightMessages: tiny(8),
		UncommittedBytes: tiny(2000),
		CommittedBytes:   tiny(800),
		ReadyRounds:      tiny(4),
		ApplyBytes:       tiny(2000),
		WaitingReads:     tiny(6),
		ReadRounds:       tiny(3),
		PurgeKeys:        tiny(6),
		Purges:           tiny(3),
	}
	if l.MessageBytes != 0 && r.IntN(2) == 0 {
		l.InflightBytes = l.MessageBytes + r.IntN(2000)
	}
	return l
}

// drawTouch lets entries touch few bytes of values in half of the runs, so that most of what is merged
// into one is put off.
func (o *Options) drawTouch() {
	r := rand.New(rand.NewPCG(o.Seed, 11))
	if r.IntN(2) == 0 {
		o.Limits.TouchBytes = 1 + r.IntN(3000)
	}
}

// drawStoreLimits does the same for the stores.
func drawStoreLimits(r *rand.Rand) persist.Limits {
	tiny := func(lo, hi int64) int64 {
		if r.IntN(3) == 0 {
			return 0
		}
		return lo + r.Int64N(hi-lo)
	}
	var l persist.Limits // in an order that seeds rest on
	l.Log.SegmentBytes = tiny(1<<10, 16<<10)
	l.Log.TailBytes = tiny(1, 4<<10)
	l.Log.UnappliedBytes = tiny(1, 4<<10)
	l.Data.BufferBytes = tiny(1, 6<<10)
	l.Data.AllBufferBytes = tiny(1, 8<<10)
	l.Data.LeastFlushBytes = tiny(1<<8, 8<<10)
	l.Log.MoveBytes = tiny(1, 4<<10)
	l.Data.ChunkBytes = tiny(1, 2<<10)
	l.Data.TableBytes = tiny(1, 4<<10)
	return l
}
