//go:build !bug_snapshot_two_batches

package data

// installInTwoBatches plants a known bug, which the test harnesses must find: a snapshot
// whose data and bookkeeping are not installed at one go.
const installInTwoBatches = false
