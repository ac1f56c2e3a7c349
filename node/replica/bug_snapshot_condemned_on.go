//go:build bug_snapshot_condemned

package replica

const snapshotCondemned = true
