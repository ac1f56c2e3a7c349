//go:build !linux

package load

import "os"

// fdatasync is fsync where the system has nothing cheaper that is as safe.
func fdatasync(f *os.File) error { return f.Sync() }
