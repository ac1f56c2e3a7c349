//go:build bug_snapshot_two_batches

package persist

const installInTwoBatches = true
