package loop

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"pxkv/node/kv"
	"pxkv/node/replica"
)

// hangingDisk is one whose fsyncs take no time until they hang.
type hangingDisk struct {
	vfs.FS
	hangs atomic.Bool
	mends chan struct{}
}

func newHangingDisk() *hangingDisk {
	d := &hangingDisk{mends: make(chan struct{})}
	d.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if d.hangs.Load() {
				<-d.mends
			}
		}
		return nil
	}))
	return d
}

// A disk that was fast until now is waited for between two turns. When it hangs, the turns go on all
// the same: heartbeats are answered, and what looks after hung disks notices this one.
func TestTurnsGoOnWhileAnFsyncHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newHangingDisk()
		l, _ := runAlone(t, disk)
		for round := range 3 {
			if err := <-l.set("before"); err != nil {
				t.Fatal(err)
			}
			if l.lastSync.Load() > int64(quickSync) {
				t.Fatal("the disk is not fast: this tests nothing")
			}
			var stalls uint64
			if err := l.Do(t.Context(), func(h *replica.Host) { stalls = h.Stalls() }); err != nil {
				t.Fatal(err)
			}
			disk.hangs.Store(true)
			waits := l.set("hangs")
			time.Sleep(2 * replica.ElectionTicks * replica.DefaultTick)
			ctx, cancel := context.WithTimeout(context.Background(), replica.DefaultTick)
			hangs := false
			if err := l.Do(ctx, func(h *replica.Host) {
				hangs = h.Stalls() > stalls
			}); err != nil || !hangs || l.StandsStill() {
				t.Errorf(
					"round %d: while the fsync hangs no turn is taken: %v; disk seen to hang %v, standing still %v",
					round, err, hangs, l.StandsStill())
			}
			cancel()
			select {
			case err := <-waits:
				t.Errorf("round %d: a write that is on no disk is answered: %v", round, err)
			default:
			}
			disk.hangs.Store(false)
			disk.mends <- struct{}{}
			if err := <-waits; err != nil {
				t.Errorf("round %d: the disk has written it at last: %v", round, err)
			}
			// The next commit is the persister's, the one after it between two turns again.
			if err := <-l.set("after"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Turns in which nothing is committed are looked at less often. A commit that hangs then is relieved as soon.
func TestACommitAfterAWhileOfNoneIsLookedAtAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newHangingDisk()
		l, _ := runAlone(t, disk)
		for round := range 5 {
			for n := 0; !l.own.dozes.Load(); n++ {
				if time.Sleep(replica.DefaultTick); n > 100 {
					t.Fatal("turns in which nothing is committed are looked at with each tick")
				}
			}
			time.Sleep(time.Duration(round) * replica.DefaultTick * 9 / 10)
			disk.hangs.Store(true)
			waits := l.set("hangs")
			time.Sleep(2*replica.DefaultTick + replica.DefaultTick/10)
			taken := l.taken.Load()
			time.Sleep(2 * replica.DefaultTick)
			if l.taken.Load() == taken {
				t.Errorf("round %d: no turn in the third and fourth tick after a commit has begun that hangs", round)
			}
			disk.hangs.Store(false)
			disk.mends <- struct{}{}
			if err := <-waits; err != nil {
				t.Fatal(err)
			}
			// The next commit is the persister's, the one after it between two turns again.
			if err := <-l.set("after"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A node that is stopped while its disk hangs in a commit between two turns answers what waits for it.
func TestALoopEndsItsTurnsWhileAnFsyncHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newHangingDisk()
		l, stop := runAlone(t, disk)
		disk.hangs.Store(true)
		waits := l.set("hangs")
		synctest.Wait()
		stop()
		select {
		case err := <-waits:
			if err == nil || err.Kind != kv.Unknown {
				t.Errorf("a write that is on no disk is answered: %v", err)
			}
		case <-time.After(4 * replica.DefaultTick):
			t.Error("the write waits as long as the disk does")
		}
		disk.hangs.Store(false)
		disk.mends <- struct{}{}
	})
}

// When a turn itself does not end, the loop says so, gives back what no turn has taken, and takes
// nothing in until turns go on.
func TestALoopThatStandsStillSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := runAlone(t, vfs.NewMem())
		if !l.Leader(0).Self {
			t.Fatal("no leader")
		}
		time.Sleep(replica.DefaultTick / 2) // the last tick's turn has been taken, and was seen or will be
		mends := make(chan struct{})
		go func() { _ = l.Do(context.Background(), func(*replica.Host) { <-mends }) }()
		synctest.Wait()
		early := l.set("early")
		read := make(chan *kv.Error, 1)
		l.Read(replica.ReadOp{Partition: 0, Reply: func(e *kv.Error) { read <- e }})
		time.Sleep((standsTicks - 1) * replica.DefaultTick)
		if l.StandsStill() || len(early)+len(read) > 0 {
			t.Error("it gives up before others could be elected")
		}
		time.Sleep(3 * replica.DefaultTick)
		if !l.StandsStill() || l.Leader(0) != (replica.Leadership{}) {
			t.Errorf("standing still %v, leader %+v", l.StandsStill(), l.Leader(0))
		}
		for what, answer := range map[string]chan *kv.Error{
			"a write before": early, "a read before": read, "a write": l.set("late"),
		} {
			select {
			case err := <-answer:
				if err == nil || err.Kind != kv.Unavailable {
					t.Errorf("%s is answered %v, want certainly not done", what, err)
				}
			default:
				t.Errorf("%s waits for ever", what)
			}
		}
		close(mends)
		time.Sleep(2 * replica.DefaultTick)
		if l.StandsStill() || !l.Leader(0).Self {
			t.Errorf("turns go on: standing still %v, leader %+v", l.StandsStill(), l.Leader(0))
		}
		if err := <-l.set("again"); err != nil {
			t.Error(err)
		}
	})
}
