//go:build bug_snapshot_condemned

package replica

func init() { planted.snapshotCondemned = true }
