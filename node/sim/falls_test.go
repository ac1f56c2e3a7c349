//go:build !planted

package sim

import (
	"testing"
	"testing/cryptotest"
)

// TestWhoFallsAgainAndAgainLeadsLittle plays schedules in which nothing happens but that one member falls, or stands
// still, again and again.
func TestWhoFallsAgainAndAgainLeadsLittle(t *testing.T) { playFalls(t, false) }

// TestLeadershipsDoNotGoRound plays schedules in which nothing happens but that all members stand still at once, again
// and again.
func TestLeadershipsDoNotGoRound(t *testing.T) { playFalls(t, true) }

func playFalls(t *testing.T, together bool) {
	falls := 0
	for seed := range uint64(12) {
		cryptotest.SetGlobalRandom(t, seed)
		r := Run(Falls(seed, together))
		if r.Err != nil {
			t.Fatalf("seed %d: %v", seed, r.Err)
		}
		falls += r.Stats.Falls
	}
	if falls == 0 {
		t.Fatal("nobody fell")
	}
}
