//go:build bug_snapshot_no_backoff

package replica

const snapshotNoBackoff = true
