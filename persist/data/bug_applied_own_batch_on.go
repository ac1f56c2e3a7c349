//go:build bug_applied_own_batch

package data

const appliedInOwnBatch = true
