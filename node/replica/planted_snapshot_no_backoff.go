//go:build bug_snapshot_no_backoff

package replica

func init() { planted.snapshotNoBackoff = true }
