package persist

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// TestCrashes does random things, takes copies of the disk at random file operations as a
// power loss would leave it, and opens each: every one must hold a state between the last
// durable and the last issued, whole. Then it goes on from one of them. PXKV_CRASH_SEEDS
// says how many seeds to try.
func TestCrashes(t *testing.T) {
	t.Parallel()
	seeds, lives := uint64(2), uint64(4)
	if testing.Short() {
		lives = 1
	}
	if n, err := strconv.ParseUint(os.Getenv("PXKV_CRASH_SEEDS"), 10, 64); err == nil {
		seeds = n
	}
	for _, percent := range []int{0, 50, 100} {
		for seed := range seeds {
			t.Run(fmt.Sprintf("unsynced %d %%, seed %d", percent, seed), func(t *testing.T) {
				t.Parallel()
				d := newDriver(t, seed, percent, 40)
				for life := range lives {
					for range 50 {
						d.turn()
					}
					d.start(d.powerLoss(), seed+1000*life, percent)
				}
				must(t, d.db.Close())
			})
		}
	}
}

func (d *driver) turn() {
	switch d.rng.IntN(11) {
	case 0, 1, 2, 3:
		d.fill()
	case 4, 5, 6, 7:
		for range len(d.pending) {
			d.commit()
		}
	case 8, 9:
		d.apply()
	default:
		if d.rng.IntN(2) == 0 {
			d.db.drainAll()
		}
		d.db.flushNow()
	}
	d.compare()
}

// powerLoss checks all crashes of this life and returns the disk of one at its end.
func (d *driver) powerLoss() crash {
	d.fs.mu.Lock()
	d.fs.chance = 0
	crashes := d.fs.crashes
	last := d.fs.crash("the end of a life")
	d.fs.mu.Unlock()
	must(d.t, d.db.Close())
	for _, cr := range crashes {
		db, _ := cr.check(d.t)
		must(d.t, db.Close())
	}
	return last
}
