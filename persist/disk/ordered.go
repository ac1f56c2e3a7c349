package disk

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// orderedFS makes a directory durable before a marker file is created in it.
//
// Pebble points to its current MANIFEST with a marker file, and syncs the directory after it
// made both. A file system that does not keep the order of new directory entries could keep
// the marker and lose the MANIFEST, and then nothing opens any more. Markers move at starts
// and once per hundred megabytes of MANIFEST, so the extra sync costs nothing.
//
// It also ends the node when Pebble's directory cannot be synced: Pebble panics then, on a goroutine
// of its own, where nobody could say why.
type orderedFS struct {
	vfs.FS
	pebble string // its directory
	fail   func(format string, args ...any)
}

const markerPrefix = "marker."

// Create implements vfs.FS.
func (o *orderedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(o.PathBase(name), markerPrefix) {
		if err := SyncDir(o.FS, o.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return o.FS.Create(name, category)
}

// OpenDir implements vfs.FS.
func (o *orderedFS) OpenDir(name string) (vfs.File, error) {
	f, err := o.FS.OpenDir(name)
	if err != nil || name != o.pebble {
		return f, err
	}
	return pebblesDir{f, name, o.fail}, nil
}

type pebblesDir struct {
	vfs.File
	name string
	fail func(format string, args ...any)
}

// Sync implements vfs.File.
func (d pebblesDir) Sync() error {
	if err := d.File.Sync(); err != nil {
		d.fail("sync of directory %s failed: %v", d.name, err)
	}
	return nil
}

// ErrUsage labels that the file system did not tell how full it is: nothing was lost by that.
var ErrUsage = errors.New("free space is not known")

// GetDiskUsage implements vfs.FS.
func (o *orderedFS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	du, err := o.FS.GetDiskUsage(path)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return du, err
}

// Unwrap implements vfs.FS.
func (o *orderedFS) Unwrap() vfs.FS { return o.FS }
