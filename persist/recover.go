package persist

import (
	"fmt"
	"maps"
	"slices"

	"pxkv/node/kv"
	"pxkv/persist/codec"
	"pxkv/persist/data"
	"pxkv/persist/raftlog"
)

// recover reads the log, brings the data up to what the log says, and checks that both fit together.
func (db *DB) recover(log raftlog.Opening, store data.Opening) error {
	replicas, err := log.Recover()
	if err != nil {
		return err
	}
	stored, err := store.Stored()
	if err == nil {
		err = catchUp(log, store, replicas, stored)
	}
	if err != nil {
		return err
	}
	for _, p := range slices.Sorted(maps.Keys(replicas)) {
		if err := log.Load(p, replicas[p], &stored[p].Applied); err != nil {
			return err
		}
	}
	return nil
}

// catchUp does to the data what the log says was done and a crash took: deleting what was
// destroyed, making what was created, installing a snapshot. What it does is durable when it
// returns. stored is then as it should be, but for what no log explains.
func catchUp(
	log raftlog.Opening, store data.Opening,
	replicas map[kv.PartitionID]*raftlog.Recovered, stored map[kv.PartitionID]*data.Stored,
) error {
	changed := false
	for _, p := range slices.Sorted(maps.Keys(stored)) {
		s, r := stored[p], replicas[p]
		if r != nil && s.ID == r.ID {
			continue
		}
		if s.ID > log.Tombstone(p) && (r == nil || s.ID > r.ID) {
			return fmt.Errorf("partition %s: %w: there is data of replica %d, which the log does not know",
				p, codec.ErrCorrupt, s.ID)
		}
		if err := store.DestroyAgain(p); err != nil {
			return err
		}
		delete(stored, p)
		changed = true
	}
	for _, p := range slices.Sorted(maps.Keys(replicas)) {
		r, s := replicas[p], stored[p]
		if s == nil && r.Created != nil {
			s = &data.Stored{ID: r.ID, Applied: *r.Created}
			if err := createAgain(store, p, r); err != nil {
				return err
			}
			changed = true
		}
		if s != nil && r.Installed > 0 && s.Applied.Index < r.Base() {
			var err error
			if s, err = store.InstallAgain(p, r.Installed); err != nil {
				return err
			}
		}
		if s == nil {
			return fmt.Errorf("partition %s: %w: the data of replica %d is gone", p, codec.ErrCorrupt, r.ID)
		}
		stored[p] = s
	}
	if !changed {
		return nil
	}
	return store.Flush()
}

func createAgain(store data.Opening, p kv.PartitionID, r *raftlog.Recovered) error {
	birth := store.NewBirth(p, r.ID, r.Created)
	for _, d := range r.Data {
		birth.Put(d.Key, d.Value)
	}
	return birth.CommitAgain()
}
