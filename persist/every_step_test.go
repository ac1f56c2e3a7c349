package persist

import (
	"fmt"
	"testing"

	"pxkv/node/kv"
)

// TestCrashAtEveryStep loses power at every single file operation of a replica's life: birth,
// entries, effects, a snapshot over what is still in memory, one over what is not, death, and
// the birth of the next one.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	for i := range 6 {
		percent, encrypted := []int{0, 50, 100}[i%3], i > 2
		t.Run(fmt.Sprintf("unsynced %d %%, encrypted %v", percent, encrypted), func(t *testing.T) {
			t.Parallel()
			d := newDriver(t, 7, percent, 1)
			if encrypted {
				d.encrypt()
			}
			d.begin()
			batch := d.batch
			entriesAndEffects := func() {
				for p := range kv.PartitionID(2) {
					batch(func(pb *pendingBatch) { d.append(pb, d.replica(p)) })
					batch(func(pb *pendingBatch) { d.moveCommit(pb, d.replica(p)) })
				}
				d.apply()
			}
			batch(func(pb *pendingBatch) { d.create(pb, 0); d.create(pb, 1) })
			entriesAndEffects()
			batch(func(pb *pendingBatch) { d.install(pb, d.replica(0)) })
			entriesAndEffects()
			d.db.WantFlush()
			if encrypted {
				d.rotate()
			}
			d.apply()
			batch(func(pb *pendingBatch) { d.append(pb, d.replica(0)); d.install(pb, d.replica(1)) })
			batch(func(pb *pendingBatch) { d.truncate(pb, d.replica(1)); d.destroy(pb, d.replica(0)) })
			batch(func(pb *pendingBatch) { d.create(pb, 0) })
			entriesAndEffects()
			d.fs.mu.Lock()
			crashes := len(d.fs.crashes)
			d.fs.mu.Unlock()
			if crashes < 80 {
				t.Errorf("only %d crashes", crashes)
			}
			last := d.end()
			last.check(t)
		})
	}
}

// batch fills one, and commits it.
func (d *driver) batch(fill func(*pendingBatch)) {
	pb := &pendingBatch{batch: d.db.NewBatch(), final: map[kv.PartitionID]bool{}}
	fill(pb)
	d.pending = append(d.pending, pb)
	d.commit()
	d.compare()
}

// TestKilledAtEveryStep kills the process at every single file operation, in the middle of it, while segments of the
// log are begun, filled and used again, and keys are rotated. The next one starts, finds what was written, and goes on.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted %v", encrypted), func(t *testing.T) {
			t.Parallel()
			for step := 1; ; step++ {
				d := newDriver(t, 7, 100, 0)
				d.segmentBytes = 1 << 10
				if encrypted {
					d.encrypt()
				}
				d.begin()
				d.batch(func(pb *pendingBatch) { d.create(pb, 0) })
				d.life.killIn(step)
				d.useSegmentsAgain()
				killed := d.life.isDead()
				d.start(d.end())
				d.useSegmentsAgain()
				must(t, d.db.Close())
				if !killed {
					if _, err := d.fs.Stat("node/log/0000000000000001.log"); err == nil || step < 60 {
						t.Errorf("%d operations, and no segment was given back: %v", step, err == nil)
					}
					return
				}
			}
		})
	}
}

// useSegmentsAgain fills segments of the log, and has them removed, so that others are written over them.
func (d *driver) useSegmentsAgain() {
	for i := range 3 {
		d.batch(func(pb *pendingBatch) { d.append(pb, d.replica(0)) })
		d.batch(func(pb *pendingBatch) { d.moveCommit(pb, d.replica(0)) })
		d.apply()
		if d.keys != nil && i == 1 {
			d.rotate()
		}
		d.db.FlushAll()
		d.batch(func(pb *pendingBatch) { d.truncate(pb, d.replica(0)) })
	}
}
