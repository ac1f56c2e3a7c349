package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/node/kv"
	"pxkv/persist/disk"
	"pxkv/persist/raftlog"
)

// GiveUp lets the next Open of the store in dir find this node's copy of a partition void, until a
// snapshot has replaced it: see raftlog.Batch.Void. The store may be in use. It is an error when there is no
// store.
func GiveUp(f vfs.FS, dir string, p kv.PartitionID) error {
	if _, err := f.Stat(f.PathJoin(dir, raftlog.Dir)); err != nil {
		return fmt.Errorf("%s is no data directory of a node: %w", dir, err)
	}
	wanted := f.PathJoin(dir, rebuildDir)
	if err := disk.MakeDir(f, dir, wanted); err != nil {
		return err
	}
	return disk.WriteFile(f, wanted, p.String(), func(vfs.File) ([]byte, error) { return nil, nil })
}

// loadGivenUp marks what GiveUp named. What is not here, and what is on this node alone, is left as it
// is: nobody could replace it.
func (db *DB) loadGivenUp() error {
	names, err := db.disk.FS.List(db.disk.Path(rebuildDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		p, err := kv.ParsePartition(name)
		if err != nil || p.String() != name {
			continue // not ours
		}
		r, kept := db.Replica(p), true
		if r != nil {
			if kept, err = r.Alone(); err != nil {
				return fmt.Errorf("partition %s: %w", p, err)
			}
		}
		if kept {
			db.disk.Logger.Warn("a copy that was given up is kept: it is not here, or the only one", "partition", name)
			if err := db.forget(name); err != nil {
				return err
			}
			continue
		}
		r.SetVoid()
		db.givenUp[r] = true
	}
	return nil
}

// forget takes the mark of a copy away that was replaced. If it comes back by a crash, the copy is
// replaced once more.
func (db *DB) forget(name string) error {
	if err := db.disk.FS.Remove(db.disk.Path(rebuildDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return disk.SyncDir(db.disk.FS, db.disk.Path(rebuildDir))
}
