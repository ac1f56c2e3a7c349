//go:build planted

package sim

import (
	"os"
	"testing"
	"testing/cryptotest"
)

// plantedKinds are the kinds of schedules that SIM_KIND may name, for a bug that only one of them has a chance with.
var plantedKinds = map[string]func(uint64) Options{"": mixture, "Leaving": Leaving}

// mixture has half of its schedules full of ambushes, which most bugs need, and some of each other kind.
func mixture(seed uint64) Options {
	switch {
	case seed%2 == 0:
		return Ambushes(seed)
	case seed%16 == 5:
		return Restarts(seed)
	case seed%32 == 17:
		return Forgetful(seed)
	case seed%32 == 1:
		return Resting(seed)
	case seed%16 == 11:
		return Leaving(seed)
	}
	return Schedule(seed)
}

// TestPlantedBugIsFound runs in builds with a bug_* tag: a simulation that cannot find a known
// bug proves nothing about the unknown ones. It passes with the first schedule that fails.
func TestPlantedBugIsFound(t *testing.T) {
	first, count := env("SIM_SEED", 1), env("SIM_COUNT", 4000)
	kind := plantedKinds[os.Getenv("SIM_KIND")]
	if kind == nil {
		t.Fatalf("SIM_KIND is %q", os.Getenv("SIM_KIND"))
	}
	for seed := first; seed < first+count; seed++ {
		o := kind(seed)
		cryptotest.SetGlobalRandom(t, seed)
		if r := Run(o); r.Err != nil {
			t.Logf("found by schedule %d: %.300v", seed-first+1, r.Err)
			return
		}
	}
	t.Fatalf("not found in %d schedules", count)
}
