//go:build !planted

package sim

import (
	"math/rand/v2"
	"testing"
	"testing/cryptotest"
)

// Nodes that lose all that they have whenever they end are filled again, and nothing that was acknowledged is lost.
func TestNodesInMemory(t *testing.T) {
	first, count := env("SIM_SEED", 1), env("SIM_COUNT", 12)
	var sum Stats
	for seed := first; seed < first+count; seed++ {
		cryptotest.SetGlobalRandom(t, seed)
		o := Forgetful(seed)
		r := Run(o)
		if r.Err != nil {
			t.Fatalf("seed %d: %v\n%+v\n%v", seed, r.Err, o, r)
		}
		sum.add(r.Stats)
	}
	if sum.Forgot < int(count)/2 {
		t.Errorf("only %d memories were lost in %d schedules", sum.Forgot, count)
	}
	t.Logf("%d schedules: %+v", count, sum)
}

// All nodes in memory are restarted one after the other, each when all replicas of the one before are there: no request
// ends unknown, and nothing is lost.
func TestARollingRestartOfNodesInMemory(t *testing.T) {
	for seed := range uint64(4) {
		cryptotest.SetGlobalRandom(t, seed)
		o := Restarts(seed)
		o.inMemory(rand.New(rand.NewPCG(seed, 24)))
		o.InMemory = allInMemory
		r := Run(o)
		if r.Err != nil {
			t.Fatalf("seed %d: %v\n%+v\n%v", seed, r.Err, o, r)
		}
		if r.Stats.Forgot != o.Nodes {
			t.Errorf("seed %d: %d of %d nodes lost their memory", seed, r.Stats.Forgot, o.Nodes)
		}
	}
}
