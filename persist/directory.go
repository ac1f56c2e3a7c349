package persist

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/wal"
)

// What is in Options.Dir.
const (
	identityFile = "identity.json"
	pebbleDir    = "db"
	logDir       = "log"
	stagingDir   = "staging" // incoming snapshots; emptied at Open
)

func (db *DB) path(names ...string) string {
	return db.opts.FS.PathJoin(append([]string{db.opts.Dir}, names...)...)
}

// makeDir makes dir and its missing parents, and makes them outlive a crash: a directory is
// only there when the one above it was synced.
func makeDir(f vfs.FS, dir string) error {
	var above []string
	for d := dir; ; {
		_, err := f.Stat(d)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		parent := f.PathDir(d)
		if parent == d {
			break
		}
		above = append(above, parent)
		d = parent
	}
	if err := f.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range above {
		if err := wal.SyncDir(f, d); err != nil {
			return err
		}
	}
	return nil
}

// writeFile replaces the file, atomically and for good.
func writeFile(f vfs.FS, dir, name string, content []byte) error {
	tmp := f.PathJoin(dir, name+".tmp")
	file, err := f.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, syncAndClose(file, err)); err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	if err := f.Rename(tmp, f.PathJoin(dir, name)); err != nil {
		return err
	}
	return wal.SyncDir(f, dir)
}

func syncAndClose(file vfs.File, failed error) error {
	if failed != nil {
		return file.Close()
	}
	return errors.Join(file.Sync(), file.Close())
}
