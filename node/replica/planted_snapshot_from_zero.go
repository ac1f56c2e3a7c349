//go:build bug_snapshot_from_zero

package replica

func init() { planted.snapshotFromZero = true }
