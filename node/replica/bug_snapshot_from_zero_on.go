//go:build bug_snapshot_from_zero

package replica

const snapshotFromZero = true
