//go:build !planted

package sim

import (
	"testing"
	"testing/cryptotest"
	"time"

	"pxkv/node/rebalance"
)

// TestADeadNewcomerTakesNobodysPlace plays schedules in which nothing happens but that one of four members goes for
// good, perhaps while it is being filled, and only one group of a node may be filled at a time.
func TestADeadNewcomerTakesNobodysPlace(t *testing.T) {
	lost := 0
	for seed := range uint64(12) {
		cryptotest.SetGlobalRandom(t, seed)
		o := Falls(seed, false)
		o.Nodes, o.Partitions, o.Faults, o.LateJoin = 4, 6, 3*time.Second, true
		o.Moves = Moves{Lose: true, StateBytes: 1000, Limits: rebalance.Limits{
			Filling: 1, FillingBytes: 1, FillTicks: 20, MostSteadyTicks: 60,
		}}
		o.Snapshots.Rate = 300
		r := Run(o)
		if r.Err != nil {
			t.Fatalf("seed %d: %v", seed, r.Err)
		}
		lost += r.Stats.Lost
	}
	if lost == 0 {
		t.Fatal("nobody was lost")
	}
}
