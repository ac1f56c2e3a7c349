package replica

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"pxkv/node/entry"
	"pxkv/node/kv"
	"pxkv/persist"
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

// loopAlone is a loop that has not started, on whose store one replica is alone in its group.
func loopAlone(t *testing.T, db *persist.DB) *Loop {
	t.Helper()
	h := newTestHost(t, db)
	if err := h.Bootstrap(0, 20, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.CommitNow(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	return NewLoop(LoopOptions{
		Host: h, DB: db, Sender: silentSender{}, Logger: slog.New(slog.DiscardHandler),
		Clock: func() Now { return Now{Boot: time.Hour + time.Since(began), WallMS: 1} },
	})
}

// runAlone runs a loop whose one replica leads, until stop or the end of the test.
func runAlone(t *testing.T, disk vfs.FS) (l *Loop, stop func()) {
	t.Helper()
	db := openDB(t, disk)
	l = loopAlone(t, db)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = db.Close()
	})
	for range 3 * ElectionTicks {
		time.Sleep(DefaultTick)
	}
	return l, cancel
}

func (l *Loop) set(key string) chan *kv.Error {
	done := make(chan *kv.Error, 1)
	l.Write(Op{Partition: 0, Command: setCommand(key, "v"), Reply: func(r entry.Reply) { done <- r.Err }})
	return done
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
			disk.hangs.Store(true)
			waits := l.set("hangs")
			time.Sleep(2 * ElectionTicks * DefaultTick)
			ctx, cancel := context.WithTimeout(context.Background(), DefaultTick)
			hangs := false
			if err := l.Do(ctx, func(h *Host) {
				hangs = h.steadiness.diskHangs(h)
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
		case <-time.After(4 * DefaultTick):
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
		time.Sleep(DefaultTick / 2) // between two ticks: the last one's turn has been taken, and was seen or will be
		mends := make(chan struct{})
		go func() { _ = l.Do(context.Background(), func(*Host) { <-mends }) }()
		synctest.Wait()
		early := l.set("early")
		read := make(chan *kv.Error, 1)
		l.Read(ReadOp{Partition: 0, Reply: func(e *kv.Error) { read <- e }})
		time.Sleep((standsTicks - 1) * DefaultTick)
		if l.StandsStill() || len(early)+len(read) > 0 {
			t.Error("it gives up before others could be elected")
		}
		time.Sleep(3 * DefaultTick)
		if !l.StandsStill() || l.Leader(0) != (Leadership{}) {
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
		time.Sleep(2 * DefaultTick)
		if l.StandsStill() || !l.Leader(0).Self {
			t.Errorf("turns go on: standing still %v, leader %+v", l.StandsStill(), l.Leader(0))
		}
		if err := <-l.set("again"); err != nil {
			t.Error(err)
		}
	})
}
