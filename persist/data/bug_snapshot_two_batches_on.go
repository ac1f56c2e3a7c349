//go:build bug_snapshot_two_batches

package data

const installInTwoBatches = true
