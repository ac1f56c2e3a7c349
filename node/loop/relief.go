package loop

import (
	"errors"
	"sync/atomic"
	"time"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/node/replica"
)

// No disk says beforehand that it is going to hang. Whoever waits for it must not be waited for: not
// the turns, without which no heartbeat leaves and no hung disk is noticed, and not the rest of the
// node, which would go on believing what its replicas knew last.
//
// So a goroutine of its own looks at the turns once a tick. When their goroutine has been at a commit
// of its own since the last look, another one takes the turns over, and that one ends when the
// disk lets it. When no turn ends at all for a while, as in a read of the disk that hangs, the loop
// stands still and says so.

// standsTicks is how many ticks without a turn make a loop that stands still: from then on others may
// be elected in the places of its leaders.
const standsTicks = replica.ElectionTicks

// dozeTicks is how many ticks pass between two looks while nothing is committed.
const dozeTicks = 4

// errRelieved ends a goroutine of the turns in whose place there is another one.
var errRelieved = errors.New("another goroutine has taken the turns over")

// ownCommits tells whether the goroutine of the turns commits a job itself. Its count is odd while it
// does: whoever makes it even, that goroutine or its relief, takes the turns.
type ownCommits struct {
	count atomic.Uint64
	dozes atomic.Bool   // whoever looks at the turns looks less often, until one begins
	rouse chan struct{} // one slot: one has begun meanwhile
}

func (c *ownCommits) begin() (mark uint64) {
	mark = c.count.Add(1)
	if c.dozes.Load() && c.dozes.CompareAndSwap(true, false) {
		c.rouse <- struct{}{} // it has room: one is sent each time that dozes was set, and taken before it is set again
	}
	return mark
}

func (c *ownCommits) end(mark uint64) (stillMine bool) { return c.count.CompareAndSwap(mark, mark+1) }

// relieve takes the turns over from a commit that was under way at the last look already.
func (c *ownCommits) relieve(seen *uint64) bool {
	last := *seen
	*seen = c.count.Load()
	return *seen == last && last%2 == 1 && !turnWaitsForFsync && c.count.CompareAndSwap(last, last+1)
}

// doze reports whether none was under way since the last look but one: the next one to begin will say so.
func (c *ownCommits) doze(before, seen uint64) bool {
	if before != seen || seen%2 == 1 {
		return false
	}
	c.dozes.Store(true)
	return c.count.Load() == seen || !c.dozes.CompareAndSwap(true, false)
}

// commitHere commits a job on the goroutine of the turns. errRelieved says that it is no longer that.
func (l *Loop) commitHere(j *replica.Job) error {
	mark := l.own.begin()
	err := l.commit(j)
	if l.own.end(mark) {
		return err
	}
	if err != nil {
		l.failed <- err
	}
	return errRelieved
}

// watch looks after the turns until done is closed. takeOver starts a goroutine that goes on with them.
func (l *Loop) watch(done <-chan struct{}, takeOver func()) {
	tick := l.o.Host.TickLength()
	timer := time.NewTimer(tick)
	defer timer.Stop()
	var commit, turn uint64
	still, ticks := 0, 1 // ticks pass until the next look
	for {
		select {
		case <-timer.C:
			l.own.dozes.Store(false) // one that has just begun has said so, and is looked at with the tick after
		case <-l.own.rouse:
			ticks = 1
			timer.Reset(tick)
			continue
		case <-done:
			return
		}
		before := commit
		if l.own.relieve(&commit) {
			l.metrics.relieved.Inc()
			l.log.Warn("the disk takes long: turns go on without it")
			takeOver()
		}
		brisk := false
		if now := l.taken.Load(); now != turn {
			brisk = now-turn > uint64(ticks)/2
			turn, still = now, 0
			l.standStill(false)
		} else if still += ticks; still >= standsTicks {
			l.standStill(true)
			l.giveBack()
		}
		ticks = 1
		if brisk && l.own.doze(before, commit) {
			ticks = dozeTicks
		}
		timer.Reset(time.Duration(ticks) * tick)
	}
}

// giveBack refuses what came before the loop was known to stand still, so that it is tried elsewhere.
func (l *Loop) giveBack() {
	refused := l.refusal()
	if refused == nil {
		return
	}
	ops, reads := l.inbox.withdraw()
	for _, op := range ops {
		op.Reply(entry.Reply{Err: refused})
	}
	for _, op := range reads {
		op.Reply(refused)
	}
}

func (l *Loop) standStill(yes bool) {
	if l.still.Load() == yes {
		return
	}
	l.still.Store(yes)
	if yes {
		l.metrics.still.Set(1)
		l.log.Warn("no turn ends: this node goes by what others say until one does; does its disk hang?")
	} else {
		l.metrics.still.Set(0)
		l.log.Info("turns go on")
	}
}

// StandsStill reports that no turn has ended for as long as an election takes to begin: others lead
// by now, or will soon, what was led here.
func (l *Loop) StandsStill() bool { return l.still.Load() && !standingLoopBelieved }

// Leader returns who leads a partition as the replica here knows. It knows of nobody when there is no
// replica, or when the loop stands still.
func (l *Loop) Leader(p kv.PartitionID) replica.Leadership {
	h := l.Handle(p)
	if h == nil || l.StandsStill() {
		return replica.Leadership{}
	}
	return h.Leader()
}
