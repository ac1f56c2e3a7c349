package disk

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// MakeDir makes dir, which is below root, with what is missing in between, and makes them outlive a crash as root does:
// a directory is only there when the one above it was synced. That it is there already proves nothing: whoever made
// it may have failed to sync, or is about to.
func MakeDir(f vfs.FS, root, dir string) error {
	if err := f.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for d, root := f.PathJoin(dir), f.PathJoin(root); d != root && f.PathDir(d) != d; {
		d = f.PathDir(d)
		if err := SyncDir(f, d); err != nil {
			return err
		}
	}
	return nil
}

// TmpSuffix is what WriteFile appends to the name of a file until it is whole.
const TmpSuffix = ".tmp"

// WriteFile replaces the file, atomically and for good. What it holds may depend on the new file.
func WriteFile(f vfs.FS, dir, name string, content func(vfs.File) ([]byte, error)) error {
	tmp := f.PathJoin(dir, name+TmpSuffix)
	file, err := f.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	b, err := content(file)
	if err == nil {
		_, err = file.Write(b)
	}
	if err = errors.Join(err, syncAndClose(file, err)); err != nil {
		return fmt.Errorf("write %s: %w", tmp, err)
	}
	if err := f.Rename(tmp, f.PathJoin(dir, name)); err != nil {
		return err
	}
	return SyncDir(f, dir)
}

func syncAndClose(file vfs.File, failed error) error {
	if failed != nil {
		return file.Close()
	}
	return errors.Join(file.Sync(), file.Close())
}

// SyncDir makes the entries of a directory outlive a crash.
func SyncDir(f vfs.FS, dir string) error {
	d, err := f.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
