//go:build bug_snapshot_log_not_kept

package replica

func init() { planted.snapshotLogNotKept = true }
