package persist

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/codec"
	"pxkv/persist/data"
	"pxkv/persist/disk"
)

// What is in Options.Dir besides the directories of the log and the data.
const (
	identityFile = "identity.json"
	// rebuildDir has an empty file for each partition of which an operator gave this node's copy up. It is
	// no part of the log, so that who gives a copy up does not make the log longer than its node's promises.
	rebuildDir = "rebuild"
)

// makeDurable makes what is there outlive a power loss, before anything rests on it: a process
// that was killed may have written what it never synced, and the next one finds it all the same.
// The newest segment of the log is left to package wal, and Pebble syncs its tables before a
// manifest names them.
func (db *DB) makeDurable() error {
	if believesUnsynced {
		return nil
	}
	dir := db.disk.Path(data.Dir)
	names, err := db.disk.FS.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "MANIFEST-") {
			if err := makeFileDurable(db.disk.FS, db.disk.FS.PathJoin(dir, name)); err != nil {
				return err
			}
		}
	}
	for d := dir; ; d = db.disk.FS.PathDir(d) {
		// Above the node's own directory, what may not even be read was not made by a node.
		err := disk.SyncDir(db.disk.FS, d)
		if err != nil && !(errors.Is(err, fs.ErrPermission) && len(d) < len(db.disk.Dir)) {
			return err
		}
		if db.disk.FS.PathDir(d) == d {
			return nil
		}
	}
}

// rewritten is how much of the end of a manifest is written again at a start. Pebble syncs each
// record before the next, and each is far smaller.
const rewritten = 1 << 20

// makeFileDurable writes the end of a file again, and syncs it: after an fsync that failed, a
// kernel shows what it did not write, takes it for written, and lets the next fsync succeed.
func makeFileDurable(f vfs.FS, path string) error {
	file, err := f.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if errors.Is(err, codec.ErrCorrupt) {
		return nil // it is encrypted and half made; if Pebble needs it, it will say so
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Size() > 0 && !believesFailed {
		end := make([]byte, min(info.Size(), rewritten))
		at := info.Size() - int64(len(end))
		if _, err = file.ReadAt(end, at); err == nil {
			_, err = file.WriteAt(end, at)
		}
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
