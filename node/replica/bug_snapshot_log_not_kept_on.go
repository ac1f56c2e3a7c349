//go:build bug_snapshot_log_not_kept

package replica

const snapshotLogNotKept = true
