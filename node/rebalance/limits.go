package rebalance

// moveTicks are between two looks at all moves.
const moveTicks = 2

// Limits are when an Executor gives up and how long it waits, in ticks of the node (70 ms by
// default). A field that is 0 takes its default. A simulation draws them small; no two nodes need
// the same.
type Limits struct {
	// Filling is how many groups led here may have a learner that is being filled, whatever their size. More may
	// as long as the states of all that do, of which each counts for LeastFillingBytes at least, have no more than
	// FillingBytes: so small groups go many at a time. 0: 4, 64 MiB and 512 KiB.
	Filling                         int
	FillingBytes, LeastFillingBytes int64
	// KeepUpTicks is how old the end of the leader's log may be that a replica has, for it to be
	// promoted or led to. 0: 10, a shortest election timeout.
	KeepUpTicks uint64
	// SilentTicks is after how much silence of a node its learners are not waited for. 0: 50.
	SilentTicks uint64
	// FillTicks is how long a learner is waited for, and then not for as long; each time that it
	// fails again the pause doubles, up to MostPauseTicks. 0: 857 and 16 times that, a minute and a
	// quarter of an hour.
	FillTicks, MostPauseTicks uint64
	// FallTicks is after how much silence a node counts as fallen, when it should be heard. 0: 10,
	// after which an election would have been fair.
	FallTicks uint64
	// SteadyTicks is how long a node that fell once must have been steady before it is led to. Each
	// fall doubles it, up to MostSteadyTicks. 0: 28 and 857, that is 2 s and a minute.
	SteadyTicks, MostSteadyTicks uint64
	// ForgiveTicks is how long a node must be steady for one of its falls to be forgiven. 0: 857.
	ForgiveTicks uint64
	// Stalls is how many stalls of this node that are not forgiven make it give its leaderships
	// away. 0: 3.
	Stalls int
	// Drifting is how many leaderships are on their way to their preferred leaders at one time, at most. 0: 16.
	Drifting int
	// DriftTicks is after how long one that has not arrived counts as failed. 0: 20, two shortest election timeouts.
	DriftTicks uint64
	// TenureTicks is how long a replica leads at least before leadership drifts away from it.
	// Whoever came to lead because the preferred leader is just being stopped must not hand it
	// back: that one may be gone before it takes over. 0: 28.
	TenureTicks uint64
	// SettleTicks is how long the members must have stayed the same before a placement is computed
	// for them: nodes that arrive together share an epoch. 0: 28.
	SettleTicks uint64
}

func (l Limits) withDefaults() Limits {
	def := func(v *uint64, d uint64) {
		if *v == 0 {
			*v = d
		}
	}
	if l.Filling <= 0 {
		l.Filling = 4
	}
	if l.FillingBytes <= 0 {
		l.FillingBytes = 64 << 20
	}
	if l.LeastFillingBytes <= 0 {
		l.LeastFillingBytes = 512 << 10
	}
	if l.Drifting <= 0 {
		l.Drifting = 16
	}
	if l.Stalls <= 0 {
		l.Stalls = 3
	}
	def(&l.KeepUpTicks, 10)
	def(&l.SilentTicks, 50)
	def(&l.FillTicks, 857)
	def(&l.MostPauseTicks, 16*l.FillTicks)
	def(&l.FallTicks, 10)
	def(&l.SteadyTicks, 28)
	def(&l.MostSteadyTicks, 857)
	def(&l.ForgiveTicks, 857)
	def(&l.DriftTicks, 20)
	def(&l.TenureTicks, 28)
	def(&l.SettleTicks, 28)
	return l
}

// looks is how many looks at a group KeepUpTicks are.
func (l *Limits) looks() int { return int(l.KeepUpTicks/moveTicks) + 1 }

// doubled returns d, doubled for each failure after the first, and at most most. No failure: 0.
func doubled(d uint64, failures int, most uint64) uint64 {
	if failures == 0 {
		return 0
	}
	for ; failures > 1 && d < most; failures-- {
		d *= 2
	}
	return min(d, most)
}
