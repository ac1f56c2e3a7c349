package persist

import (
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pxkv/persist/wal"
)

// orderedFS makes a directory durable before a marker file is created in it.
//
// Pebble points to its current MANIFEST with a marker file, and syncs the directory after it
// made both. A file system that does not keep the order of new directory entries could keep
// the marker and lose the MANIFEST, and then nothing opens any more. Markers move at starts
// and once per hundred megabytes of MANIFEST, so the extra sync costs nothing.
type orderedFS struct{ vfs.FS }

const markerPrefix = "marker."

// Create implements vfs.FS.
func (o orderedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(o.PathBase(name), markerPrefix) {
		if err := wal.SyncDir(o.FS, o.PathDir(name)); err != nil {
			return nil, err
		}
	}
	return o.FS.Create(name, category)
}

// Unwrap implements vfs.FS.
func (o orderedFS) Unwrap() vfs.FS { return o.FS }
