package persist

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// TestCrashes does random things to a store and lets it fall, many times over.
//
// The power may go at any file operation: a copy of the disk is taken as that would leave it, and
// opened; it must hold a state between the last durable and the last issued one, whole. And the process is killed,
// at any operation, by half of it, also while it starts. The next one finds all that was written,
// synced or not, and goes on from there; then the power goes, also while it starts, and what was
// believed must still be there.
//
// PXKV_CRASH_SEEDS says how many seeds to try, and `make crashes` tries 1,000.
func TestCrashes(t *testing.T) {
	t.Parallel()
	seeds, lives := uint64(6), 4
	if testing.Short() {
		lives = 1
	}
	if n, err := strconv.ParseUint(os.Getenv("PXKV_CRASH_SEEDS"), 10, 64); err == nil {
		seeds = n
	}
	var total tally
	t.Cleanup(func() {
		t.Logf("%d seeds: %d power losses, %d kills, %d of them at a start, %d rotations of keys", seeds,
			total.losses.Load(), total.kills.Load(), total.atStart.Load(), total.rotations.Load())
	})
	for seed := range seeds {
		percent := []int{0, 50, 100}[seed%3]
		t.Run(fmt.Sprintf("seed %d, unsynced %d %%", seed, percent), func(t *testing.T) {
			t.Parallel()
			d := newDriver(t, seed, percent, 40)
			d.mortal, d.tally = true, &total
			if seed%4 >= 2 {
				d.encrypt()
			}
			d.begin()
			for range lives {
				for turn := 0; turn < 50 && !d.life.isDead(); turn++ {
					d.turn()
				}
				d.start(d.end())
			}
			must(t, d.db.Close())
		})
	}
}

// tally counts what stores went through.
type tally struct{ losses, kills, atStart, rotations atomic.Int64 }

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
			d.db.FlushAll()
		} else {
			d.db.WantFlush() // of what Pebble has
		}
	}
	if d.keys != nil && d.rng.IntN(15) == 0 {
		d.rotate()
	}
	d.compare()
}

// end ends a life, checks all power losses in it, and returns what the next process finds: the disk
// as it is when the process was killed, else as the loss of power leaves it now.
func (d *driver) end() crash {
	crashes := d.fs.stop()
	var last crash
	if d.life.isDead() {
		last = d.killed
		d.tally.kills.Add(1)
	} else {
		last = d.fs.crash("the end of a life")
	}
	must(d.t, d.db.Close())
	d.tally.losses.Add(int64(len(crashes)))
	for _, cr := range crashes {
		cr.check(d.t)
	}
	return last
}
