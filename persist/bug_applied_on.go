//go:build bug_applied_own_batch

package persist

const appliedInOwnBatch = true
