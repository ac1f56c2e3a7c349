//go:build !bug_snapshot_no_backoff

package replica

// snapshotNoBackoff plants a known bug, which the simulation must find: a snapshot that failed is sent again at
// once.
const snapshotNoBackoff = false
