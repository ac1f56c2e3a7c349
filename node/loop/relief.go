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

// errRelieved ends a goroutine of the turns in whose place there is another one.
var errRelieved = errors.New("another goroutine has taken the turns over")

// ownCommits tells whether the goroutine of the turns commits a job itself. Its count is odd while it
// does: whoever makes it even, that goroutine or its relief, takes the turns.
type ownCommits struct{ count atomic.Uint64 }

func (c *ownCommits) begin() (mark uint64) { return c.count.Add(1) }

func (c *ownCommits) end(mark uint64) (stillMine bool) { return c.count.CompareAndSwap(mark, mark+1) }

// relieve takes the turns over from a commit that was under way at the last look already.
func (c *ownCommits) relieve(seen *uint64) bool {
	last := *seen
	*seen = c.count.Load()
	return *seen == last && last%2 == 1 && !turnWaitsForFsync && c.count.CompareAndSwap(last, last+1)
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
	ticker := time.NewTicker(l.o.Host.TickLength())
	defer ticker.Stop()
	var commit, turn uint64
	still := 0
	for {
		select {
		case <-ticker.C:
		case <-done:
			return
		}
		if l.own.relieve(&commit) {
			l.metrics.relieved.Inc()
			l.log.Warn("the disk takes long: turns go on without it")
			takeOver()
		}
		if now := l.taken.Load(); now != turn {
			turn, still = now, 0
			l.standStill(false)
		} else if still++; still >= standsTicks {
			l.standStill(true)
			l.giveBack()
		}
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
