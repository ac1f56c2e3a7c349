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
			batch := func(fill func(*pendingBatch)) {
				pb := &pendingBatch{batch: d.db.NewBatch(), final: map[kv.PartitionID]bool{}}
				fill(pb)
				d.pending = append(d.pending, pb)
				d.commit()
				d.compare()
			}
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
