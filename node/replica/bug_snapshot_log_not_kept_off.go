//go:build !bug_snapshot_log_not_kept

package replica

// snapshotLogNotKept plants a known bug, which the tests must find: the log behind a snapshot is cut while it is on
// its way.
const snapshotLogNotKept = false
