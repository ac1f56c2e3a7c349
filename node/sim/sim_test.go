//go:build !planted

package sim

import (
	"log/slog"
	"os"
	"testing"
	"testing/cryptotest"
	"time"
)

// TestSchedules plays SIM_COUNT schedules from seed SIM_SEED on.
func TestSchedules(t *testing.T) {
	first, count := env("SIM_SEED", 1), env("SIM_COUNT", 50)
	var sum Stats
	var virtual time.Duration
	began := time.Now()
	for seed := first; seed < first+count; seed++ {
		cryptotest.SetGlobalRandom(t, seed)
		o := Draw(seed)
		if seed%8 == 0 {
			o = Ambushes(seed)
		}
		if os.Getenv("SIM_LOG") != "" {
			o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutWallClock}))
		}
		r := Run(o)
		if r.Err != nil {
			t.Fatalf("seed %d: %v\n%+v\n%v", seed, r.Err, o, r)
		}
		virtual += r.Time
		sum.add(r.Stats)
	}
	t.Logf("%d schedules, %v simulated in %v: %+v", count, virtual.Round(time.Second), time.Since(began).Round(time.Second), sum)
}

// TestSchedulesThatOnceFailed plays them again.
func TestSchedulesThatOnceFailed(t *testing.T) {
	for _, seed := range []uint64{
		10428, // a leader that had forgotten the newest placement undid it, for good
	} {
		cryptotest.SetGlobalRandom(t, seed)
		if r := Run(Draw(seed)); r.Err != nil {
			t.Errorf("seed %d: %v", seed, r.Err)
		}
	}
}

func withoutWallClock(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func (s *Stats) add(o Stats) {
	s.Events += o.Events
	s.Crashes += o.Crashes
	s.Restarts += o.Restarts
	s.Cuts += o.Cuts
	s.Pauses += o.Pauses
	s.Transfers += o.Transfers
	s.Snapshots += o.Snapshots
	s.Acked += o.Acked
	s.Unknown += o.Unknown
	s.Reads += o.Reads
	s.LeaseReads += o.LeaseReads
	s.Jumps += o.Jumps
	s.ReadsOfExpired += o.ReadsOfExpired
	s.Advances += o.Advances
}

// TestSameSeedSameTrace is what makes a failing seed worth keeping.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 12; seed++ {
		var traces [2]uint64
		for i := range traces {
			cryptotest.SetGlobalRandom(t, seed)
			r := Run(Draw(seed))
			if r.Err != nil {
				t.Fatalf("seed %d: %v", seed, r.Err)
			}
			traces[i] = r.Trace
		}
		if traces[0] != traces[1] {
			t.Errorf("seed %d: traces %016x and %016x", seed, traces[0], traces[1])
		}
	}
}
